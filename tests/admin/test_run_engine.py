"""Shards, tuning, quarantine, force pause, rollback of a part, drained workers, the audit log:
as people see them.
"""

import datetime
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from stageapp.admin import run_actions
from stageapp.audit import rollbacks
from stageapp.models import (
    Batch,
    Checkpoint,
    Plan,
    PortfolioCompany,
    QuarantinedRow,
    Run,
    VerificationJob,
)
from stageapp.models.normalization import State, WorkerDrain
from stageapp.normalization import drain, leases, runs, verification_jobs, worker
from stageapp.normalization.plan import make_plan
from stageapp.normalization.verify import verify

LOG = reverse("admin:stageapp_auditentry_changelist")
WORKERS = reverse("admin:stageapp_workers")


@pytest.fixture(autouse=True)
def _at_once(settings):
    settings.STAGE_BATCH_PAUSE_SECONDS = 0


@pytest.fixture
def nudges(monkeypatch):
    """Record which runs workers were asked to take up."""
    asked = []
    monkeypatch.setattr("stageapp.tasks.advance_run.delay", asked.append)
    return asked


@pytest.fixture
def post(post):
    """Follow where each post of these tests leads."""
    return partial(post, follow=True)


@pytest.fixture
def done(plan):
    """Return a run that has changed three rows."""
    return worker.advance(runs.start(plan.run, actor="ann", reason="go"))


def at(name, run):
    return reverse(f"admin:stageapp_run_{name}", args=[run.pk])


def stages():
    return list(PortfolioCompany.objects.order_by("id").values_list("stage", flat=True))


def started(run):
    return runs.start(run, actor="ann", reason="go")


def test_the_page_shows_which_worker_is_where(plan, browser_with):
    run = started(plan.run)
    lease = leases.take(run, "forward")
    Checkpoint.objects.filter(pk=lease.checkpoint).update(lower="3", position="7", quarantined=2)
    page = browser_with("view_run").get(at("change", run))
    (shard,) = page.context["shards"]
    assert (shard["range"], shard["holder"]) == ("3 to the end", leases.name())
    assert f"{leases.name()} <small" in page.text
    assert "2 rows in quarantine" in page.text
    leases.release(lease)
    assert (
        browser_with("view_run", name="vera").get(at("change", run)).context["shards"][0]["holder"]
        == ""
    )


def test_rows_in_quarantine_stand_there_with_what_the_database_said(plan, browser_with):
    QuarantinedRow.objects.create(
        run=plan.run,
        direction="forward",
        row_key="7",
        value="<b>Seed</b>",
        error="new row violates <i>check</i>",
    )
    page = browser_with("view_run").get(at("change", plan.run)).text
    assert "new row violates &lt;i&gt;check&lt;/i&gt;" in page
    assert "&lt;b&gt;Seed&lt;/b&gt;" in page
    assert f"?run={plan.run.pk}" in page


def test_a_run_is_tuned_while_it_works_and_its_history_has_it(plan, browser_with, post, nudges):
    run = started(plan.run)
    browser = browser_with("view_run", "operate_run", name="olga")
    assert "Now 1." in browser.get(at("tune", run)).text
    answer = post(
        browser, at("tune", run), {"workers": 3, "pause_seconds": "0.5", "reason": "quiet hour"}
    )
    run.refresh_from_db()
    assert (run.shards, run.batch_seconds, run.pause_seconds) == (3, None, 0.5)
    assert "shards 1 → 3, pause_seconds None → 0.5: quiet hour" in answer.text
    assert nudges == [run.pk] * 3


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"reason": "x"}, "Enter at least one value"),
        ({"workers": 3, "reason": " "}, "This field is required"),
        ({"workers": 33, "reason": "x"}, "shards must be from 1 to 32"),
        ({"batch_seconds": "1", "reason": "x"}, "batch_seconds must be from 0.005 to 0.2"),
        ({"batch_seconds": "nan", "reason": "x"}, "Enter a number"),
    ],
)
def test_what_makes_no_sense_is_told_and_changes_nothing(
    plan, browser_with, post, nudges, sent, told
):
    run = started(plan.run)
    answer = post(browser_with("view_run", "operate_run"), at("tune", run), sent)
    assert told.lower() in answer.text.lower()
    run.refresh_from_db()
    assert (run.shards, run.batch_seconds, run.pause_seconds) == (1, None, None)
    assert nudges == []


