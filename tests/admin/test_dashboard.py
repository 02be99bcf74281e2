"""The first page: what each person may see there, and what it proposes."""

import datetime
import io
from dataclasses import replace

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from stageapp import conf
from stageapp.admin import site
from stageapp.audit import proof
from stageapp.mode import store
from stageapp.models import DriftCheck, PortfolioCompany, Run, TargetWrite
from stageapp.models.normalization import State
from stageapp.normalization import runs, verification_jobs, worker
from stageapp.portfolio.imports import import_companies
from stageapp.rollout.gates.judging import judge
from stageapp.rollout.gates.verdicts import Verdict
from stageapp.rollout.moves import next_step
from stageapp.rollout.outlook import Outlook
from stageapp.traffic import windows
from stageapp.unknowns import drift, records
from tests.normalization.evidence import at_once
from tests.rollout.gates.measured import measured

pytestmark = pytest.mark.django_db

INDEX = reverse("admin:index")


@pytest.fixture
def proved(plan, settings):
    """Return a run that is done, verified, and checked for drift."""
    settings.STAGE_BATCH_PAUSE_SECONDS = 0
    run = worker.advance(runs.start(plan.run, actor="ann", reason="a test"))
    drift.watch()
    return run


@pytest.fixture
def all_green(monkeypatch):
    """Return a function that lets the gates of traffic and audit pass, by measurements of good
    weeks.
    """

    def be():
        def now():
            state = store.latest()
            gates = judge(measured(), conf.gates())
            green = {name: replace(gate, conditions=_passing(gate)) for name, gate in gates.items()}
            return Outlook(state, measured(), green, next_step(state, green))

        monkeypatch.setattr("stageapp.admin.home.outlook", now)

    return be


def _passing(gate):
    return tuple(replace(it, verdict=Verdict.PASS) for it in gate.conditions)


VIEWS = ["view_modechange", "view_run", "view_plan", "view_trafficwindow", "view_vocabularyversion"]


def test_it_shows_mode_traffic_run_and_vocabulary(plan, browser_with):
    store.change(mode="enforce", percent=10, actor="olga", reason="the first canary")
    windows.count(endpoint="strategies", mode="enforce", verdict="unknown")
    windows.flush()
    page = browser_with(*VIEWS).get(INDEX)
    assert set(page.context["panels"]) == {"mode", "traffic", "run", "vocabulary"}
    for text in (
        "10&nbsp;%",
        "the first canary",
        "olga",
        f"Run {plan.run.pk}",
        'role="progressbar"',
        "1 requests",
    ):
        assert text in page.text


def test_each_panel_needs_the_right_to_see_what_is_in_it(plan, browser_with):
    assert set(browser_with("view_run").get(INDEX).context["panels"]) == {"run"}
    assert browser_with(name="nobody").get(INDEX).context["panels"] == {}


def test_without_runs_and_traffic_it_says_what_will_be_there(browser_with):
    text = browser_with(*VIEWS).get(INDEX).text
    assert "There is no run yet" in text
    assert "No request has arrived" in text


def step(browser):
    return browser.get(INDEX).context["step"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.PLANNED, "has changed nothing yet"),
        (State.RUNNING, "is running"),
        (State.ROLLING_BACK, "is rolling back"),
        (State.PAUSED, "is paused"),
        (State.FAILED, "has failed"),
    ],
)
def test_the_next_step_follows_the_newest_run(plan, browser_with, state, words):
    Run.objects.update(state=state)
    found = step(browser_with(*VIEWS))
    assert words in at_once(found.text)
    assert found.url == reverse("admin:stageapp_run_change", args=[plan.run.pk])


@pytest.mark.parametrize(
    ("mode", "percent", "query"),
    [
        ("off", 100, "?mode=warn"),
        ("warn", 100, "?mode=enforce&percent=10"),
        ("enforce", 10, "?mode=enforce&percent=50"),
        ("enforce", 50, "?mode=enforce&percent=100"),
    ],
)
def test_with_rows_proved_and_gates_that_pass_the_next_step_is_the_mode(
    proved, browser_with, all_green, mode, percent, query
):
    store.change(mode=mode, percent=percent, actor="ann", reason="so far")
    all_green()
    browser = browser_with(*VIEWS, "change_mode")
    found = step(browser)
    assert found.url.endswith(query)
    assert browser.get(found.url).context["preview"]


def test_a_state_alone_proposes_nothing_but_to_verify(plan, browser_with):
    Run.objects.update(state=State.DONE, started_at=timezone.now())
    store.change(mode="warn", actor="ann", reason="so far")
    found = step(browser_with(*VIEWS, "change_mode"))
    assert (found.text, found.label) == (f"Run {plan.run.pk} has never been verified.", "Verify")


def test_a_gate_that_does_not_pass_is_named_instead_of_the_mode(proved, browser_with):
    store.change(mode="warn", actor="ann", reason="so far")
    found = step(browser_with(*VIEWS, "change_mode"))
    assert found.text.startswith(
        "Enforcing at 10 % is blocked by the gate “The consumers are audited”: nobody has recorded"
    )
    assert found.url == reverse("admin:stageapp_rollout")


