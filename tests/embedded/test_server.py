"""Starting after every kind of bad end."""

import os
import shutil
import signal
import socket
import threading
import time
from contextlib import suppress

import psutil
import psycopg
import pytest

from stageapp import embedded
from stageapp.embedded import server as server_module
from tests.embedded.conftest import ask, connect, keep_a_seven, postgres_at, redis_at, redis_client


def again(root, bare):
    bare.delenv("DATABASE_URL", raising=False)
    bare.delenv("REDIS_URL", raising=False)
    return embedded.provide(root, durable=False)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)


def wait_for_end(pid):
    deadline = time.monotonic() + 10
    while ended(pid) is False:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_both_servers_come_back_after_kill_9(running, bare):
    keep_a_seven(running)
    with redis_client(redis_at(running).url) as client:
        client.set("kept", "7")
        time.sleep(1.1)  # appendfsync everysec; a killed process loses less than a cut power line
    for status in embedded.status(running):
        kill(status.pid)
    services = again(running, bare)
    assert services.started == ("postgres18", "redis")
    assert ask(postgres_at(running), "SELECT n FROM kept") == 7
    with redis_client(redis_at(running).url) as client:
        assert client.get("kept") == "7"


def test_orphans_of_a_killed_postmaster_are_ended(running, bare):
    postgres = postgres_at(running)
    with connect(postgres) as connection:
        orphan = psutil.Process(connection.info.backend_pid)
        asleep = threading.Thread(target=_sleep_until_cut, args=(connection,))
        asleep.start()
        while not ask(
            postgres, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        ):
            time.sleep(0.01)
        orphan.suspend()  # so it cannot notice by itself that its postmaster died
        kill(postgres.main_pid())
        assert orphan.is_running()
        assert again(running, bare).started == ("postgres18",)
        assert ended(orphan.pid)
        asleep.join(10)
    assert ask(postgres, "SELECT 1") == 1


def _sleep_until_cut(connection):
    with suppress(psycopg.OperationalError):
        connection.execute("SELECT pg_sleep(300)")


def test_a_pid_file_that_names_a_living_stranger_does_not_hold_it_up(running, bare):
    postgres = postgres_at(running)
    pid_file, socket_lock = (
        postgres.data / "postmaster.pid",
        postgres.socket.with_name(".s.PGSQL.5432.lock"),
    )
    lines = pid_file.read_text().splitlines()
    embedded.stop(running)
    stranger = postgres_user_process(postgres)
    try:
        for file in (pid_file, socket_lock):
            file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert postgres.main_pid() is None
        assert again(running, bare).started == ("postgres18", "redis")
        assert stranger.is_running()
    finally:
        stranger.kill()
        stranger.wait()


def postgres_user_process(postgres):
    """Start a process that is not a server, of the user whose pids PostgreSQL takes seriously."""
    user = {"user": postgres.account.pw_uid} if postgres.account else {}
    return psutil.Popen(["/bin/sleep", "300"], **user)


def test_an_emptied_tmp_while_the_servers_run_gives_reachable_servers_again(running, bare):
    old = {status.pid for status in embedded.status(running)}
    shutil.rmtree(postgres_at(running).location.sockets)
    assert {status.state for status in embedded.status(running)} == {"not answering"}
    assert again(running, bare).started == ("postgres18", "redis")
    assert all(ended(pid) for pid in old)


def test_an_emptied_tmp_after_a_stop_is_no_hindrance(running, bare):
    embedded.stop(running)
    shutil.rmtree(postgres_at(running).location.sockets)
    assert again(running, bare).started == ("postgres18", "redis")


def test_a_half_finished_initdb_is_begun_anew(running, bare):
    postgres = postgres_at(running)
    embedded.stop(running)
    half = postgres.data.rename(postgres.home / "postgres18.new")
    (half / "global" / "pg_control").unlink()
    assert again(running, bare).started == ("postgres18", "redis")
    assert ask(postgres, "SELECT 1") == 1


