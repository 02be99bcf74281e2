"""A rollback gives every row its old bytes back, except where somebody has changed it since."""

from functools import partial

import pytest

from stageapp.audit import log
from stageapp.models import Batch, Checkpoint, PortfolioCompany, Run
from stageapp.models.batches import Direction
from stageapp.models.normalization import State
from stageapp.normalization import batches, choice, leases, runs, work, worker
from stageapp.normalization.batches import Limits, Pace
from stageapp.targets.errors import IllegalMove, NormalizationError, RunBusy
from stageapp.targets.targets import resolve
from tests.normalization.evidence import LABEL, ME, column, column_md5, log_of, sql

MESSY = [
    "Seed ",
    "seed",
    "series-a",
    "nobody knows",
    "SEED",
    "S\u00e9ries B",
    "Se\u0301ries B",
    "  seed\t",
    "",
]


def roll_back(run):
    return worker.advance(runs.request_rollback(run, **ME))


def set_stage(key, stage):
    assert PortfolioCompany.objects.filter(pk=key).update(stage=stage) == 1


def left_behind(run):
    left = log.left_behind(run, resolve(LABEL), limit=100)
    return sorted((int(entry.row_key), entry.old, entry.new) for entry in left)


def test_the_column_is_byte_for_byte_what_it_was(started, fill):
    fill(*MESSY * 300)
    before = column_md5()
    run = worker.advance(started())
    assert column_md5() != before
    assert roll_back(run).state == State.ROLLED_BACK
    assert column_md5() == before
    assert left_behind(run) == []


def test_every_undone_change_has_its_mirror_image_in_the_log(done):
    run = roll_back(done(*MESSY))
    forward, back = log_of(run), log_of(run, "rollback")
    assert sorted(back) == sorted((key, new, old) for key, old, new in forward)


def test_rows_changed_since_are_left_and_listed(fill, started):
    ids = fill("Seed", "SEED", "series-a", "Series B")
    run = worker.advance(started())
    set_stage(ids[1], "growth")
    PortfolioCompany.objects.filter(pk=ids[2]).delete()
    roll_back(run)
    assert column() == {ids[0]: "Seed", ids[1]: "growth", ids[3]: "Series B"}
    assert left_behind(run) == [(ids[1], "SEED", "seed"), (ids[2], "series-a", "series_a")]
    assert Checkpoint.objects.get(direction="rollback").skipped == 2
    assert "2 rows changed since and left alone" in run.moves.last().reason


def test_a_row_dirtied_again_and_swept_is_undone_to_what_its_user_wrote(started, fill):
    ids = fill("Seed", "SEED")
    run = started()
    once = [1]

    def dirty(_):
        if once:
            once.pop()
            set_stage(ids[0], "SEED")

    worker.advance(run, report=dirty)
    assert log_of(run) == [
        (ids[0], "Seed", "seed"),
        (ids[1], "SEED", "seed"),
        (ids[0], "SEED", "seed"),
    ]
    roll_back(run)
    assert column() == {ids[0]: "SEED", ids[1]: "SEED"}
    assert left_behind(run) == [(ids[0], "Seed", "seed")]


def test_a_row_dirtied_again_with_its_old_spelling_counts_alike_in_list_and_checkpoint(
    started, fill
):
    ids = fill("Seed", "SEED")
    run = started()
    once = [1]
    worker.advance(run, report=lambda _: set_stage(ids[0], "Seed") if once and once.pop() else None)
    roll_back(run)
    assert column() == {ids[0]: "Seed", ids[1]: "SEED"}
    assert len(left_behind(run)) == Checkpoint.objects.get(direction="rollback").skipped == 1


@pytest.mark.parametrize("state", [State.PAUSED, State.FAILED, State.CANCELLED])
def test_a_run_that_stopped_half_way_can_be_undone(started, fill, monkeypatch, state):
    fill(*MESSY * 20)
    before = column_md5()
    run = started()
    monkeypatch.setattr(work, "Pace", partial(Pace, size=50))
    worker.advance(run, budget_seconds=0)
    assert 0 < len(log_of(run)) < 100
    if state == State.FAILED:
        runs.fail(run, "no space", actor="tester")
    elif state == State.PAUSED:
        runs.pause(run, **ME)
    else:
        runs.cancel(run, **ME)
    assert run.state == state
    roll_back(run)
    assert column_md5() == before