@pytest.mark.parametrize(
    ("page", "permission"), [("tune", "operate_run"), ("part", "rollback_run")]
)
def test_each_step_takes_its_permission(done, browser_with, page, permission):
    others = {"operate_run", "rollback_run", "plan_run"} - {permission}
    lacking = browser_with("view_run", *others, name="lacking")
    sent = {"reason": "x", "workers": 2}
    for path in (at(page, done), at(page, done) + "?first=1"):
        assert lacking.get(path).status_code == 403
        assert lacking.post(path, sent).status_code == 403
    assert browser_with(permission, name="blind").get(at(page, done)).status_code == 403
    assert at(page, done) not in lacking.get(at("change", done)).text
    done.refresh_from_db()
    assert (done.state, done.shards) == (State.DONE, 1)


def test_a_pause_is_forced_only_where_a_run_is_stuck(plan, browser_with, post, monkeypatch):
    run = started(plan.run)
    force = reverse("admin:stageapp_run_do", args=[run.pk, "force_pause"])
    browser = browser_with("view_run", "operate_run")
    assert force not in browser.get(at("change", run)).text
    assert "is not possible now." in post(browser, force, {"reason": "hangs"}).text
    monkeypatch.setattr(runs, "STUCK_AFTER", datetime.timedelta(0))
    page = browser.get(at("change", run)).text
    assert force in page
    assert "no worker heartbeat for 0 minutes" in page  # what is said is what counts
    assert "Paused by force" in post(browser, force, {"reason": "hangs"}).text
    run.refresh_from_db()
    assert run.state == State.PAUSED


def test_one_value_is_rolled_back_after_a_preview(done, companies, browser_with, post, nudges):
    PortfolioCompany.objects.filter(pk=companies[3].pk).update(stage="series_b")
    entry = Plan.objects.get().entries.get(raw="Series-A ")
    browser = browser_with("view_run", "rollback_run", name="rosa")
    assert "&#x27;Series-A &#x27;" in browser.get(at("part", done)).text
    part = at("part", done) + f"?value={entry.pk}"
    preview = browser.get(part)
    assert (preview.context["rows"], preview.context["left"]) == (1, 0)
    assert stages()[2] == "series_a"
    assert "This field is required" in post(browser, part, {"reason": ""}).text
    post(browser, part, {"reason": "wrong fund"})
    assert nudges == [done.pk]
    worker.advance(Run.objects.get())
    assert stages()[1:4] == ["seed", "Series-A ", "series_b"]
    page = browser.get(at("change", done))
    assert Run.objects.get().state == State.DONE
    assert page.context["rollbacks"][0].actor == "rosa"
    assert "wrong fund" in page.text


def test_a_range_of_batches_shows_what_changed_since_and_leaves_it(
    done, companies, browser_with, post, nudges
):
    PortfolioCompany.objects.filter(pk=companies[3].pk).update(stage="series_b")
    batch = Batch.objects.filter(changed__gt=0).get()
    browser = browser_with("view_run", "rollback_run")
    part = at("part", done) + f"?first={batch.pk}&last={batch.pk}"
    preview = browser.get(part)
    assert (preview.context["rows"], preview.context["left"]) == (2, 1)
    post(browser, part, {"reason": "back"})
    worker.advance(Run.objects.get())
    assert stages()[1:4] == ["Seed", "Series-A ", "series_b"]


@pytest.mark.parametrize(
    "query", ["?value=x", "?first=0", "?first=1&value=1", "?first=a", f"?last={10**30}", "?value="]
)
def test_a_choice_that_names_no_part_asks_again(done, browser_with, post, query):
    browser = browser_with("view_run", "rollback_run")
    for answer in (
        browser.get(at("part", done) + query),
        post(browser, at("part", done) + query, {"reason": "x"}),
    ):
        assert "errorlist" in answer.text
    assert Run.objects.get().state == State.DONE


def test_a_part_with_nothing_left_to_undo_is_refused(done, browser_with, post):
    answer = post(
        browser_with("view_run", "rollback_run"),
        at("part", done) + "?first=999999",
        {"reason": "x"},
    )
    assert "nothing left to undo" in answer.text
    assert Run.objects.get().state == State.DONE


def test_a_part_that_takes_too_long_to_count_can_be_undone_all_the_same(
    done, browser_with, post, monkeypatch
):
    monkeypatch.setattr(run_actions, "PREVIEW_SECONDS", 0.1)
    monkeypatch.setattr(rollbacks, "_PREVIEW_SQL", "SELECT '', '', 0, 0 FROM pg_sleep(20)")
    part = at("part", done) + "?first=1"
    browser = browser_with("view_run", "rollback_run")
    assert f"normalization rollback {done.pk} --dry-run" in browser.get(part).text
    post(browser, part, {"reason": "wrong fund"})
    assert Run.objects.get().state == State.ROLLING_BACK