INTERRUPTED = """
import sys
from pathlib import Path
from stageapp import embedded
embedded.PROJECT = Path(sys.argv[1]).parent
embedded.provide(Path(sys.argv[1]), durable=False)
"""


@pytest.mark.parametrize("seconds", [0.3, 0.5, 0.7, 0.9])
def test_a_start_that_is_killed_halfway_is_finished_by_the_next(root, bare, start_python, seconds):
    child = start_python(INTERRUPTED, root)
    time.sleep(seconds)
    child.kill()
    child.communicate()
    again(root, bare)
    assert ask(postgres_at(root), "SELECT 1") == 1


def test_a_server_that_hangs_is_reported_and_not_killed(running, bare):
    bare.setattr(server_module, "START_LIMIT", 1.0)
    redis = redis_at(running)
    hung = psutil.Process(redis.main_pid())
    hung.suspend()
    try:
        with pytest.raises(
            embedded.EmbeddedError, match=r"redis \(pid \d+\) has not answered.*services stop"
        ):
            again(running, bare)
        assert hung.is_running()
        assert [status.state for status in embedded.status(running)] == ["running", "not answering"]
    finally:
        hung.resume()


@pytest.mark.parametrize(
    "waiting", [0, 600]
)  # callers, each of which keeps its place in the server's queue
def test_who_can_do_without_redis_does_not_wait_for_one_that_hangs(waiting, running, bare, capsys):
    redis = redis_at(running)
    hung = psutil.Process(redis.main_pid())
    hung.suspend()
    callers = [_call(redis.socket) for _ in range(waiting)]
    bare.delenv("REDIS_URL")
    try:
        began = time.monotonic()
        services = embedded.provide(running, durable=False, needs_redis=False)
        assert time.monotonic() - began < 2
        assert (services.redis_url, services.started) == (redis.url, ())
        assert "The embedded Redis hangs; continuing without it" in capsys.readouterr().err
    finally:
        hung.resume()
        for caller in callers:
            caller.close()
    bare.delenv("REDIS_URL")
    embedded.provide(running, durable=False, needs_redis=False)
    assert capsys.readouterr().err == ""


def _call(path):
    caller = socket.socket(socket.AF_UNIX)
    caller.setblocking(False)
    with suppress(BlockingIOError):
        caller.connect(str(path))
    return caller


def test_stop_ends_a_server_that_hangs(running, bare):
    bare.setattr(server_module, "STOP_LIMIT", 1.0)
    psutil.Process(postgres_at(running).main_pid()).suspend()
    assert embedded.stop(running) == ["postgres18", "redis"]
    assert {status.state for status in embedded.status(running)} == {"stopped"}
    assert again(running, bare).started == ("postgres18", "redis")


def test_the_end_of_the_log_is_in_the_message_of_a_failed_start(running, bare):
    embedded.stop(running)
    with (postgres_at(running).data / "postgresql.conf").open("a") as file:
        file.write("\nno_such_setting = 1\n")
    begin = time.monotonic()
    with pytest.raises(
        embedded.EmbeddedError, match=r"(?s)postgres18 ended while it started.*no_such_setting"
    ):
        again(running, bare)
    assert time.monotonic() - begin < 10, "a server that ended is not waited for"


def test_a_big_log_begins_anew_at_a_start(running, bare):
    embedded.stop(running)
    log = postgres_at(running).log
    os.truncate(log, server_module.LOG_LIMIT + 1)
    again(running, bare)
    assert 0 < log.stat().st_size < 100_000


def test_the_callers_environment_does_not_reach_the_server(root, bare):
    bare.setenv("PGPORT", "9")
    bare.setenv("PGDATA", "/nowhere")
    bare.setenv("LC_ALL", "C.UTF-8")
    assert embedded.provide(root, durable=False) is not None
    assert ask(postgres_at(root), "SHOW port") == "5432"
