"""Other sessions write, lock, pause and cut connections while a worker is in the middle of a
batch.
"""

import threading
import time

import pytest
from django.db import OperationalError, connection, transaction

from stageapp.models import Batch, PortfolioCompany, Run
from stageapp.models.normalization import State
from stageapp.normalization import batches, leases, runs, work, worker
from tests.normalization.evidence import ME, assert_i1, column, log_of, sql, until_asleep


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(work, "FIRST_WAIT_SECONDS", 0.005)
    monkeypatch.setattr(batches, "LOCK_TIMEOUT_MS", 60)


@pytest.fixture
def before_write(monkeypatch):
    """Return a function whose argument is called once, right before a batch is sent."""

    def plant(act):
        real, planted = batches.forward, [act]

        def forward(*args):
            if planted:
                planted.pop()()
            return real(*args)

        monkeypatch.setattr(batches, "forward", forward)

    return plant


@pytest.fixture
def hold(elsewhere):
    """Return a function that locks a row in another session until a condition is true."""

    def lock(key, until):
        locked = threading.Event()

        def work():
            with transaction.atomic():
                sql("SELECT id FROM stageapp_portfoliocompany WHERE id = %s FOR UPDATE", key)
                locked.set()
                deadline = time.monotonic() + 10
                while not until() and time.monotonic() < deadline:
                    time.sleep(0.01)

        elsewhere(work)
        assert locked.wait(5)

    return lock


def update(key, **columns):
    assert PortfolioCompany.objects.filter(pk=key).update(**columns) == 1


def until_blocked():
    """Wait until another session waits for a lock of this one."""
    for _ in range(400):
        if sql(
            "SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY "
            "(pg_blocking_pids(pid))"
        ):
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")


def test_a_row_edited_right_before_its_batch_is_left_alone(started, fill, elsewhere, before_write):
    ids = fill("Seed", "SEED", "series-a")
    run = started()
    before_write(lambda: elsewhere(lambda: update(ids[1], stage="our own word")).join())
    worker.advance(run)
    assert list(column().values()) == ["seed", "our own word", "series_a"]
    assert log_of(run) == [(ids[0], "Seed", "seed"), (ids[2], "series-a", "series_a")]


@pytest.mark.parametrize(
    "what, stage, logged",
    [
        ("stage = 'our own word'", "our own word", []),
        ("stage = 'series-a'", "series_a", [("series-a", "series_a")]),
        ("stage = 'seed'", "seed", []),
        ("sector = 'Energy'", "seed", [("SEED", "seed")]),
    ],
)
def test_a_row_whose_edit_commits_while_the_batch_waits_for_it(
    started, fill, elsewhere, before_write, monkeypatch, what, stage, logged
):
    monkeypatch.setattr(batches, "LOCK_TIMEOUT_MS", 5000)
    monkeypatch.setattr(work, "CAP_SECONDS", 20)
    ids = fill("Seed", "SEED", "series-a")
    run = started()
    written = threading.Event()

    def edit():
        with transaction.atomic():
            sql(f"UPDATE stageapp_portfoliocompany SET {what} WHERE id = %s", ids[1])
            written.set()
            until_blocked()

    before_write(lambda: (elsewhere(edit), written.wait(5)))
    worker.advance(run)
    assert run.state == State.DONE
    assert column()[ids[1]] == stage
    assert [entry[1:] for entry in log_of(run) if entry[0] == ids[1]] == logged
    assert PortfolioCompany.objects.get(pk=ids[1]).sector == ("Energy" if "sector" in what else "")


def test_rows_inserted_behind_the_cursor_are_found_by_the_sweep(
    started, fill, elsewhere, batches_of_50
):
    fill(*["Seed"] * 300)
    run = started()
    sql("UPDATE stageapp_portfoliocompany SET id = id + 1000")
    inserted = iter(range(1, 11))

    def insert(_):
        key = next(inserted, None)
        if key:
            sql(
                "INSERT INTO stageapp_portfoliocompany (id, fund_id, name, stage, sector, "
                "updated_at) SELECT %s, min(id), 'late', 'Seed', '', now() FROM stageapp_fund",
                key,
            )

    worker.advance(run, report=lambda result: elsewhere(insert, result).join())
    assert run.state == State.DONE
    assert next(inserted, None) is None
    assert set(column().values()) == {"seed"}
    assert len(column()) == len(log_of(run)) == 310


