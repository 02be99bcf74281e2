"""A run waits while the database is not well: real waiters, real old transactions, limits
changed meanwhile.
"""

import datetime
import threading
import time
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest
from django.db import DatabaseError, OperationalError

from stageapp.backups import postgres
from stageapp.infrastructure import events
from stageapp.models import RunThrottle, ThrottledTime, ThrottleLook
from stageapp.models.batches import Checkpoint, Direction
from stageapp.models.normalization import State
from stageapp.normalization import drain, health, leases, runs, throttle, worker
from stageapp.normalization import limits as throttling
from stageapp.normalization import plan as plans
from stageapp.normalization.throttle import Throttle
from stageapp.targets.errors import IllegalMove
from tests.normalization.evidence import LABEL, ME, column, sql
from tests.normalization.processes import state_of, wait_for


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(throttle, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(throttle, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(throttle, "_TELL_SECONDS", 0.05)


@contextmanager
def another_session():
    with psycopg.connect(**postgres.live()) as session:
        yield session
        session.rollback()


@contextmanager
def an_old_transaction():
    with another_session() as session:
        session.execute("SELECT 1")
        yield session


def look(run):
    found = Throttle(run)
    return found.look(), {one.factor.name: one for one in found.judged}


def held_by(run):
    return throttling.shown(run).reason


def test_all_is_well_with_the_limits_as_shipped(started):
    hold, judged = look(started("Seed"))
    assert hold is None
    assert {name: one.standing.value for name, one in judged.items()} == {
        "replica_lag": "nothing to measure",
        "lock_waiters": "ok",
        "active_sessions": "ok",
        "wal_files": "nothing to measure",
        "transaction_age": "ok",
        "disk_free": "nothing to measure",
    }


def test_an_old_transaction_holds_the_run_until_it_ends(started, limits, elsewhere):
    run = started("Seed", "seed ", "Series A")
    limits(transaction_age=0.3)
    with an_old_transaction():
        wait_for(lambda: look(run)[0] is not None)
        elsewhere(worker.advance, run)
        wait_for(lambda: held_by(run) == "transaction_age")
        wait_for(lambda: throttling.seconds_by_reason(run)["transaction_age"] > 0.2)
        assert "oldest transaction" in throttling.shown(run).hold
        assert sorted(column().values()) == ["Seed", "Series A", "seed "]
        assert run.batches.count() == 0
    wait_for(lambda: state_of(run) == State.DONE)
    assert sorted(column().values()) == ["seed", "seed", "series_a"]


def test_sessions_that_wait_for_a_lock_hold_the_run(started, limits, elsewhere):
    run = started("Seed")
    limits(lock_waiters=2)
    with another_session() as holder, another_session() as first, another_session() as second:
        holder.execute("LOCK stageapp_strategy")
        waiting = [
            threading.Thread(target=one.execute, args=["LOCK stageapp_strategy"])
            for one in (first, second)
        ]
        waiting[0].start()
        wait_for(lambda: look(run)[1]["lock_waiters"].reading.value == 1)
        assert look(run)[0] is None
        waiting[1].start()
        wait_for(lambda: look(run)[0] is not None)
        elsewhere(worker.advance, run)
        wait_for(lambda: held_by(run) == "lock_waiters")
        holder.rollback()
        waiting[0].join(10)
        first.rollback()
        waiting[1].join(10)
    wait_for(lambda: state_of(run) == State.DONE)


def test_active_sessions_hold_the_run(started, limits):
    run = started("Seed")
    limits(active_sessions=1)
    with another_session() as busy:
        sleeper = threading.Thread(target=busy.execute, args=["SELECT pg_sleep(0.5)"])
        sleeper.start()
        wait_for(lambda: (hold := look(run)[0]) is not None and hold.reason == "active_sessions", 5)
        sleeper.join(10)
    wait_for(lambda: look(run)[0] is None, 60)  # sessions of other tests on this server count too


def test_a_full_disk_holds_the_run(started, limits, settings, tmp_path):
    run = started("Seed")
    settings.STAGE_DISK_PATHS = [str(tmp_path)]
    limits(disk_free=100)  # no file system is empty
    hold, _ = look(run)
    assert (hold.reason, hold.limit) == ("disk_free", 100)
    assert str(tmp_path) in hold.text
    limits(disk_free=0.000001)
    assert look(run)[0] is None


def test_a_folder_that_is_not_there_is_not_measured(started, limits, settings, tmp_path):
    settings.STAGE_DISK_PATHS = [str(tmp_path / "nowhere")]
    limits(disk_free=10)
    _, judged = look(started("Seed"))
    assert judged["disk_free"].standing == "not measured"
    assert "nowhere" in judged["disk_free"].reading.note


@pytest.mark.parametrize("ask, state", [(runs.pause, State.PAUSED), (runs.cancel, State.CANCELLED)])
def test_a_held_run_is_paused_and_cancelled_at_once(
    started, limits, elsewhere, settings, tmp_path, ask, state
):
    run = started("Seed")
    settings.STAGE_DISK_PATHS = [str(tmp_path)]
    limits(disk_free=100)
    at_work = elsewhere(worker.advance, run)
    wait_for(lambda: held_by(run) == "disk_free")
    wait_for(lambda: leases.last_heartbeat(run), what="a heartbeat")
    beaten = leases.last_heartbeat(run)
    wait_for(lambda: leases.last_heartbeat(run) > beaten, what="another heartbeat")
    run.refresh_from_db()
    ask(run, **ME)
    at_work.join(10)
    assert state_of(run) == state
    assert column() == {1: "Seed"}


def test_a_held_worker_that_is_drained_gives_its_shard_back(
    started, limits, elsewhere, settings, tmp_path
):
    run = started("Seed")
    settings.STAGE_DISK_PATHS = [str(tmp_path)]
    limits(disk_free=100)
    at_work = elsewhere(partial(worker.advance, run, stop=drain.draining))
    wait_for(lambda: held_by(run) == "disk_free")
    drain.switch(draining=True, **ME)
    at_work.join(10)
    assert not at_work.is_alive()
    assert not leases.is_held(run)
    assert state_of(run) == State.RUNNING


def test_a_held_run_whose_worker_is_stuck_is_paused_by_force(
    started, limits, elsewhere, settings, tmp_path, monkeypatch
):
    run = started("Seed")
    settings.STAGE_DISK_PATHS = [str(tmp_path)]
    limits(disk_free=100)
    at_work = elsewhere(worker.advance, run)
    wait_for(lambda: held_by(run) == "disk_free")
    run.refresh_from_db()
    with pytest.raises(IllegalMove, match="not stuck"):  # a held worker's heart beats
        runs.force_pause(run, **ME)
    monkeypatch.setattr(runs, "STUCK_AFTER", datetime.timedelta(0))
    runs.force_pause(run, **ME)
    assert run.state == State.PAUSED
    at_work.join(10)
    assert not at_work.is_alive()
    assert state_of(run) == State.PAUSED
    assert column() == {1: "Seed"}


def test_what_is_done_in_one_transaction_never_waits_in_it(
    fill, limits, elsewhere, settings, tmp_path
):
    fill("Seed")
    run = plans.make_plan(LABEL, actor="tester").run
    settings.STAGE_DISK_PATHS = [str(tmp_path)]
    limits(disk_free=100)
    at_work = elsewhere(partial(worker.run_at_once, run, **ME))
    at_work.join(10)
    if at_work.is_alive():
        throttling.change(
            run, {"disk_free": 0}, **ME
        )  # lets the worker go, so that the test fails and does not hang
    assert state_of(run) == State.DONE
    assert column() == {1: "seed"}
    assert not ThrottledTime.objects.exists()


def test_workers_that_wait_together_count_a_second_once(
    started, limits, elsewhere, settings, tmp_path
):
    settings.STAGE_DISK_PATHS = [str(tmp_path)]
    run = started("Seed", "seed ")
    Checkpoint.objects.filter(run=run).update(upper="1")
    Checkpoint.objects.create(run=run, direction=Direction.FORWARD, shard=1, lower="1")
    type(run).objects.filter(pk=run.pk).update(shards=2)
    limits(disk_free=100)
    began = time.monotonic()
    stop = threading.Event()
    crew = [
        elsewhere(partial(worker.advance, type(run).objects.get(pk=run.pk), stop=stop.is_set))
        for _ in range(2)
    ]
    wait_for(lambda: len(leases.held(run)) == 2)
    time.sleep(2)
    stop.set()
    for one in crew:
        one.join(10)
    took = time.monotonic() - began
    assert (
        0.5 < throttling.seconds_by_reason(run)["disk_free"] < 1.5 * took
    )  # counted by each it would be twice


def test_a_worker_that_comes_later_keeps_to_the_hold_that_is_on(started, limits, monkeypatch):
    run, value = started("Seed"), {"now": 11.0}
    limits(lock_waiters=10)
    monkeypatch.setattr(throttle, "LOOK_SECONDS", 0)
    monkeypatch.setattr(
        health,
        "read",
        lambda *_: health.unreadable("") | {"lock_waiters": health.Reading(value["now"])},
    )
    first = Throttle(run)
    assert first.look() is not None
    value["now"] = 9.0  # below the limit, above the one to go on at
    second = Throttle(run)
    assert second.look() is not None
    assert held_by(run) == "lock_waiters"
    value["now"] = 7.0
    assert (first.look(), second.look()) == (None, None)
    value["now"] = 9.0
    assert (first.look(), Throttle(run).look()) == (None, None)


def test_a_limit_changed_while_it_waits_lets_it_go_on(
    started, limits, elsewhere, settings, tmp_path
):
    run = started("Seed")
    settings.STAGE_DISK_PATHS = [str(tmp_path)]
    limits(disk_free=100)
    elsewhere(worker.advance, run)
    wait_for(lambda: held_by(run) == "disk_free")
    throttling.change(
        run, {"disk_free": 0.001}, actor="ann", reason="the folder is on another disk"
    )
    wait_for(lambda: state_of(run) == State.DONE)
    (row,) = RunThrottle.objects.all()
    assert (row.factor, row.limit, row.actor, row.reason) == (
        "disk_free",
        0.001,
        "ann",
        "the folder is on another disk",
    )


def test_a_changed_limit_is_held_against_the_value_anew(
    started, limits, settings, tmp_path, monkeypatch
):
    run, value = started("Seed"), {"now": 11.0}
    limits(lock_waiters=10)
    monkeypatch.setattr(
        health,
        "read",
        lambda *_: health.unreadable("") | {"lock_waiters": health.Reading(value["now"])},
    )
    eye = Throttle(run)
    monkeypatch.setattr(throttle, "LOOK_SECONDS", 0)
    assert eye.look().value == 11
    value["now"] = 9.0
    assert eye.look() is not None  # above the limit to go on at
    throttling.change(run, {"lock_waiters": 10.5}, **ME)
    assert eye.look() is None


def test_a_look_that_fails_shows_that_nothing_is_measured_and_the_run_goes_on(
    started, limits, monkeypatch
):
    run = started("Seed")
    limits(lock_waiters=10)
    logged = []
    monkeypatch.setattr(events, "throttle_look_failed", lambda **fields: logged.append(fields))
    monkeypatch.setattr(health, "_SESSIONS", "SELECT pg_sleep(30)")
    monkeypatch.setattr(health, "LOOK_TIMEOUT", "50ms")
    worker.advance(run)
    assert run.state == State.DONE
    readings = {one["factor"]: one for one in ThrottleLook.objects.get(run=run).readings}
    assert readings["lock_waiters"]["state"] == "not measured"
    assert "statement timeout" in readings["lock_waiters"]["note"]
    assert not logged, "the other factors were read"
    assert sql("SHOW statement_timeout") == [("0",)]


def test_a_database_that_does_not_answer_a_look_fails_nothing(started, limits, monkeypatch):
    run = started("Seed")
    limits(lock_waiters=10)

    def cut(*_):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(health, "read", cut)
    worker.advance(run)
    assert run.state == State.DONE
    readings = {one["factor"]: one for one in ThrottleLook.objects.get(run=run).readings}
    assert "the check failed" in readings["lock_waiters"]["note"]


def test_a_hold_outlives_a_look_that_fails_for_a_while(started, limits, monkeypatch):
    run = started("Seed")
    limits(lock_waiters=10)
    monkeypatch.setattr(throttle, "LOOK_SECONDS", 0)
    answers = [{"lock_waiters": health.Reading(11)}, DatabaseError("no"), DatabaseError("no")]

    def read(*_):
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return health.unreadable("") | answer

    monkeypatch.setattr(health, "read", read)
    eye = Throttle(run)
    assert eye.look() is not None
    assert eye.look() is not None
    monkeypatch.setattr(throttle, "_PATIENCE_SECONDS", 0)
    assert eye.look() is None
