"""A real standby whose replay stands still: the run waits, says why, and goes on by itself."""

import json
import time
from contextlib import contextmanager

import pytest

from tests.normalization.own_server import begin_run, fill
from tests.normalization.processes import manage, wait_for
from tests.normalization.replication import ask, session, streaming

ROWS = 24_000
LIMIT = 0.5  # seconds of lag
LOOK = "SELECT coalesce((SELECT reason || ': ' || text FROM stageapp_throttlelook), '')"
BATCHES = "SELECT count(*) FROM stageapp_batch"


@pytest.fixture
def pair(tmp_path):
    """Return a primary with messy rows, and its standby."""
    with streaming(tmp_path) as (primary, standby):
        fill(primary, ROWS)
        yield primary, standby


def settings(primary, **more):
    return {
        "DATABASE_URL": primary.url,
        "STAGE_BATCH_SECONDS": "0.1",
        "STAGE_BATCH_PAUSE_SECONDS": "0.3",
        "STAGE_HOLD": f"replica_lag={LIMIT}",
        **more,
    }


@contextmanager
def started(environment):
    """Begin a run in a process of its own, which ends with the block whatever happens."""
    _, worker = begin_run(**environment)
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def finished(worker):
    """Wait for the end of the run; return what it says of its throttle."""
    out, err = worker.communicate(timeout=180)
    assert worker.returncode == 0, err
    assert json.loads(out)["state"] == "done"
    return json.loads(out)["throttle"]


def seconds_until(cause, effect):
    cause()
    began = time.monotonic()
    wait_for(effect, 30, "the effect")
    return time.monotonic() - began


def check_status(environment):
    code, out, _ = manage("normalization", "status", "--json", **environment)
    said = json.loads(out)["throttle"]
    assert code == 0
    assert said["reason"] == "replica_lag"
    assert said["hold"].startswith("replica lag ")


def held_and_released(primary, standby, environment):
    """Run with the replay paused for a while; return the seconds until it was held and until it
    went on.
    """
    with started(environment) as worker:
        wait_for(lambda: ask(primary, BATCHES) >= 2, 60, "the second batch")
        held = seconds_until(
            lambda: ask(standby, "SELECT pg_wal_replay_pause()", "postgres"),
            lambda: ask(primary, LOOK).startswith("replica_lag"),
        )
        check_status(environment)
        before = ask(primary, BATCHES)
        time.sleep(2)
        assert ask(primary, BATCHES) == before, "a held run has written a batch"
        assert worker.poll() is None
        released = seconds_until(
            lambda: ask(standby, "SELECT pg_wal_replay_resume()", "postgres"),
            lambda: ask(primary, BATCHES) > before,
        )
        assert finished(worker)["seconds_by_reason"]["replica_lag"] > 2
    return held, released


def told_by_the_primary(primary, standby):
    return settings(primary)


def told_by_the_standby_alone(primary, standby):
    """Take from the role what lets it see standbys on the primary, and name the standby by its
    URL.
    """
    with session(primary, "postgres") as connection:
        connection.execute("REVOKE pg_monitor FROM stage")
    return settings(primary, STAGE_STANDBY_URLS=standby.url)


@pytest.mark.parametrize(
    "told", [told_by_the_standby_alone, pytest.param(told_by_the_primary, marks=pytest.mark.full)]
)
def test_a_paused_replay_holds_the_run_until_it_goes_on(pair, told):
    held, released = held_and_released(*pair, told(*pair))
    print(f"\n{told.__name__}: held after {held:.2f} s, went on after {released:.2f} s")


@pytest.mark.full
def test_it_is_held_within_two_seconds(pair):
    held, released = held_and_released(*pair, settings(pair[0]))
    print(f"\nheld after {held:.2f} s at a limit of {LIMIT} s, went on after {released:.2f} s")
    assert held < 2


def test_without_the_privilege_a_standby_is_not_taken_for_a_healthy_one(pair):
    primary, _ = pair
    with session(primary, "postgres") as connection:
        connection.execute("REVOKE pg_monitor FROM stage")
    with session(primary, "postgres") as other, started(settings(primary)) as worker:
        other.execute("SELECT 1")
        readings = {one["factor"]: one for one in finished(worker)["readings"]}
    assert readings["replica_lag"]["state"] == "not measured"
    assert "grant pg_monitor" in readings["replica_lag"]["note"]
    for hidden in ("active_sessions", "transaction_age"):
        assert readings[hidden]["state"] == "not measured"
        assert "sessions of other roles are hidden" in readings[hidden]["note"]
    assert readings["lock_waiters"]["state"] == "ok"
