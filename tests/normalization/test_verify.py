"""Verification finds what does not agree, and does not blame later edits on the run."""

import pytest
from django.db import IntegrityError

from stageapp.models import PortfolioCompany, Verification
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from stageapp.normalization.verify import verify
from stageapp.vocabulary import snapshot
from tests.normalization.evidence import LABEL, ME, column, sql


def look(run, **options):
    """Verify now, and return what was found."""
    made, _ = verify(run, **ME, **options)
    return made.found


def test_a_run_that_is_right_is_found_right(done):
    found = done("Seed", "Seed", "series-a", "seed", "nobody knows").verifications.get().found
    assert found == {
        "ok": True,
        "agrees": True,
        "rows": 5,
        "rows_arrived": 0,
        "rows_left": 0,
        "rows_unplanned": 0,
        "rows_given_back": 0,
        "rows_unknown": 1,
        "rows_null": 0,
        "entries": 3,
        "changed_by_batches": 3,
        "undone": 0,
        "rows_undone": 0,
        "rows_as_written": 3,
        "rows_changed_since": 0,
        "rows_deleted_since": 0,
        "quarantined": 0,
        "pairs": [
            {
                "old": "Seed",
                "new": "seed",
                "rows": 2,
                "as_written": 2,
                "changed_since": 0,
                "deleted_since": 0,
            },
            {
                "old": "series-a",
                "new": "series_a",
                "rows": 1,
                "as_written": 1,
                "changed_since": 0,
                "deleted_since": 0,
            },
        ],
    }


def test_a_missing_entry_is_found(done):
    run = done("Seed", "SEED")
    sql(
        "SET stageapp.prune = 'on';DELETE FROM stageapp_normalizationlog WHERE id = (SELECT "
        "max(id) FROM stageapp_normalizationlog);RESET stageapp.prune"
    )
    found = look(run)
    assert (found["ok"], found["entries"], found["changed_by_batches"]) == (False, 1, 2)


def test_an_entry_too_many_is_found(done):
    run = done("Seed")
    sql(
        "INSERT INTO stageapp_normalizationlog (batch_id, keys, old, new) "
        "SELECT batch_id, keys, 'a', 'b' FROM stageapp_normalizationlog"
    )
    assert look(run)["ok"] is False


def test_a_log_that_lost_an_entry_during_the_run_fails_it(started):
    run = started("Seed", "SEED")

    def lose(_):
        sql(
            "SET stageapp.prune = 'on'; DELETE FROM stageapp_normalizationlog; RESET stageapp.prune"
        )

    worker.advance(run, report=lose)
    assert run.state == State.FAILED
    assert "The audit log has 0 entries, but the batches recorded 2" in run.last_error


def test_a_planned_spelling_that_came_back_is_found_and_swept_by_running_again(done, fill):
    ids = fill("Seed", "SEED")
    run = done()
    PortfolioCompany.objects.filter(pk=ids[0]).update(stage="SEED")
    found = look(run)
    assert (found["ok"], found["rows_left"]) == (False, 1)
    again = plans.make_plan(LABEL, actor="tester").run
    assert worker.advance(runs.start(again, **ME)).state == State.DONE
    assert set(column().values()) == {"seed"}


def test_later_changes_and_deletions_are_counted_and_no_fault(done, fill):
    ids = fill(*["Seed"] * 5)
    run = done()
    PortfolioCompany.objects.filter(pk=ids[0]).update(stage="growth")
    PortfolioCompany.objects.filter(pk__in=ids[1:3]).delete()
    found = look(run)
    assert found["ok"]
    assert (found["rows_as_written"], found["rows_changed_since"], found["rows_deleted_since"]) == (
        2,
        1,
        2,
    )


def test_a_null_since_the_run_is_a_change(done, fill):
    fill("Seed")
    run = done()
    sql(
        "ALTER TABLE stageapp_portfoliocompany ALTER stage DROP NOT NULL;"
        "UPDATE stageapp_portfoliocompany SET stage = NULL"
    )
    try:
        assert look(run)["rows_changed_since"] == 1
    finally:
        sql("UPDATE stageapp_portfoliocompany SET stage = ''")
        sql("ALTER TABLE stageapp_portfoliocompany ALTER stage SET NOT NULL")


