"""Verification finds what does not agree, and does not blame later edits on the run."""

import pytest

from stageapp.models import PortfolioCompany
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from stageapp.normalization.errors import IllegalMove
from stageapp.normalization.verify import verify
from tests.normalization.evidence import LABEL, ME, column, sql


def test_a_run_that_is_right_is_found_right(done):
    found = done("Seed", "Seed", "series-a", "seed", "nobody knows").verification
    assert found == {
        "ok": True,
        "rows_left": 0,
        "entries": 3,
        "changed_by_batches": 3,
        "rows_as_written": 3,
        "rows_changed_since": 0,
        "rows_deleted_since": 0,
        "quarantined": 0,
        "pairs": [
            {"old": "Seed", "new": "seed", "rows": 2, "as_written": 2, "changed_since": 0, "deleted_since": 0},
            {"old": "series-a", "new": "series_a", "rows": 1, "as_written": 1, "changed_since": 0, "deleted_since": 0},
        ],
    }


def test_a_missing_entry_is_found(done):
    run = done("Seed", "SEED")
    sql(
        "SET stageapp.prune = 'on';"
        "DELETE FROM stageapp_normalizationlog WHERE id = (SELECT max(id) FROM stageapp_normalizationlog);"
        "RESET stageapp.prune"
    )
    found = verify(run)
    assert (found["ok"], found["entries"], found["changed_by_batches"]) == (False, 1, 2)


def test_an_entry_too_many_is_found(done):
    run = done("Seed")
    sql(
        "INSERT INTO stageapp_normalizationlog (batch_id, keys, old, new) "
        "SELECT batch_id, keys, 'a', 'b' FROM stageapp_normalizationlog"
    )
    assert verify(run)["ok"] is False


def test_a_log_that_lost_an_entry_during_the_run_fails_it(started):
    run = started("Seed", "SEED")

    def lose(_):
        sql("SET stageapp.prune = 'on'; DELETE FROM stageapp_normalizationlog; RESET stageapp.prune")

    worker.advance(run, report=lose)
    assert run.state == State.FAILED
    assert "The audit log has 0 entries, the batches say 2" in run.last_error


def test_a_planned_spelling_that_came_back_is_found_and_swept_by_running_again(done, fill):
    ids = fill("Seed", "SEED")
    run = done()
    PortfolioCompany.objects.filter(pk=ids[0]).update(stage="SEED")
    found = verify(run)
    assert (found["ok"], found["rows_left"]) == (False, 1)
    again = plans.make_plan(LABEL, actor="tester").run
    assert worker.advance(runs.start(again, **ME)).state == State.DONE
    assert set(column().values()) == {"seed"}


def test_later_changes_and_deletions_are_counted_and_no_fault(done, fill):
    ids = fill(*["Seed"] * 5)
    run = done()
    PortfolioCompany.objects.filter(pk=ids[0]).update(stage="growth")
    PortfolioCompany.objects.filter(pk__in=ids[1:3]).delete()
    found = verify(run)
    assert found["ok"]
    assert (found["rows_as_written"], found["rows_changed_since"], found["rows_deleted_since"]) == (2, 1, 2)


def test_a_null_since_the_run_is_a_change(done, fill):
    fill("Seed")
    run = done()
    sql(
        "ALTER TABLE stageapp_portfoliocompany ALTER stage DROP NOT NULL;"
        "UPDATE stageapp_portfoliocompany SET stage = NULL"
    )
    try:
        assert verify(run)["rows_changed_since"] == 1
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
    assert run.verification["ok"]
    assert (run.verification["entries"], run.verification["rows_as_written"]) == (3, 2)


@pytest.mark.parametrize("undone", [False, True], ids=["not begun", "rolled back"])
def test_there_is_nothing_to_verify_before_a_run_and_after_its_rollback(fill, done, undone):
    fill("Seed")
    run = done() if undone else plans.make_plan(LABEL, actor="tester").run
    if undone:
        worker.advance(runs.request_rollback(run, **ME))
    with pytest.raises(IllegalMove, match="nothing to verify"):
        verify(run)