def test_a_run_that_changed_nothing_is_undone_to_nothing(done):
    run = roll_back(done("seed", "nobody knows"))
    assert run.state == State.ROLLED_BACK
    assert Batch.objects.filter(direction="rollback").count() == 0


@pytest.mark.parametrize(
    "state", [State.PLANNED, State.APPROVED, State.RUNNING, State.PAUSING, State.VERIFYING]
)
def test_a_run_in_a_workers_hands_or_not_begun_cannot_be_undone(started, state):
    run = started("Seed")
    Run.objects.update(state=state)
    run.refresh_from_db()
    with pytest.raises(IllegalMove):
        runs.request_rollback(run, **ME)


def test_a_rollback_is_refused_while_another_run_of_the_target_is_unfinished(done, started):
    first = done("Seed")
    second = started("SEED")
    with pytest.raises(RunBusy, match=f"Run {second.pk}"):
        runs.request_rollback(first, **ME)


def test_a_rollback_that_failed_is_taken_up_where_it_stopped(done, monkeypatch):
    run = runs.request_rollback(done(*MESSY * 300), **ME)
    lease = leases.take(run, Direction.ROLLBACK, round=1)
    batches.rollback(lease, resolve(LABEL), {}, Limits(10_000), again=False)
    leases.release(lease)
    undone = len(log_of(run, "rollback"))
    runs.fail(run, "no space", actor="tester")
    assert runs.request_rollback(run, **ME).state == State.ROLLING_BACK
    worker.advance(run)
    assert (run.state, run.last_error) == (State.ROLLED_BACK, "")
    assert 0 < undone < len(log_of(run, "rollback")) == len(log_of(run))


def test_an_interrupted_rollback_goes_on_where_it_stopped(done):
    run = runs.request_rollback(done(*MESSY * 300), **ME)

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.advance(run, report=interrupt)
    assert Run.objects.get().state == State.ROLLING_BACK
    assert worker.advance(runs.request_rollback(run, **ME)).state == State.ROLLED_BACK
    assert sorted(column().values()) == sorted(MESSY * 300)


def test_without_a_number_the_newest_finished_run_is_meant(done):
    with pytest.raises(NormalizationError, match="no finished run"):
        choice.run_to_roll_back(None)
    first, second = done("Seed"), done("SEED")
    assert choice.run_to_roll_back(None) == second
    roll_back(second)
    assert choice.run_to_roll_back(None) == first
    runs.request_rollback(first, **ME)
    assert choice.run_to_roll_back(None) == first


def test_an_older_run_is_undone_around_a_newer_one(done, fill):
    ids = fill("Seed")
    first = done()
    ids = fill("SEED")
    second = done()
    roll_back(first)
    assert column() == {ids[0]: "Seed", ids[1]: "seed"}
    roll_back(second)
    assert column() == {ids[0]: "Seed", ids[1]: "SEED"}


def test_a_rolled_back_plan_can_be_made_and_run_again(done):
    first = roll_back(done(*MESSY))
    second = done()
    assert second.plan.hash == first.plan.hash
    assert len(log_of(second)) == len(log_of(first))


def test_a_null_since_the_run_is_left_alone(done, fill):
    ids = fill("Seed", "SEED")
    run = done()
    sql("ALTER TABLE stageapp_portfoliocompany ALTER stage DROP NOT NULL")
    try:
        sql("UPDATE stageapp_portfoliocompany SET stage = NULL WHERE id = %s", ids[0])
        roll_back(run)
        assert column() == {ids[0]: None, ids[1]: "SEED"}
    finally:
        sql("UPDATE stageapp_portfoliocompany SET stage = '' WHERE stage IS NULL")
        sql("ALTER TABLE stageapp_portfoliocompany ALTER stage SET NOT NULL")
