"""The webhook waits for PostgreSQL no longer than its sender does: against real backends that
hang.
"""

import os
import signal
import threading
import time

import pytest
from django.db import OperationalError, connection

from stageapp.infrastructure import events
from stageapp.webhook.deliveries import short_transaction

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def cuts(monkeypatch):
    logged = []
    monkeypatch.setattr(events, "connection_cut", lambda **fields: logged.append(fields))
    return logged


def run(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()


def test_work_in_time_is_committed_and_nothing_is_cut(cuts):
    with short_transaction("t", 5.0):
        assert run("SELECT current_setting('lock_timeout')") == ("2500ms",)
    time.sleep(0.05)
    assert run("SELECT current_setting('lock_timeout')") == ("0",)
    assert cuts == []
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def test_a_backend_that_is_stopped_costs_the_bound_and_no_more(cuts):
    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises(OperationalError), short_transaction("t", 0.4):
            run("SELECT 1")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert 0.3 < time.monotonic() - began < 5
    assert cuts == [{"job": "t", "seconds": 0.4}]
    with short_transaction("t", 5.0):
        assert run("SELECT 1") == (1,)


def test_a_lock_that_somebody_holds_is_waited_for_half_the_bound(cuts):
    held, done = threading.Event(), threading.Event()

    def hold():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(424242)")
            held.set()
            done.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(20)
    try:
        with pytest.raises(OperationalError, match="lock timeout"), short_transaction("t", 4.0):
            run("SELECT pg_advisory_xact_lock(424242)")
    finally:
        done.set()
        holder.join()
    assert cuts == []
