"""A proof stands until something changes the rows that it compared, and then says what it was."""

import datetime
import io

import pytest
from django.utils import timezone

from stageapp import conf
from stageapp.audit import proof
from stageapp.audit.proof import Remedy
from stageapp.models import DriftCheck, PortfolioCompany, Run, TargetWrite
from stageapp.models.normalization import State
from stageapp.normalization import leases, runs, worker
from stageapp.normalization import plan as plans
from stageapp.normalization.verify import verify
from stageapp.portfolio.imports import import_companies
from stageapp.rollout.gates import judging, readiness
from stageapp.sealing.preview import preview
from stageapp.unknowns import drift
from tests.normalization.evidence import LABEL, ME, at_once, column, sql


def gate():
    return readiness.run_complete(judging.read(timezone.now()), conf.gates())


def known():
    return proof.of_target(LABEL)


def against():
    """Return why the proof does not stand; the gate says the same."""
    found = known()
    assert gate().passes == found.stands
    return [at_once(doubt.text) for doubt in found.doubts]


def undo(run, **scope):
    worker.advance(runs.request_rollback(run, scope=scope, **ME))


@pytest.fixture
def proved(done):
    """Return a function that fills the table, runs a plan of it, and lets the drift check run."""

    def prove(*stages):
        run = done(*stages)
        drift.watch()
        assert against() == []
        return run

    return prove


def test_before_any_run_there_is_no_data(fill):
    fill("Seed")
    assert against() == ["No run has started."]
    assert gate().verdict == "no_data"


def test_a_proof_names_its_verification_and_its_look_and_how_old_they_are(proved):
    run = proved("Seed", "nobody knows")
    now = timezone.now() + datetime.timedelta(seconds=100)
    assert proof.of_target(LABEL, now).evidence == (
        f"run {run.pk} was verified 1 min 40 s ago by {leases.name()}; the drift check ran "
        "1 min 40 s ago and found 0 rows with known spellings"
    )
    assert gate().verdict == "pass"


def test_part_after_part_rolled_back_withdraws_the_proof_and_says_what_stands(proved):
    run = proved(*["Seed"] * 3, *["series-a"] * 2, "Series B")
    undo(run, value="Seed")
    assert against()[0] == f"Run {run.pk} is partly rolled back: 3 of 6 rows remain changed."
    undo(run, value="series-a")
    assert against()[0] == f"Run {run.pk} is partly rolled back: 1 of 6 rows remains changed."
    verify(run, **ME)
    assert "5 rows hold the old spelling again after a rollback." in against()
    undo(run, value="Series B")
    run.refresh_from_db()
    assert run.state == State.DONE
    assert against()[0] == f"Run {run.pk} is rolled back: none of 6 rows remains changed."
    assert known().doubts[0].remedy == Remedy.PLAN
    assert gate().verdict == "fail"


def test_an_older_plan_that_is_run_after_an_import_leaves_what_it_does_not_name(fill):
    fill("seed", "seed")
    older = plans.make_plan(LABEL, actor="tester").run
    assert older.plan.rows_to_change == 0
    file = io.BytesIO(b"stage\nSeries A\nSEED\nseed\nnobody knows\n")
    import_companies(file, fund="late", stage_column="stage", actor="ann")
    assert plans.outdated(older.plan) == "it was made before 4 rows were changed or added."
    run = worker.advance(runs.start(older, **ME))
    assert (run.state, run.moves.last().reason) == (
        State.DONE,
        "rows and audit log agree; 2 rows contain known spellings that are not in the plan",
    )
    drift.watch()
    assert (
        against()[0]
        == "2 rows hold known spellings, and the plan was made before 4 rows arrived. Make a new plan."
    )
    assert any("The drift check found 2 rows with known spellings" in text for text in against())
    again = worker.advance(runs.start(plans.make_plan(LABEL, actor="tester").run, **ME))
    assert again.state == State.DONE
    drift.watch()
    assert against() == []


def withdrawn_by_import(run, alias):
    import_companies(
        io.BytesIO(b"stage\nseed\nseed\n"), fund="late", stage_column="stage", actor="ann"
    )


def withdrawn_by_edit(run, alias):
    proof.record_write(LABEL, TargetWrite.EDIT, 1, actor="ann", reason="edited in the admin")


def withdrawn_by_vocabulary(run, alias):
    alias("angel round", "seed")


def withdrawn_by_another_run(run, alias):
    PortfolioCompany.objects.filter(stage="growth").update(stage="Growth")
    worker.advance(runs.start(plans.make_plan(LABEL, actor="tester").run, **ME))
    Run.objects.exclude(pk=run.pk).update(state=State.CANCELLED)


def withdrawn_by_its_rollback(run, alias):
    withdrawn_by_another_run(run, alias)
    newest = Run.objects.first()
    worker.advance(runs.request_rollback(newest, **ME))
    PortfolioCompany.objects.filter(stage="Growth").update(stage="growth")


def withdrawn_by_drift(run, alias):
    """Let somebody write past the system, the watch see it, and somebody repair it before
    anybody looks again.
    """
    PortfolioCompany.objects.filter(stage="growth").update(stage="Growth")
    DriftCheck.objects.update(writes=-1)
    drift.watch()
    PortfolioCompany.objects.filter(stage="Growth").update(stage="growth")
    DriftCheck.objects.update(writes=-1)


