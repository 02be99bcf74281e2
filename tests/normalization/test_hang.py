"""A PostgreSQL session of the worker is stopped, in a batch or between two; the worker notices
and goes on.
"""

import os
import signal
import threading
import time
from contextlib import suppress

import pytest
from django.db import OperationalError, connection

from stageapp.infrastructure import events
from stageapp.models.normalization import State
from stageapp.normalization import batches, runs, work, worker
from tests.normalization.evidence import assert_i1, column, until_asleep

HUNG = 1.0
AS_SHIPPED = work.HUNG_SECONDS


@pytest.fixture(autouse=True)
def cuts(monkeypatch):
    """Look for hangs of a second; return the log of cut connections."""
    logged = []
    monkeypatch.setattr(work, "HUNG_SECONDS", HUNG)
    monkeypatch.setattr(events, "connection_cut", lambda **fields: logged.append(fields))
    return logged


@pytest.fixture
def stopped():
    """Return a function that stops the calling thread's own session; it goes on after the test,
    or after a minute.
    """
    alarms = []

    def stop():
        pid = connection.connection.info.backend_pid
        alarms.append(threading.Timer(60, wake, [pid]))
        alarms[-1].start()
        os.kill(pid, signal.SIGSTOP)
        return pid

    yield stop
    for alarm in alarms:
        alarm.cancel()
        alarm.function(*alarm.args)


@pytest.fixture
def stop_asleep(elsewhere):
    """Return a function that stops the session which sleeps, and calls another one with its
    process id.
    """

    def stop(then):
        pid = until_asleep()
        os.kill(pid, signal.SIGSTOP)
        try:
            then(pid)
        finally:
            wake(pid)

    return lambda then: elsewhere(stop, then)


def wake(pid):
    """Let a session go on, if it has not ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def once(act):
    """Return a function that calls another one at its first call, whatever it is given."""
    planted = [act]
    return lambda *args, **kwargs: planted.pop()() if planted else None


def test_the_longest_statement_ends_before_it_counts_as_a_hang():
    assert max(batches.CAP_SECONDS, batches.LAST_CAP_SECONDS) < AS_SHIPPED < 30


def test_a_session_stopped_between_two_batches_is_left_behind(
    started, fill, batches_of_50, stopped, cuts
):
    fill(*["Seed", "seed"] * 200)
    run, before = started(), column()
    began = time.monotonic()
    worker.advance(run, report=once(stopped))
    assert run.state == State.DONE
    assert time.monotonic() - began < 15, "it never noticed"
    assert [cut["seconds"] >= HUNG for cut in cuts] == [True]
    assert_i1(run, before)


@pytest.mark.full
def test_as_shipped_it_is_noticed_within_30_seconds(
    started, fill, batches_of_50, stopped, cuts, monkeypatch
):
    monkeypatch.setattr(work, "HUNG_SECONDS", AS_SHIPPED)
    fill(*["Seed", "seed"] * 200)
    run, before = started(), column()
    stopped_at = []
    committed = []

    def report(_):
        if not stopped_at:
            stopped()
            stopped_at.append(time.monotonic())
        else:
            committed.append(time.monotonic())

    worker.advance(run, report=report)
    print(
        f"cut off after {cuts[0]['seconds']:.1f} s; the next batch "
        f"{committed[0] - stopped_at[0]:.1f} s after the stop"
    )
    assert (run.state, len(cuts)) == (State.DONE, 1)
    assert committed[0] - stopped_at[0] < 30
    assert_i1(run, before)


def test_a_session_stopped_in_a_batch_writes_nothing_when_it_wakes(
    started, fill, batches_of_50, stop_asleep, cuts, retried, once_in_a_batch
):
    fill(*["Seed", "seed"] * 200)
    run, before = started(), column()
    woken = threading.Event()

    def wake_later(pid):
        deadline = time.monotonic() + 15
        while not (cuts and len(retried) >= 2) and time.monotonic() < deadline:
            time.sleep(0.01)  # until the next session has met the locks of the stopped one
        woken.set()
        wake(pid)

    once_in_a_batch("pg_sleep(0.2)")
    stop_asleep(wake_later)
    worker.advance(run)
    assert run.state == State.DONE
    assert woken.is_set()
    assert len(cuts) == 1
    assert_i1(run, before)


def test_a_session_stopped_for_longer_than_the_retries_leaves_a_run_that_goes_on(
    started, fill, batches_of_50, stop_asleep, once_in_a_batch, monkeypatch
):
    """The worker gives up; nobody moves the run past a batch that may still commit; then the
    next worker goes on.
    """
    fill(*["Seed", "seed"] * 200)
    run, before = started(), column()
    monkeypatch.setattr(work, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(runs, "BATCH_END_SECONDS", 0.2)
    given_up = threading.Event()
    in_time = []
    once_in_a_batch("pg_sleep(0.2)")
    holding = stop_asleep(lambda _: in_time.append(given_up.wait(15)))
    try:
        with pytest.raises(OperationalError, match="lock timeout"):
            worker.advance(run)
        run.refresh_from_db()
        assert (run.state, "lock timeout" in run.last_error) == (State.RUNNING, True)
    finally:
        given_up.set()
    holding.join()
    assert in_time == [True], "the worker hung with it"
    worker.advance(run)
    assert run.state == State.DONE
    assert_i1(run, before)
