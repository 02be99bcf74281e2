"""Faults 11 and 15: servers that start while stores are away, and workers forked from a loaded
application.
"""

import time

import pytest

from tests.faults.conftest import QUICK
from tests.faults.load import Load, ask
from tests.processes import process
from tests.servers import running

START = """
began = time.monotonic()
modes.await_first_answer()
state = modes.current()
say(mode=state.mode, source=state.source, seconds=time.monotonic() - began)
"""
CHANGE = "modes.change(mode='enforce', actor='test', reason='a test')\nsay(done=True)"


@pytest.mark.parametrize("mode", ["off", "enforce"])
def test_a_server_that_starts_without_redis_serves_its_first_request_in_the_mode_of_postgres(
    mode, servers, fleet_with
):
    fleet = fleet_with(**QUICK)
    fleet.set(mode)
    servers.kill_redis()
    port = fleet.web(1)
    assert ask(port).mode == mode


@pytest.mark.parametrize(
    "configured, expected", [("off", "off"), ("warn", "warn"), ("enforce", "warn")]
)
def test_a_server_that_starts_without_either_store_serves_the_default(
    configured, expected, servers
):
    environment = servers.environment | {"STAGE_VALIDATION_MODE": configured}
    with servers.hanging(servers.redis, servers.postgres), process(START, **environment) as one:
        told = one.hear()
    assert (told["mode"], told["source"]) == (expected, "default")
    assert told["seconds"] < 3


def test_workers_forked_from_a_preloaded_application_all_follow(fleet_with, figure):
    fleet = fleet_with()
    fleet.set("off")
    port = fleet.web(4, "--preload")
    fleet.registered(4)
    slowest = max(fleet.agreed(fleet.set(mode)) for mode in ("enforce", "warn", "enforce"))
    assert slowest < 5
    assert Load(port, rate=40, seconds=1).wait().modes == {"enforce"}
    figure("fault 15, seconds until four preloaded workers follow, slowest of 3", f"{slowest:.2f}")


def test_without_our_gunicorn_settings_the_first_request_is_in_the_authorised_mode_too(fleet_with):
    fleet = fleet_with()
    fleet.set("off")
    port = fleet.web(2, "--preload", "--threads", "4", config="")
    assert {ask(port).mode for _ in range(10)} == {"off"}


def test_servers_come_back_by_themselves_after_both_stores_hung(tmp_path, fleet_with):
    with running(tmp_path / "own") as servers, process(**servers.environment | QUICK) as one:
        with process(
            "modes.change(mode='enforce', actor='t', reason='t')\nsay(ok=1)", **servers.environment
        ) as changer:
            changer.hear()
        one.until(lambda answer: answer["mode"] == "enforce", 10)
        with servers.hanging(servers.redis, servers.postgres):
            ended = time.monotonic() + 2
            while time.monotonic() < ended:
                answer = one.ask()
                assert (answer["mode"], answer["slowest"] < 0.1) == ("enforce", True)
        assert (
            one.until(lambda answer: answer["age"] < 0.6 and answer["source"] == "postgres", 10) < 5
        )
