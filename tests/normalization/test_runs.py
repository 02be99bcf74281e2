"""A run moves along the arrows of its table, and nowhere else."""

import ast
import datetime
import threading
import time
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

import stageapp
from stageapp.models import Run, RunMove
from stageapp.models.batches import Checkpoint, Direction
from stageapp.models.normalization import ACTIVE, MOVES, UNFINISHED, State
from stageapp.normalization import leases, runs, worker
from stageapp.normalization import plan as plans
from stageapp.targets.errors import IllegalMove, PlanRefused, RunBusy
from tests.normalization.evidence import LABEL, ME, column, sql


@pytest.fixture
def planned(engine):
    """Return a function that makes a run and puts it in a state."""

    def make(state=State.PLANNED, **columns):
        run = plans.make_plan(LABEL, actor="tester").run
        Run.objects.filter(pk=run.pk).update(state=state, **columns)
        run.refresh_from_db()
        return run

    return make


@pytest.mark.parametrize("old", State)
def test_exactly_the_arrows_of_the_table_can_be_gone(planned, old):
    run = planned()
    for new in State:
        Run.objects.filter(pk=run.pk).update(state=old)
        run.refresh_from_db()
        moves = RunMove.objects.count()
        if new in MOVES[old]:
            assert runs.move(run, new, **ME).state == new
            newest = RunMove.objects.last()
            assert (newest.old_state, newest.new_state, newest.actor, newest.reason) == (
                old,
                new,
                "tester",
                "test",
            )
            assert RunMove.objects.count() == moves + 1
        else:
            with pytest.raises(IllegalMove, match=f"is {old.said}"):
                runs.move(run, new, **ME)
            assert (Run.objects.get().state, RunMove.objects.count()) == (old, moves)


def test_the_table_of_moves_names_every_state_and_a_reason_for_every_arrow():
    assert set(MOVES) == set(State)
    assert all(reason for moves in MOVES.values() for reason in moves.values())
    assert set(ACTIVE) < set(UNFINISHED) < set(State)


def test_every_state_can_be_reached_and_left_except_the_last():
    reachable, new = set(), {State.PLANNED}
    while new:
        reachable |= new
        new = {to for state in new for to in MOVES[state]} - reachable
    assert reachable == set(State)
    assert [state for state in State if not MOVES[state]] == [State.ROLLED_BACK]