def test_the_newest_entry_of_a_row_counts(started, fill):
    ids = fill("Seed", "Seed")
    run = started()
    once = [1]

    def dirty(_):
        if once and once.pop():
            PortfolioCompany.objects.filter(pk=ids[0]).update(stage="Seed")

    worker.advance(run, report=dirty)
    assert run.verifications.get().found["ok"]
    assert (
        run.verifications.get().found["entries"],
        run.verifications.get().found["rows_as_written"],
    ) == (3, 2)


def test_a_plan_that_has_changed_nothing_is_compared_and_disagrees_with_nothing(fill):
    fill("Seed", "seed", "nobody knows")
    found = look(plans.make_plan(LABEL, actor="tester").run)
    assert (found["agrees"], found["entries"], found["rows_left"]) == (True, 0, 1)
    assert (found["rows"], found["rows_unknown"]) == (3, 1)


def test_a_run_that_found_nothing_to_change_is_right(done):
    run = done("seed", "nobody knows")
    found = look(run)
    assert (found["ok"], found["entries"], found["rows"], found["rows_unknown"]) == (True, 0, 2, 1)


def test_after_a_rollback_the_rows_are_given_back_and_not_left(fill, done):
    fill("Seed", "SEED", "growth")
    run = done()
    worker.advance(runs.request_rollback(run, **ME))
    found = look(run)
    assert (found["agrees"], found["ok"]) == (True, False)
    assert (found["entries"], found["undone"], found["rows_undone"]) == (2, 2, 2)
    assert (found["rows_as_written"], found["rows_given_back"], found["rows_left"]) == (0, 2, 0)
    assert found["pairs"] == []


def test_a_part_that_was_rolled_back_is_told_from_what_stands(done):
    run = done("Seed", "Seed", "series-a")
    worker.advance(runs.request_rollback(run, scope={"value": "Seed"}, **ME))
    PortfolioCompany.objects.filter(pk=min(column())).update(stage="growth")
    found = look(run)
    assert (found["rows_as_written"], found["rows_undone"], found["rows_given_back"]) == (1, 2, 1)
    assert (found["rows_changed_since"], found["rows_left"]) == (0, 0)


def test_known_spellings_that_the_plan_does_not_name_are_counted_apart(done, fill):
    run = done("Seed", "growth")
    fill("Series A", "Series A", "SEED", "nobody knows")
    found = look(run)
    assert (found["ok"], found["agrees"]) == (False, True)
    assert (found["rows_left"], found["rows_unplanned"], found["rows_unknown"]) == (0, 3, 1)
    assert (found["rows"], found["rows_arrived"]) == (6, 4)


def test_a_row_that_was_swept_twice_and_half_undone_holds_what_was_written_last(started, fill):
    ids = fill("Seed", "SEED")
    run = started()
    once = [1]

    def dirty(_):
        if once and once.pop():
            PortfolioCompany.objects.filter(pk=ids[0]).update(stage="Seed")

    worker.advance(run, report=dirty)
    newest = run.batches.filter(changed__gt=0).order_by("-id")[0]
    worker.advance(runs.request_rollback(run, scope={"batches": [newest.pk, newest.pk]}, **ME))
    found = look(run)
    assert (found["entries"], found["undone"]) == (3, 1)
    assert (found["rows_as_written"], found["rows_undone"], found["rows_given_back"]) == (1, 1, 1)


def test_progress_is_told_range_by_range_up_to_every_row(done, fill, monkeypatch, batches_of_50):
    fill(*["Seed"] * 200)
    run = done()
    monkeypatch.setattr("stageapp.normalization.verify.RANGE_ROWS", 50)
    told = []
    assert look(run, report=told.append)["rows"] == 200
    assert told[-1] == 200
    assert len(set(told)) > 2
    assert told == sorted(told)


def test_a_verification_names_what_it_proved_and_cannot_be_changed(done):
    run = done("Seed")
    ended = run.verifications.get()
    made, different = verify(run, actor="olga", reason="the auditors ask", full=True)
    assert (ended.by_run, made.by_run, different) == (True, False, [])
    assert (made.actor, made.reason, made.ok) == ("olga", "the auditors ask", True)
    assert made.vocabulary_version == snapshot.newest_version()
    assert (made.batches, made.last_batch) == (1, run.batches.filter(changed=1).get().pk)
    assert made.started_at <= made.ended_at
    with pytest.raises(IntegrityError, match="append-only"):
        Verification.objects.filter(pk=made.pk).update(ok=False)
