"""A shard is one worker's, by lease and fencing token: who has lost it writes nothing, and
nobody shares one.
"""

import datetime
import os
import random
import signal

import pytest

from stageapp.models import Batch, Checkpoint, Run
from stageapp.models.batches import Direction
from stageapp.models.normalization import State
from stageapp.normalization import batches, runs, work, worker
from stageapp.normalization import leases as claims
from stageapp.normalization import plan as plans
from stageapp.normalization.batches import LeaseLost, Limits
from stageapp.targets.errors import IllegalMove, RunBusy
from stageapp.targets.targets import resolve
from tests.normalization.evidence import LABEL, ME, assert_i1, column, log_of, sql
from tests.normalization.processes import state_of, wait_for
from tests.normalization.test_kill import Crew, changed


def write(lease, size=1000):
    run = Checkpoint.objects.get(pk=lease.checkpoint).run
    return batches.forward(lease, resolve(LABEL), plans.changes(run.plan), Limits(size))


def end_leases():
    sql("UPDATE stageapp_checkpoint SET leased_until = clock_timestamp() - interval '1 s'")


@pytest.fixture
def in_shards(fill):
    """Return a function that starts a run of many rows for a number of workers."""

    def start(workers, rows=8000):
        fill(*["Seed", "SEED", "series-a", "nobody knows"] * (rows // 4))
        return runs.start(plans.make_plan(LABEL, actor="tester").run, workers=workers, **ME)

    return start


def test_a_worker_that_lost_its_lease_writes_nothing(started):
    run = started("Seed", "SEED")
    zombie = claims.take(run, Direction.FORWARD)
    assert claims.take(run, Direction.FORWARD) is None
    end_leases()
    heir = claims.take(run, Direction.FORWARD)
    assert (heir.checkpoint, heir.token) == (zombie.checkpoint, zombie.token + 1)
    before = column()
    with pytest.raises(LeaseLost):
        write(zombie)
    assert (column(), log_of(run), claims.renew(zombie)) == (before, [], False)
    claims.release(zombie)
    assert claims.is_held(run), "the zombie gave back what is another's"
    assert write(heir).changed == 2


def test_a_lease_that_only_ran_out_is_still_good_while_nobody_took_the_shard(started):
    lease = claims.take(started("Seed"), Direction.FORWARD)
    end_leases()
    assert write(lease).changed == 1


def test_a_stopped_process_that_wakes_after_its_lease_changes_nothing_twice(in_shards):
    run = in_shards(1, rows=20_000)
    before = column()
    crew = Crew(
        run, 1, random.Random(33), STAGE_BATCH_SECONDS="0.005", STAGE_BATCH_PAUSE_SECONDS="0.05"
    )
    try:
        crew.fill_up()
        (pid,) = crew.pids
        wait_for(lambda: changed("forward") > 0, what="the first batch")
        os.kill(pid, signal.SIGSTOP)
        token = Checkpoint.objects.get().token
        end_leases()

        def finished():
            try:
                return worker.advance(run).state == State.DONE
            except RunBusy:  # it was stopped within a batch: its session ends after 10 s
                end_leases()
                return False

        wait_for(finished, 60, "the end of the run")
        committed = Batch.objects.count()
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: not _runs(pid), what="the zombie's end")
    finally:
        crew.end()
    assert Checkpoint.objects.get(direction="forward").token > token
    assert Batch.objects.count() == committed
    assert_i1(run, before)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_no_two_workers_have_one_shard_and_no_more_work_than_may(in_shards):
    run = in_shards(3)
    leases = [claims.take(run, Direction.FORWARD) for _ in range(4)]
    assert [lease and lease.shard for lease in leases] == [0, 1, 2, None]
    assert [write(lease).changed for lease in leases[:3]] == [750, 750, 750]


def test_shards_are_even_disjoint_and_cover_every_row(in_shards):
    run = in_shards(4)
    ranges = list(run.checkpoints.order_by("shard").values_list("lower", "upper"))
    assert (ranges[0][0], ranges[-1][1]) == ("", "")
    assert [upper for _, upper in ranges[:-1]] == [lower for lower, _ in ranges[1:]]
    before = column()
    assert worker.advance(run).state == State.DONE
    assert_i1(run, before)
    forward = run.checkpoints.filter(direction="forward").order_by("shard")
    assert list(forward.values_list("changed", flat=True)) == [1500] * 4


def test_a_run_gets_another_shard_while_it_is_worked_on(in_shards):
    run = in_shards(1, rows=12_000)
    before = column()
    lease = claims.take(run, Direction.FORWARD)
    write(lease)
    runs.tune(run, workers=2, **ME)
    second = claims.take(run, Direction.FORWARD)
    assert (second.shard, claims.take(run, Direction.FORWARD)) == (1, None)
    write(lease), write(second)
    claims.release(lease), claims.release(second)
    assert worker.advance(run).state == State.DONE
    assert_i1(run, before)
    assert "shards 1 → 2: test" in run.moves.values_list("reason", flat=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"workers": 33},
        {"batch_seconds": 0.21},
        {"batch_seconds": 0.0},
        {"pause_seconds": 61},
    ],
)
def test_a_tuning_that_makes_no_sense_is_refused(started, wrong):
    run = started("Seed")
    with pytest.raises(IllegalMove, match="must be from"):
        runs.tune(run, **wrong, **ME)


def test_a_pause_by_force_takes_the_shard_from_a_worker_that_does_not_answer(
    started, monkeypatch, elsewhere
):
    run = started("Seed")
    lease = claims.take(run, Direction.FORWARD)
    with pytest.raises(IllegalMove, match="not stuck"):
        runs.force_pause(run, **ME)
    monkeypatch.setattr(runs, "STUCK_AFTER", datetime.timedelta(0))
    assert runs.force_pause(run, **ME).state == State.PAUSED
    assert [move.reason for move in run.moves.order_by("id")][-2:] == ["by force: test"] * 2
    runs.resume(run, **ME)
    with pytest.raises(LeaseLost):
        write(lease)
    assert (list(column().values()), log_of(run)) == (["Seed"], [])
    assert worker.advance(run).state == State.DONE


@pytest.mark.parametrize(
    "ask, state",
    [
        (lambda run: runs.pause(run, **ME), State.PAUSED),
        (lambda run: runs.tune(run, pause_seconds=0, **ME), State.DONE),
    ],
    ids=["paused", "tuned"],
)
def test_a_long_rest_keeps_the_shard_and_ends_when_a_person_wants_something_else(
    started, fill, elsewhere, batches_of_50, monkeypatch, ask, state
):
    monkeypatch.setattr(work, "LOOK_SECONDS", 0.05)
    fill(*["Seed"] * 120)
    run = runs.tune(started(), pause_seconds=60, **ME)
    elsewhere(worker.advance, Run.objects.get(pk=run.pk))
    wait_for(lambda: Batch.objects.count() == 1, what="the first batch")
    heard = claims.last_heartbeat(run)
    wait_for(lambda: claims.last_heartbeat(run) > heard, what="a heartbeat while it rests")
    ask(run)
    wait_for(lambda: state_of(run) == state, what=f"the state {state}")