def test_unknown_values_come_before_a_mode_that_waits_for_better_days(proved, browser_with):
    store.change(mode="warn", actor="ann", reason="so far")
    records.record_import("file", {"nobody knows": 3}, source="file")
    found = step(browser_with(*VIEWS, "change_mode", "view_unknownentry", "curate_vocabulary"))
    assert (found.text, found.label) == ("1 unknown value is waiting for a decision.", "Decide")


def withdraw_by_import(run):
    import_companies(io.BytesIO(b"stage\nseed\n"), fund="late", stage_column="stage", actor="imp")


def withdraw_by_drift(run):
    PortfolioCompany.objects.filter(stage="seed").update(stage="SEED")
    DriftCheck.objects.all().delete()
    drift.watch()


def withdraw_by_a_part(run):
    runs.request_rollback(run, actor="ann", reason="a test", scope={"value": "Seed"})
    worker.advance(run)


def withdraw_by_the_watch(run):
    DriftCheck.objects.update(looked_at=timezone.now() - datetime.timedelta(seconds=121))


@pytest.mark.parametrize(
    "withdraw, words, label",
    [
        (
            withdraw_by_import,
            "1 row was imported 0 s ago by imp, after the verification.",
            "Verify",
        ),
        (withdraw_by_drift, "The drift check found", "Plan again"),
        (withdraw_by_a_part, "is partly rolled back: 2 of 3 rows remain changed.", "Plan again"),
        (withdraw_by_the_watch, "The drift check last ran 2 min", "View the drift check"),
    ],
)
def test_a_proof_that_does_not_stand_leads_to_what_settles_it_and_never_to_enforce(
    proved, browser_with, all_green, withdraw, words, label
):
    store.change(mode="warn", actor="ann", reason="so far")
    all_green()
    withdraw(proved)
    found = step(browser_with(*VIEWS, "change_mode", "plan_run"))
    assert words in at_once(found.text)
    assert found.label == label


def test_a_plan_that_is_out_of_date_is_made_again(plan, browser_with):
    withdraw_by_import(None)
    found = step(browser_with(*VIEWS, "plan_run"))
    assert found.label == "Plan again"
    assert found.text.endswith("it was made before 1 row was changed or added.")


def test_a_verification_under_way_is_watched(proved, browser_with):
    verification_jobs.request(proved, actor="ann", reason="a test")
    assert step(browser_with(*VIEWS)).text == f"Run {proved.pk} is being verified."


def test_when_all_is_done_nothing_is_proposed(proved, browser_with, all_green):
    all_green()
    store.change(mode="enforce", actor="ann", reason="the end")
    assert step(browser_with(*VIEWS, "change_mode")) is None


def test_nothing_is_proposed_to_who_may_not_do_it(browser_with):
    assert step(browser_with(*VIEWS)) is None
    assert "Make a plan" in step(browser_with(*VIEWS, "plan_run", name="polly")).label


def test_the_page_costs_a_bounded_number_of_questions(
    plan, browser_with, django_assert_max_num_queries
):
    browser = browser_with(*VIEWS)
    with django_assert_max_num_queries(24):
        browser.get(INDEX)


def test_every_screen_is_in_exactly_one_section(root, browser_of):
    sections = browser_of(root).get(INDEX).context["app_list"]
    names = [model["object_name"] for section in sections for model in section["models"]]
    assert len(names) == len(set(names))
    assert {name for group in site.SECTIONS.values() for name in group} <= set(names)


def test_the_login_leads_to_no_other_site(root):
    root.set_password("correct horse")
    root.save()
    form = {"username": "root", "password": "correct horse"}
    for evil in (
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
    ):
        answer = Client().post(reverse("admin:login") + f"?next={evil}", {**form, "next": evil})
        assert answer.status_code == 302
        assert "evil" not in answer["location"]
        assert "javascript" not in answer["location"]


def test_an_edit_of_a_stage_in_the_admin_withdraws_the_proof_and_one_of_a_name_does_not(
    proved, root, browser_of
):
    company = PortfolioCompany.objects.filter(stage="seed").first()
    address = reverse("admin:stageapp_portfoliocompany_change", args=[company.pk])
    form = {"fund": company.fund_id, "name": "Renamed", "stage": "seed", "sector": ""}
    assert browser_of(root).post(address, form).status_code == 302
    assert TargetWrite.objects.count() == 0
    assert browser_of(root).post(address, {**form, "stage": "growth"}).status_code == 302
    write = TargetWrite.objects.get()
    assert (write.kind, write.rows, write.actor, write.reason) == (
        "edit",
        1,
        "root",
        "edited in the admin",
    )
    why = at_once(proof.of_target(proved.target).doubts[0].text)
    assert why == "1 row was edited 0 s ago by root, after the verification."


def test_the_announced_day_is_shown_as_long_as_it_stands(browser_with):
    day = timezone.now().date() + datetime.timedelta(days=90)
    store.change(mode="warn", actor="ann", reason="callers may prepare", enforce_on=day)
    store.change(mode="enforce", percent=10, actor="ann", reason="a trial")
    browser = browser_with("view_modechange")
    said = f"Announced first day of enforcement: <strong>{day:%Y-%m-%d}</strong>"
    assert said in browser.get(reverse("admin:index")).text
    store.change(mode="warn", actor="ann", reason="not yet", withdraw_enforce_on=True)
    assert said not in browser.get(reverse("admin:index")).text
