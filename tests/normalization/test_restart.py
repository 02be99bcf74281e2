"""PostgreSQL itself dies or stands still in the middle of a run and comes back; the worker goes
on by itself.
"""

import signal
import time

import psutil
import pytest

from stageapp.embedded.server import wait_for_end
from tests.normalization.own_server import assert_done, batches, begin_run, server  # noqa: F401  a fixture
from tests.normalization.processes import wait_for

# ruff: noqa: F811  fixtures are used under the names they are imported by


def everybody(postgres):
    """Return PostgreSQL's main process and all of its children."""
    main = psutil.Process(postgres.main_pid())
    return [main, *main.children(recursive=True)]


def crash(postgres):
    """End PostgreSQL as a crash would: no checkpoint, no goodbye."""
    processes = everybody(postgres)
    processes[0].send_signal(signal.SIGQUIT)
    wait_for_end(processes, 20)


def another_batch(postgres):
    """Wait until one more batch is committed; return the seconds that took."""
    seen, began = batches(postgres), time.monotonic()
    wait_for(lambda: batches(postgres) > seen, 60, "another batch")
    return time.monotonic() - began


@pytest.mark.parametrize("crashes", [2, pytest.param(10, marks=pytest.mark.full)])
def test_a_run_survives_crashes_of_postgresql(server, figure, crashes):
    pace = {
        "STAGE_BATCH_SECONDS": "0.05",
        "STAGE_BATCH_PAUSE_SECONDS": str(0.1 if crashes == 2 else 0.5),
    }
    plan, worker = begin_run(DATABASE_URL=server.url, **pace)
    another_batch(server)
    seconds = []
    for number in range(crashes):
        assert worker.poll() is None, f"the run was over before crash {number}"
        crash(server)
        time.sleep(0.3)
        assert server.ensure()
        seconds.append(another_batch(server))
    said = assert_done(server, plan, worker)
    assert said.count("batch_retried") >= crashes
    figure(
        f"34: {crashes} crashes, the longest until a batch was committed again, s",
        round(max(seconds), 2),
    )


@pytest.mark.full
def test_a_server_that_stands_still_as_a_whole_is_left_and_waited_for(server, figure):
    pace = {"STAGE_BATCH_SECONDS": "0.05", "STAGE_BATCH_PAUSE_SECONDS": "0.5"}
    plan, worker = begin_run(DATABASE_URL=server.url, **pace)
    another_batch(server)
    stopped = everybody(server)
    for process in stopped:
        process.suspend()
    try:
        time.sleep(35)
        assert worker.poll() is None, "the worker gave up"
    finally:
        for process in reversed(stopped):
            process.resume()
    seconds = another_batch(server)
    said = assert_done(server, plan, worker)
    assert "connection_cut" in said, "it was not noticed"
    figure(
        "36: all of PostgreSQL stopped for 35 s; after it woke a batch was committed in, s",
        round(seconds, 2),
    )