def test_only_move_writes_a_state():
    writers = set()
    for path in Path(stageapp.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        functions = (
            [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
            if _knows_runs(tree)
            else []
        )
        writers |= {
            f"{path.stem}.{f.name}"
            for f in functions
            if any(_writes_state(node) for node in ast.walk(f))
        }
    jobs = {"verification_jobs.waiting"}  # a job has a state of its own
    assert writers - jobs == {"runs.move"}


def _knows_runs(tree):
    """Tell whether a module imports the model: others have states of their own."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return any(alias.name == "Run" for node in imports for alias in node.names)


def _writes_state(node):
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(
            isinstance(target, ast.Attribute) and target.attr == "state" for target in targets
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("update", "bulk_update") and any(
            k.arg == "state" for k in node.keywords
        )
    return False


def test_a_move_without_a_reason_is_refused(planned):
    with pytest.raises(IllegalMove, match="reason"):
        runs.move(planned(), State.APPROVED, actor="tester", reason="  ")


def test_of_two_who_found_the_same_run_the_second_is_told(planned):
    first = planned(State.RUNNING)
    second = Run.objects.get(pk=first.pk)
    runs.pause(first, **ME)
    with pytest.raises(IllegalMove, match=r"somebody else changed its state first\. Check it"):
        runs.cancel(second, **ME)
    assert Run.objects.get().state == State.PAUSED


def test_one_worker_holds_a_run(started, elsewhere):
    run = started("Seed")
    lease = leases.take(run, Direction.FORWARD)
    caught = []

    def second_worker():
        try:
            worker.advance(Run.objects.get(pk=run.pk))
        except RunBusy as error:
            caught.append(str(error))

    elsewhere(second_worker).join()
    assert len(caught) == 1
    assert list(column().values()) == ["Seed"]
    leases.release(lease)
    assert worker.advance(run).state == State.DONE


@pytest.mark.parametrize("state", UNFINISHED)
def test_a_second_run_of_the_target_is_refused_while_one_is_unfinished(planned, state):
    first, second = planned(state), planned()
    with pytest.raises(RunBusy, match=f"Run {first.pk} of {LABEL} is {State(state).said}"):
        runs.start(second, **ME)
    assert Run.objects.get(pk=second.pk).state == State.APPROVED


def test_the_database_itself_refuses_a_second_unfinished_run(planned):
    planned(State.PAUSED)
    second = planned()
    with pytest.raises(IntegrityError, match="one_unfinished_run_per_target"), transaction.atomic():
        sql("UPDATE stageapp_run SET state = 'rolling_back' WHERE id = %s", second.pk)


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.CANCELLED, State.ROLLED_BACK])
def test_a_run_that_is_over_does_not_keep_another_from_starting(planned, state):
    planned(state)
    assert runs.start(planned(), **ME).state == State.RUNNING


def test_a_changed_vocabulary_refuses_the_first_start(planned, alias):
    run = planned()
    alias("a word of our own", "seed")
    with pytest.raises(PlanRefused, match="vocabulary version"):
        runs.start(run, **ME)
    assert Run.objects.get().state == State.PLANNED


def test_a_changed_vocabulary_refuses_an_approved_plan_too(planned, alias):
    run = runs.approve(planned(), **ME)
    alias("a word of our own", "seed")
    with pytest.raises(PlanRefused, match="vocabulary version"):
        runs.start(run, **ME)


@pytest.mark.parametrize("state", [State.PAUSED, State.PAUSING, State.FAILED, State.RUNNING])
def test_a_changed_vocabulary_does_not_keep_a_begun_run_from_going_on(planned, alias, state):
    run = planned(state)
    alias("a word of our own", "seed")
    assert runs.start(run, **ME).state == State.RUNNING


@pytest.mark.parametrize("after", [0, 4])
def test_aliases_edited_during_a_run_change_nothing_in_it(
    fill, started, alias, batches_of_50, after
):
    fill(*["Seed", "a word of our own"] * 200)
    run, seen = started(), []

    def edit(result=None):
        if len(seen) == after:
            changed = list(column().values()).count("seed")
            assert (changed > 0, changed < 200) == (after > 0, True), "not at this point of the run"
            alias("a word of our own", "seed")
        seen.append(result)

    edit()
    worker.advance(run, report=edit)
    assert len(seen) > after + 1
    assert sorted(column().values()) == ["a word of our own"] * 200 + ["seed"] * 200


def test_a_run_cancelled_while_it_starts_is_in_a_state_of_the_table(planned, elsewhere):
    ends = set()
    for number in range(20):
        run, together, refused = planned(), threading.Barrier(2), []

        def act(move, pause, run=run, together=together, refused=refused):
            mine = Run.objects.get(pk=run.pk)
            together.wait(5)
            time.sleep(pause)
            try:
                move(mine, **ME)
            except IllegalMove as error:
                refused.append(error)

        threads = [elsewhere(act, runs.start, 0), elsewhere(act, runs.cancel, number / 1000)]
        for thread in threads:
            thread.join(20)
        run.refresh_from_db()
        path = [(move.old_state, move.new_state) for move in run.moves.filter(actor="tester")]
        assert all(new in MOVES[State(old)] for old, new in path if old), path
        assert [new for _, new in path][:-1] == [old for old, _ in path][1:], path
        assert run.state == path[-1][1]
        ends.add((run.state, len(refused)))
        if run.state != State.CANCELLED:
            runs.cancel(run, **ME)
    assert ends <= {("cancelled", 0), ("cancelled", 1), ("running", 1)}, ends


def test_a_plan_that_is_too_old_is_refused(planned, settings):
    run = planned()
    settings.STAGE_PLAN_MAX_AGE_HOURS = 0.0
    with pytest.raises(PlanRefused, match=r"more than 0 hours ago\."):
        runs.start(run, **ME)


@pytest.mark.parametrize(
    "state", [State.DONE, State.CANCELLED, State.ROLLED_BACK, State.ROLLING_BACK]
)
def test_a_run_that_is_over_cannot_be_started(planned, state):
    with pytest.raises(IllegalMove):
        runs.start(planned(state), **ME)


def test_starting_twice_is_starting_once(planned):
    run = runs.start(planned(), **ME)
    assert runs.start(run, **ME).state == State.RUNNING
    assert RunMove.objects.filter(new_state=State.RUNNING).count() == 1


def test_a_run_that_no_worker_holds_pauses_at_once(planned):
    assert runs.pause(planned(State.RUNNING), **ME).state == State.PAUSED


def test_a_run_in_a_workers_hands_is_pausing_until_its_batch_is_done(started, elsewhere):
    run = started("Seed")
    lease = leases.take(run, Direction.FORWARD)
    assert runs.pause(run, **ME).state == State.PAUSING
    leases.release(lease)
    assert worker.advance(run).state == State.PAUSED


def test_a_run_whose_worker_died_while_it_was_stopping_is_paused_by_asking_again(planned):
    run = runs.pause(planned(State.PAUSING), **ME)
    assert run.state == State.PAUSED
    assert runs.request_rollback(run, **ME).state == State.ROLLING_BACK


def test_only_a_working_run_can_be_paused(planned):
    with pytest.raises(IllegalMove):
        runs.pause(planned(State.DONE), **ME)


def test_a_failure_is_recorded_and_forgotten_when_the_run_is_done(started):
    run = started("Seed")
    runs.fail(run, "no space", actor="tester")
    assert (run.state, run.last_error) == (State.FAILED, "no space")
    worker.advance(runs.start(run, **ME))
    assert (run.state, run.last_error) == (State.DONE, "")


def test_a_failing_rollback_stays_where_it_can_be_taken_up(planned):
    run = planned(State.ROLLING_BACK)
    runs.fail(run, "no space", actor="tester")
    assert (run.state, run.last_error) == (State.ROLLING_BACK, "no space")


def test_a_run_is_forgotten_when_it_is_active_and_silent(planned):
    now = timezone.now()
    stale, fresh = now - datetime.timedelta(seconds=31), now - datetime.timedelta(seconds=20)
    run = planned()
    for direction in Direction:
        Checkpoint.objects.create(run=run, direction=direction)
    for state in State:
        Run.objects.update(state=state)
        Checkpoint.objects.update(heartbeat_at=stale)
        assert (run in runs.forgotten()) == (state in ACTIVE)
        Checkpoint.objects.update(heartbeat_at=fresh)
        assert runs.forgotten() == []
    Run.objects.update(state=State.RUNNING)
    Checkpoint.objects.update(heartbeat_at=None)
    assert runs.forgotten() == [run]


def test_a_run_lacks_as_many_workers_as_it_has_silent_shards(planned):
    run = planned(State.RUNNING, shards=3)
    for shard in range(4):
        Checkpoint.objects.create(
            run=run, direction=Direction.FORWARD, shard=shard, finished=shard == 0
        )
    assert runs.forgotten() == [run] * 3
    assert leases.take(run, Direction.FORWARD)
    assert runs.forgotten() == [run] * 2