def test_twenty_rows_a_second_written_meanwhile_on_both_sides_of_the_cursor_are_found(
    started, fill, elsewhere, batches_of_50, settings
):
    settings.STAGE_BATCH_PAUSE_SECONDS = 0.3
    fill(*["Seed"] * 1500)
    run = started()
    sql("UPDATE stageapp_portfoliocompany SET id = id + 10000")
    behind = []

    def write():
        for number in range(1, 41):
            key = number if number % 2 else 100_000 + number
            position = sql("SELECT position FROM stageapp_checkpoint WHERE direction = 'forward'")[
                0
            ][0]
            behind.append(key <= int(position or 0))
            sql(
                "INSERT INTO stageapp_portfoliocompany (id, fund_id, name, stage, sector, "
                "updated_at) SELECT %s, min(id), 'late', 'Seed', '', now() FROM stageapp_fund",
                key,
            )
            time.sleep(0.05)

    writer = elsewhere(write)
    worker.advance(run)
    assert not writer.is_alive(), "the run was over before the writer"
    assert 10 < sum(behind) < 40
    assert run.state == State.DONE
    assert set(column().values()) == {"seed"}
    assert len(log_of(run)) == 1540


def test_rows_deleted_during_the_run_are_no_fault(started, fill, elsewhere, batches_of_50):
    ids = fill(*["Seed"] * 400)
    run = started()
    gone = {*ids[40:160], ids[-1], ids[200]}  # a whole batch, the largest key, one in the middle
    once = [1]

    def delete(_):
        if once:
            once.pop()
            PortfolioCompany.objects.filter(pk__in=gone).delete()

    worker.advance(run, report=lambda result: elsewhere(delete, result).join())
    assert run.state == State.DONE
    assert set(column()) == set(ids) - gone
    assert set(column().values()) == {"seed"}
    changed_before = {key for key, _, _ in log_of(run)} & gone
    assert changed_before == set(ids[40:50])
    assert run.verifications.get().found["rows_deleted_since"] == 10


def test_a_row_that_a_writer_holds_is_waited_for_with_smaller_batches(started, fill, hold, retried):
    fill(*["Seed"] * 200)
    run = started()
    hold(120, lambda: len(retried) >= 2)
    worker.advance(run)
    assert run.state == State.DONE
    assert [fields["batch_rows"] for fields in retried[:2]] == [2000, 1000]
    assert all("lock timeout" in fields["error"] for fields in retried)
    assert set(column().values()) == {"seed"}


def test_a_row_held_for_good_fails_the_run_which_goes_on_later(started, fill, hold, batches_of_50):
    ids = fill(*["Seed"] * 200)
    run = started()
    before = column()
    failed = []
    hold(ids[100], lambda: failed)
    with pytest.raises(OperationalError):
        worker.advance(run)
    failed.append(True)
    assert run.state == State.FAILED
    assert "lock timeout" in run.last_error
    assert column()[ids[0]] == "seed"
    assert_i1(run, before)
    worker.advance(runs.start(run, **ME))
    assert run.state == State.DONE
    assert_i1(run, before)


def test_a_deadlock_with_a_writer_in_reverse_order_costs_one_retry(
    started, fill, elsewhere, retried, before_write, monkeypatch
):
    monkeypatch.setattr(batches, "LOCK_TIMEOUT_MS", 5000)
    monkeypatch.setattr(work, "CAP_SECONDS", 20)
    ids = fill(*["Seed"] * 50)
    run = started()
    finished = []

    written = threading.Event()

    def write_in_reverse():
        with transaction.atomic():
            update(ids[-1], sector="last")
            written.set()
            until_blocked()
            update(ids[0], sector="first")
        finished.append(True)

    before_write(lambda: (elsewhere(write_in_reverse), written.wait(5)))
    worker.advance(run)
    assert run.state == State.DONE
    assert finished, "the writer must not be the victim"
    assert ["deadlock" in fields["error"] for fields in retried] == [True]
    assert set(column().values()) == {"seed"}
    assert PortfolioCompany.objects.get(pk=ids[0]).sector == "first"


