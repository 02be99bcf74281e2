"""/metrics of real servers: sums over all processes, those that have ended included, and nobody
counted twice.
"""

import os
import signal
from pathlib import Path

import pytest

from tests.faults.fleet import free_port, until
from tests.faults.load import ask
from tests.observability.conftest import get, scrape

REQUESTS = "stage_requests_total"
FOLDERS = "stage-metrics-*"


def children_of(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def answers(port):
    try:
        return get(port)
    except OSError:
        return None


def until_each_worker_has_counted(fleet, port, folder):
    """Send requests until both processes have answered one; return how many were sent."""
    sent = 0

    def counted():
        nonlocal sent
        sent += 1
        assert ask(port).mode == "warn"
        files = [*folder.glob(f"{FOLDERS}/counter_*.db")]
        return len([file for file in files if b"stage_requests" in file.read_bytes()]) >= 2

    until(counted, 30)
    return sent


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["forked", "preloaded"])
def test_a_scrape_tells_the_sum_over_two_workers_whichever_answers_it(
    fleet_with, tmp_path, preload
):
    fleet = fleet_with()
    fleet.set("warn")
    port = fleet.web(2, *preload)
    fleet.registered(2)
    sent = until_each_worker_has_counted(fleet, port, tmp_path)
    for found in [scrape(port) for _ in range(6)]:
        assert found.value(REQUESTS, endpoint="allocations", mode="warn", outcome="warned") == sent
        assert found.sum("stage_shadow_rejects_total") == sent
        assert found.value("stage_validation_seconds_count", endpoint="allocations") == sent
        assert (
            found.value("stage_validation_seconds_bucket", endpoint="allocations", le="+Inf")
            == sent
        )
        assert found.value("stage_mode_processes", process="web", mode="warn") == 2
        assert found.value("stage_mode_info", mode="warn") == 1
        assert found.value("stage_database_up") == found.value("stage_broker_up") == 1
        assert found.value("stage_processes", process="web", state="live") == 2
        assert found.value("stage_mode_followed_version", process="web") == found.value(
            "stage_mode_version"
        )
        assert not found.sum("stage_mode_refresh_errors_total")
        assert found.sum("stage_mode_refresh_attempts_total", store="postgres") >= 2


def test_what_a_worker_counted_outlives_it_and_the_worker_itself_does_not(fleet_with, tmp_path):
    fleet = fleet_with()
    fleet.set("warn")
    port = fleet.web(2)
    fleet.registered(2)
    sent = until_each_worker_has_counted(fleet, port, tmp_path)
    for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        dead = children_of(fleet._programs[-1].pid)[0]
        os.kill(dead, how)
        until(lambda dead=dead: not [*tmp_path.glob(f"{FOLDERS}/*_{dead}.db")], 30)
        until(
            lambda: scrape(port).value("stage_mode_processes", process="web", mode="warn") == 2, 30
        )
        assert (
            scrape(port).value(REQUESTS, endpoint="allocations", mode="warn", outcome="warned")
            == sent
        )
    files = [*tmp_path.glob(f"{FOLDERS}/counter_*.db")]
    assert len(files) <= 4, files  # two workers, the archive, and the master's own


def test_a_folder_goes_with_its_master_and_one_that_was_killed_is_removed_by_the_next(
    fleet_with, tmp_path
):
    fleet = fleet_with()
    fleet.web(1)
    [first] = tmp_path.glob(FOLDERS)
    ended = fleet._programs.pop()
    ended.terminate()
    ended.wait(30)
    assert not first.exists()
    fleet.web(1)
    [killed] = tmp_path.glob(FOLDERS)
    ended = fleet._programs.pop()
    os.killpg(ended.pid, signal.SIGKILL)
    ended.wait(30)
    os.utime(killed, (0, 0))
    fleet.web(1)
    assert not killed.exists()
    assert len([*tmp_path.glob(FOLDERS)]) == 1


def test_a_worker_tells_the_tasks_of_its_children_at_its_own_port(fleet_with, tmp_path):
    port = free_port()
    fleet = fleet_with(STAGE_WORKER_METRICS_PORT=str(port))
    fleet.worker(2)
    fleet.registered(2)
    name = "stageapp.tasks.take_planned_steps"
    until(lambda: answers(port), 30)
    for _ in range(6):
        fleet._control.ask(f"task {name}")
    until(
        lambda: scrape(port).sum("stage_task_seconds_count", task=name, outcome="success") == 6,
        30,
        lambda: f"{scrape(port).text}\n{fleet.log()}",
    )
    found = scrape(port)
    assert found.sum("stage_mode_processes", process="worker") == 2
    assert not found.all("stage_mode_info")  # that is for the web servers to tell
    [master] = [program.pid for program in fleet._programs]
    killed = children_of(master)[0]
    os.kill(killed, signal.SIGKILL)
    until(lambda: scrape(port).sum("stage_mode_processes", process="worker") == 2, 30)
    until(lambda: killed not in children_of(master), 30)
    assert scrape(port).sum("stage_task_seconds_count", task=name, outcome="success") == 6
    assert not [*tmp_path.glob(f"{FOLDERS}/*_{killed}.db")]
    assert get(port, "/other")[0] == 404


def test_a_worker_whose_port_is_taken_says_so_and_works(fleet_with):
    port = free_port()
    fleet = fleet_with(STAGE_WORKER_METRICS_PORT=str(port))
    fleet.worker(1)
    until(lambda: answers(port), 30)
    fleet.worker(1)
    until(lambda: "worker_metrics_not_served" in fleet.log(), 30)
    fleet.registered(2)


def test_with_postgres_hanging_a_scrape_still_tells_the_counts_in_bounded_time(
    servers, fleet_with, tmp_path
):
    fleet = fleet_with()
    fleet.set("warn")
    port = fleet.web(2)
    fleet.registered(2)
    sent = until_each_worker_has_counted(fleet, port, tmp_path)
    with servers.hanging(servers.postgres):
        for _ in range(3):
            found = scrape(port)
            assert found.value("stage_database_up") == 0
            assert not found.all("stage_mode_info")
            assert found.sum(REQUESTS) == sent
    until(lambda: scrape(port).value("stage_database_up") == 1, 30)