def test_workers_are_drained_loudly_and_let_work_again(plan, browser_with, post, monkeypatch):
    asked = []
    monkeypatch.setattr("stageapp.tasks.nudge_forgotten_runs.delay", lambda: asked.append(True))
    browser = browser_with("view_run", "view_workerdrain", "operate_run", name="olga")
    switch = reverse("admin:stageapp_workers_drain")
    assert switch in browser.get(WORKERS).text
    post(browser, switch, {"reason": "upgrade <b>now</b>"})
    assert drain.draining()
    for path in (WORKERS, reverse("admin:index"), at("change", plan.run)):
        page = browser.get(path).text
        assert "Workers are draining" in page, path
        assert "upgrade &lt;b&gt;now&lt;/b&gt;" in page
    assert asked == []
    post(browser, reverse("admin:stageapp_workers_work"), {"reason": "upgraded"})
    assert asked == [True]
    assert not drain.draining()
    assert "Workers are draining" not in browser.get(reverse("admin:index")).text


def test_draining_takes_operate_run(db, browser_with):
    looking = browser_with("view_run", "view_workerdrain", "rollback_run", "plan_run")
    for name in ("drain", "work"):
        switch = reverse(f"admin:stageapp_workers_{name}")
        assert (
            looking.get(switch).status_code
            == looking.post(switch, {"reason": "x"}).status_code
            == 403
        )
        assert switch not in looking.get(WORKERS).text
    assert not WorkerDrain.objects.exists()


def test_an_estimate_stands_where_there_is_one(plan, browser_with):
    browser = browser_with("view_run", "view_plan")

    def pages_of_one(hash, seconds):
        one = Plan.objects.create(
            target=plan.target,
            vocabulary_version=1,
            hash=hash * 64,
            rows_total=1,
            rows_to_change=1,
            rows_unknown=0,
            estimated_seconds=seconds,
            actor="ann",
        )
        run = Run.objects.create(plan=one, target=plan.target, actor="ann")
        paths = [at("change", run), reverse("admin:stageapp_plan_change", args=[one.pk])]
        return [browser.get(path).text for path in paths]

    assert not any("Estimated" in page for page in pages_of_one("d", None))
    assert all("Estimated" in page for page in pages_of_one("e", 90))


def test_the_log_says_what_happened_to_a_row_and_what_undid_it(done, companies, browser_with):
    worker.advance(runs.request_rollback(done, actor="ann", reason="back", scope={"value": "Seed"}))
    browser = browser_with("view_auditentry")
    back, forward = browser.get(LOG, {"q": companies[1].pk}).context["cl"].result_list
    assert (forward.old, forward.new, forward.undone) == ("Seed", "seed", back.batch)
    assert (back.old, back.new, back.undone) == ("seed", "Seed", None)
    (other,) = browser.get(LOG, {"q": companies[2].pk}).context["cl"].result_list
    assert other.undone is None


def test_a_batch_leads_to_its_entries(done, browser_with):
    batch = Batch.objects.filter(changed__gt=0).get()
    browser = browser_with("view_run", "view_batch", "view_auditentry")
    link = f"{LOG}?batch={batch.pk}"
    assert link in browser.get(at("change", done)).text
    assert link in browser.get(reverse("admin:stageapp_batch_changelist"), {"run": done.pk}).text
    assert len(browser.get(link).context["cl"].result_list) == batch.changed
    for none in (batch.pk + 1, "x", 10**30):
        assert browser.get(LOG, {"batch": none}).context["cl"].result_list == []


def test_a_page_of_the_log_asks_a_bounded_number_of_things(
    done, browser_with, django_assert_max_num_queries
):
    browser = browser_with("view_auditentry")
    with django_assert_max_num_queries(12):
        assert browser.get(LOG).status_code == 200


def test_a_runs_page_asks_a_bounded_number_of_things(
    done, root, browser_of, django_assert_max_num_queries
):
    for shard in range(1, 20):
        Checkpoint.objects.create(run=done, direction="forward", shard=shard)
    with django_assert_max_num_queries(55):
        assert browser_of(root).get(at("change", done)).status_code == 200


@pytest.fixture
def verifications_nudged(monkeypatch):
    """Collect the jobs that a worker was asked to make."""
    asked = []
    monkeypatch.setattr("stageapp.tasks.work_on_verification.delay", asked.append)
    return asked