@pytest.mark.parametrize("act, state", [(runs.pause, State.PAUSED), (runs.cancel, State.CANCELLED)])
def test_a_person_who_stops_the_run_waits_for_one_batch(
    started, fill, elsewhere, once_in_a_batch, batches_of_50, act, state
):
    fill(*["Seed"] * 200)
    run = started()
    once_in_a_batch("pg_sleep(0.2)")
    seen = []

    def stop_it():
        until_asleep()
        seen.append(Batch.objects.count())
        act(Run.objects.get(pk=run.pk), **ME)
        seen.append(Batch.objects.count())

    stopping = elsewhere(stop_it)
    worker.advance(run)
    stopping.join(10)
    assert seen == [0, 1], "it did not wait for the batch in hand"
    assert run.state == state
    assert Batch.objects.count() == 1
    assert sorted(column().values()).count("seed") == 50


@pytest.mark.parametrize("act, after", [(runs.pause, State.PAUSED), (runs.cancel, State.CANCELLED)])
def test_a_run_stopped_in_the_instant_it_finishes_is_stopped(
    started, elsewhere, monkeypatch, act, after
):
    run = started("Seed")
    _just_before(
        monkeypatch, State.VERIFYING, lambda: elsewhere(lambda: act(Run.objects.get(), **ME)).join()
    )
    worker.advance(run)
    assert run.state == after
    if after == State.PAUSED:
        assert worker.advance(runs.start(run, **ME)).state == State.DONE


def test_a_run_resumed_in_the_instant_it_pauses_goes_on(started, elsewhere, monkeypatch):
    run = started("Seed")
    runs.move(run, State.PAUSING, **ME)
    _just_before(
        monkeypatch,
        State.PAUSED,
        lambda: elsewhere(lambda: runs.resume(Run.objects.get(), **ME)).join(),
    )
    assert worker.advance(run).state == State.DONE


def _just_before(monkeypatch, state, act):
    """Let something happen once, right before the worker moves the run to a state."""
    real, planted = runs.move, [act]

    def move(run, new, **kwargs):
        if new == state and planted:
            planted.pop()()
        return real(run, new, **kwargs)

    monkeypatch.setattr(worker.runs, "move", move)


@pytest.mark.parametrize("cut", ["before the commit", "after the commit"])
def test_a_cut_connection_doubles_and_loses_nothing(
    started, fill, batches_of_50, monkeypatch, retried, once_in_a_batch, cut
):
    fill(*["Seed", "seed"] * 100)
    run = started()
    before = column()
    if cut == "before the commit":
        once_in_a_batch("pg_terminate_backend(pg_backend_pid())")
    else:
        _once_after(monkeypatch, batches, "forward", _terminate_own_session)
    held = []
    worker.advance(run, report=lambda _: held.append(leases.is_held(run)))
    assert run.state == State.DONE
    assert len(retried) == 1
    assert min(run.batches.order_by("number").values_list("scanned", flat=True)[:3]) == 50, (
        "no smaller for a cut"
    )
    assert held
    assert all(held), "a batch was written on a new connection without the claim"
    assert_i1(run, before)


def _once_after(monkeypatch, where, name, act):
    real, planted = getattr(where, name), [act]

    def call(*args, **kwargs):
        result = real(*args, **kwargs)
        if planted:
            planted.pop()()
        return result

    monkeypatch.setattr(where, name, call)


def _terminate_own_session():
    sql("SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_worker_out_of_time_leaves_the_run_for_the_next(started, fill, batches_of_50):
    fill(*["Seed"] * 200)
    run = worker.advance(started(), budget_seconds=0)
    assert (run.state, Batch.objects.count()) == (State.RUNNING, 1)
    assert not leases.is_held(run)
    assert worker.advance(run).state == State.DONE


def test_the_claim_goes_back_when_the_work_is_interrupted(started, monkeypatch):
    run = started("Seed")

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.advance(run, report=interrupt)
    assert not leases.is_held(run)
    assert not connection.in_atomic_block
    assert worker.advance(run).state == State.DONE