@pytest.mark.parametrize(
    "change, words",
    [
        (withdrawn_by_import, "2 rows were imported 0 s ago by ann, after the verification."),
        (withdrawn_by_edit, "1 row was edited 0 s ago by ann, after the verification."),
        (withdrawn_by_vocabulary, "The vocabulary is at version"),
        (withdrawn_by_another_run, "Run 2 changed rows 0 s ago, after the verification."),
        (
            withdrawn_by_its_rollback,
            "Run 2 was rolled back in full or in part 0 s ago, after the verification.",
        ),
        (
            withdrawn_by_drift,
            "1 row was found with known spellings 0 s ago by the drift check, after the verification",
        ),
    ],
)
def test_whatever_changes_the_rows_withdraws_the_proof_until_it_is_verified_again(
    proved, alias, change, words
):
    run = proved("Seed", "growth")
    change(run, alias)
    drift.watch()
    assert words in " ".join(against())
    assert {doubt.remedy for doubt in known().doubts} == {Remedy.VERIFY}
    verify(run, **ME)
    assert against() == []


def test_other_options_of_the_target_withdraw_the_proof(proved, settings):
    run = proved("Seed", "growth")
    settings.STAGE_TARGETS = [f"{LABEL}?where=id > 0"]
    drift.watch()
    assert against() == ["The options of the target have changed since the verification."]
    verify(run, **ME)
    assert against() == []


def test_a_batch_that_commits_while_rows_are_compared_withdraws_what_is_found(proved, monkeypatch):
    run = proved("Seed", "growth")

    def meanwhile(rows):
        proof.record_write(LABEL, TargetWrite.EDIT, 1, actor="ann", reason="in the middle")

    verify(run, report=meanwhile, **ME)
    assert against() == ["1 row was edited 0 s ago by ann, after the verification."]


def test_the_look_at_drift_has_to_be_new(proved, monkeypatch):
    proved("Seed")
    monkeypatch.setattr(conf, "DRIFT_SECONDS", 30)
    DriftCheck.objects.update(looked_at=timezone.now() - datetime.timedelta(seconds=61))
    assert against() == ["The drift check last ran 61 s ago; it must run at least every 60 s."]
    DriftCheck.objects.update(looked_at=timezone.now() - datetime.timedelta(seconds=59))
    assert against() == []
    DriftCheck.objects.update(problem="the table could not be read in 5 s")
    assert against() == [
        "The drift check could not read the rows: the table could not be read in 5 s"
    ]
    DriftCheck.objects.all().delete()
    assert gate().verdict == "no_data"


def test_rows_in_quarantine_hold_the_gate_until_somebody_has_corrected_them(fill, started):
    ids = fill("Seed", "SEED")
    sql(
        "ALTER TABLE stageapp_portfoliocompany ADD CONSTRAINT poison CHECK (id <> %s OR stage <> "
        "'seed')",
        ids[0],
    )
    try:
        run = worker.advance(started())
        drift.watch()
        assert against()[0] == "1 row is in quarantine: the database refused the change."
    finally:
        sql("ALTER TABLE stageapp_portfoliocompany DROP CONSTRAINT poison")
    PortfolioCompany.objects.filter(pk=ids[0]).update(stage="growth")
    DriftCheck.objects.update(writes=-1)
    drift.watch()
    verify(run, **ME)
    assert against() == []


@pytest.mark.parametrize("end", ["whole", "parts"])
def test_after_the_newest_run_is_undone_drift_is_compared_with_the_older_one_that_stands(
    done, fill, end
):
    older = done("Seed", "Fondo X")
    fill("Series A", "Fondo Y")
    newer = done()
    if end == "whole":
        worker.advance(runs.request_rollback(newer, **ME))
    else:
        undo(newer, value="Series A")
    (look,) = drift.watch()
    assert (look.run, look.known_rows, look.unknown_rows) == (older.pk, 1, 1)
    assert (
        f"Run {newer.pk} was rolled back in full or in part 0 s ago, after the verification."
        in against()
    )
    made, _ = verify(older, **ME)
    assert made.found["rows_unplanned"] == 1
    assert known().run == older


def test_a_newer_vocabulary_makes_the_watch_read_again_and_what_was_left_is_known_now(
    proved, alias
):
    proved("Seed", "angel money", "angel money")
    alias("angel money", "pre_seed")
    (look,) = drift.watch()
    assert (look.known_rows, look.unknown_rows) == (2, 0)
    assert "The drift check found 2 rows with known spellings" in " ".join(against())


def test_the_seals_preview_counts_once_what_is_left(done):
    run = done("Seed", "Seed")
    undo(run, value="Seed")
    found = preview(LABEL)
    assert (
        found.evidence
        == "2 rows still contain known spellings: 'Seed'. Make a plan and run it first"
    )
    assert f"{found.evidence}." in found.obstacles
    PortfolioCompany.objects.update(stage="seed")
    evidence = at_once(preview(LABEL).evidence)
    assert evidence.startswith(
        f"no row contains a known spelling; run {run.pk} was verified 0 s ago"
    )
    assert f"Run {run.pk} is rolled back: none of 2 rows remains changed." in evidence


def test_a_target_that_needed_no_run_says_so(fill):
    fill("seed")
    assert preview(LABEL).evidence == "no run was needed: no row contains a known spelling"


@pytest.mark.parametrize(
    "state", [State.ROLLED_BACK, State.FAILED, State.CANCELLED, State.RUNNING, State.PAUSED]
)
def test_a_verification_never_stands_unmarked_beside_a_state_that_it_does_not_fit(proved, state):
    run = proved("Seed")
    Run.objects.filter(pk=run.pk).update(state=state)
    run.refresh_from_db()
    assert proof.of_run(run).doubts[0].text.startswith(f"Run {run.pk} ")
    assert not proof.of_run(run).stands
    assert against() != []


def test_the_column_is_left_as_it_was_by_all_of_this(proved):
    run = proved("Seed", "nobody knows")
    before = column()
    verify(run, **ME)
    drift.watch()
    known()
    assert column() == before