def test_a_verification_is_asked_for_on_the_runs_page_and_its_progress_is_shown(
    done, browser_with, post, verifications_nudged
):
    browser = browser_with("view_run", "operate_run")
    address = reverse("admin:stageapp_run_do", args=[done.pk, "verify"])
    assert "It only reads. The result" in browser.get(address).text
    assert VerificationJob.objects.count() == 0
    post(browser, address, {"reason": "the auditors ask"})
    job = VerificationJob.objects.get()
    assert verifications_nudged == [job.pk]
    page = browser.get(at("change", done)).text
    assert "Waiting for a worker" in page
    assert 'hx-trigger="every 2s"' in page
    VerificationJob.objects.update(
        state="working",
        rows=4,
        began_at=timezone.now() - datetime.timedelta(seconds=2),
        heartbeat_at=timezone.now(),
    )
    moving = browser.get(at("progress", done))
    for text in ('aria-label="Progress of the verification"', "about 7", "rows/s", "Time left"):
        assert text in moving.text
    assert "HX-Refresh" not in moving
    VerificationJob.objects.update(state="waiting")
    verification_jobs.work(job.pk)
    assert browser.get(at("progress", done))["HX-Refresh"] == "true"
    page = browser.get(at("change", done))
    assert [one["made"].actor for one in page.context["verifications"]] == [
        job.actor,
        leases.name(),
    ]
    assert "the auditors ask" in page.text


def test_a_verification_takes_the_right_to_operate_runs(done, browser_with):
    address = reverse("admin:stageapp_run_do", args=[done.pk, "verify"])
    assert (
        browser_with("view_run", "rollback_run").post(address, {"reason": "x"}).status_code == 403
    )
    assert VerificationJob.objects.count() == 0


def test_a_finished_run_says_what_it_did_not_do(done, companies, browser_with):
    PortfolioCompany.objects.filter(pk=companies[1].pk).update(stage="growth")
    companies[2].delete()
    verify(done, actor="ann", reason="look")
    page = browser_with("view_run").get(at("change", done))
    assert [(line["rows"], line["what"]) for line in page.context["not_done"]] == [
        (3, "unknown: no alias maps them"),
        (1, "changed by somebody since"),
        (1, "deleted since"),
    ]
    assert f'href="{reverse("admin:stageapp_unknownentry_changelist")}?kind=table"' in page.text


def test_a_run_that_is_rolled_back_in_part_says_so_beside_its_state(done, browser_with):
    runs.request_rollback(done, actor="ann", reason="a part", scope={"value": "Seed"})
    worker.advance(done)
    browser = browser_with("view_run", "view_modechange")
    for address in (at("change", done), reverse("admin:index")):
        assert "Partly rolled back: 2 of 3 rows remain changed." in browser.get(address).text
    page = browser.get(at("change", done)).text
    assert "not valid now" in page
    assert "after the verification" in page
    listed = browser.get(reverse("admin:stageapp_run_changelist")).text
    assert "Done, partly rolled back: 2 of 3 rows remain changed" in listed


def test_states_are_words_wherever_a_run_is_shown(done, browser_with):
    runs.request_rollback(done, actor="ann", reason="all of it")
    worker.advance(done)
    browser = browser_with("view_run", "view_modechange")
    listed = browser.get(reverse("admin:stageapp_run_changelist")).text
    assert "Rolled back: none of 3 rows remains changed" in listed
    for address in (at("change", done), reverse("admin:index")):
        text = browser.get(address).text
        assert ">Rolled back<" in text
        assert ">Rolled Back<" not in text
        assert ">rolled_back<" not in text
    history = browser.get(at("change", done)).text
    assert "<td>Rolling back</td>" in history


def test_the_list_of_runs_asks_no_more_for_more_runs(done, browser_with):
    browser, address = browser_with("view_run"), reverse("admin:stageapp_run_changelist")
    asked = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            browser.get(address)
        asked.append(len(queries))
        make_plan(done.target, actor="ann")
    assert asked[0] == asked[1] > 0


def test_a_verification_is_no_shard(done, browser_with):
    page = browser_with("view_run").get(at("change", done))
    assert [shard["at"].direction for shard in page.context["shards"]] == ["forward"]


def test_while_it_verifies_a_run_tells_how_many_rows_are_compared(done, browser_with):
    Run.objects.filter(pk=done.pk).update(state="verifying")
    Checkpoint.objects.filter(run=done, direction="verify").update(scanned=4)
    page = browser_with("view_run").get(at("change", done))
    at_now = page.context["progress"]
    assert (at_now.direction, at_now.scanned, at_now.total) == ("verify", 4, 7)
    assert at_now.rate > 0
    assert "<dt>Compared</dt>" in page.text
