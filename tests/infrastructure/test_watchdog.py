"""The watchdog against real PostgreSQL backends that are stopped, as by SIGSTOP or a machine
that swaps.
"""

import os
import signal
import threading
import time

import pytest
from django.db import Error, connection

from stageapp.infrastructure import events, watchdog
from stageapp.infrastructure.watchdog import Watchdog
from tests.processes import ANSWER_THE_MODE, process
from tests.servers import running

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def cuts(monkeypatch):
    """Look for hangs of 0.3 s; return the log of cut connections."""
    logged = []
    monkeypatch.setattr(watchdog, "HUNG_SECONDS", 0.3)
    monkeypatch.setattr(events, "connection_cut", lambda **fields: logged.append(fields))
    return logged


@pytest.fixture
def table():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE watched (n integer)")
        cursor.execute("INSERT INTO watched VALUES (0)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE watched")


def run(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


class Watched:
    """A thread with a connection of its own that runs statements one after the other, under a
    watchdog.
    """

    def __init__(self, *statements):
        self.dog, self.errors, self.pids = Watchdog(), [], []
        self._statements = statements
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        self.dog.watch_this_thread()
        for statement in self._statements:
            try:
                with self.dog.watching(statement):
                    connection.ensure_connection()
                    self.pids.append(connection.connection.info.backend_pid)
                    run(statement)
            except Error as error:
                self.errors.append(error)
                connection.close()
        connection.close()
        self.dog.close()

    def stop_backend(self):
        """Stop the backend once it is at work; return its pid."""
        deadline = time.monotonic() + 5
        while not (self.pids and self._sleeping()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(self.pids[0], signal.SIGSTOP)
        return self.pids[0]

    def _sleeping(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT wait_event FROM pg_stat_activity WHERE pid = %s", [self.pids[0]])
            row = cursor.fetchone()
        return row is not None and row[0] == "PgSleep"

    def look_until_done(self):
        while self.thread.is_alive():
            self.dog.look()
            self.thread.join(0.05)


SLOW_OLD = "UPDATE watched SET n = 1 FROM pg_sleep(0.2)"
NEW = "UPDATE watched SET n = 2"


def stored():
    with connection.cursor() as cursor:
        cursor.execute("SELECT n FROM watched")
        return cursor.fetchone()[0]


def wait_until_gone(pid):
    deadline = time.monotonic() + 5
    with connection.cursor() as cursor:
        while cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_thread_is_freed_from_a_stopped_backend_and_what_that_would_write_later_is_lost(
    table, cuts
):
    watched = Watched(SLOW_OLD, NEW)
    pid = watched.stop_backend()
    try:
        watched.look_until_done()
        assert stored() == 2
        assert len(watched.errors) == 1
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until_gone(pid)
    assert stored() == 2
    assert [cut["job"] for cut in cuts] == [SLOW_OLD]
    assert 0.3 <= cuts[0]["seconds"] < 2


def test_of_rounds_that_wait_for_a_lock_of_a_stopped_backend_the_last_one_wins(table):
    rounds = [f"UPDATE watched SET n = {number}" for number in range(2, 12)]
    watched = Watched("UPDATE watched SET n = 1; SELECT pg_sleep(0.2)", *rounds)
    pid = watched.stop_backend()
    going_on = threading.Timer(1.0, os.kill, [pid, signal.SIGCONT])
    going_on.start()
    watched.look_until_done()
    going_on.join()
    for each in watched.pids:
        wait_until_gone(each)
    assert stored() == 11
    assert len(watched.errors) >= 2


def test_work_that_takes_long_but_ends_in_time_is_left_alone(table, monkeypatch, cuts):
    monkeypatch.setattr(watchdog, "HUNG_SECONDS", 5)
    watched = Watched(SLOW_OLD, NEW)
    watched.look_until_done()
    assert (watched.errors, cuts, stored()) == ([], [], 2)


def test_nobody_elses_backend_is_ended(table):
    others = connection.connection.info.backend_pid
    watched = Watched(SLOW_OLD, NEW)
    pid = watched.stop_backend()
    watched.dog._left_behind.append(others)  # as if the pid had passed to somebody else meanwhile
    try:
        watched.look_until_done()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert connection.connection.info.backend_pid == others
    assert stored() == 2


def test_an_idle_thread_and_one_without_a_connection_are_left_alone(cuts):
    dog = Watchdog()
    dog.look()
    with dog.watching("nothing"):
        time.sleep(0.4)
        dog.look()
    assert cuts == []


QUICK_DOG = "from stageapp.infrastructure import watchdog\nwatchdog.HUNG_SECONDS = 1.0\n"
CHANGE = 'row = modes.change(mode="off", actor="test", reason="a test")\nsay(version=row.version)'
FIND = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'stage-refresher %'")
    say(pids=[row[0] for row in cursor])
"""


def test_a_process_whose_backend_is_stopped_follows_the_mode_again(tmp_path):
    with running(tmp_path) as servers:
        alone = {"REDIS_URL": "unix:///nonexistent/redis.sock?db=0", "STAGE_REFRESH_SECONDS": "0.2"}
        with process(QUICK_DOG + ANSWER_THE_MODE, **servers.environment | alone) as one:
            one.until(lambda answer: answer["source"] == "postgres", 10)
            with process(FIND, **servers.environment) as looking:
                [pid] = looking.hear()["pids"]
            os.kill(pid, signal.SIGSTOP)
            try:
                with process(CHANGE, **servers.environment | alone) as changer:
                    made = changer.hear()["version"]
                assert one.until(lambda answer: answer["version"] == made, 15) < 10
                one.until(lambda _: any("connection_cut" in line for line in one.stderr), 5)
            finally:
                os.kill(pid, signal.SIGCONT)
