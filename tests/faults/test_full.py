"""The long versions, with the periods as they are by default; each prints the figure in
docs/reliability.md.
"""

import time
from contextlib import ExitStack

import pytest

from tests.faults.load import Load
from tests.faults.reads import Reads
from tests.faults.test_redis_away import AWAY
from tests.processes import process

pytestmark = pytest.mark.full
SECONDS = 25.0  # of the load without a fault, and of that with one


def test_sixty_seconds_of_a_hanging_redis_cost_no_request_anything(servers, fleet_with, figure):
    """Faults 1 and 13: 50 requests a second on 4 processes; a downgrade arrives after 30 s of
    the hang.
    """
    fleet = fleet_with()
    port = fleet.web(4)
    fleet.registered(4)
    fleet.agreed(fleet.set("enforce"))
    Load(port, rate=50, seconds=5).wait()  # every thread has its connection to PostgreSQL
    before = Load(port, rate=50, seconds=60).wait()
    with servers.hanging(servers.redis):
        during = Load(port, rate=50, seconds=60)
        time.sleep(30)
        made = fleet.set("downgrade")
        took = fleet.agreed(made)
        during.wait()
    figure("fault 1, baseline", before)
    figure("fault 1, Redis stopped for 60 s", during)
    figure("fault 13, seconds until all 4 processes are in warn", f"{took:.2f}")
    assert (before.errors, during.errors) == ([], [])
    late = [answer.mode for answer in during.answers if answer.at > made["at"] + took]
    assert before.modes == {"enforce"}
    assert set(late) == {"warn"}
    assert took < 30
    assert during.milliseconds(99) < before.milliseconds(99) + 20


@pytest.mark.parametrize("fault", [fault for fault in AWAY if fault != "stopped"])
def test_a_redis_that_misbehaves_for_long_costs_no_request_anything(
    fault, servers, proxy, fleet_with, settings, figure
):
    """Faults 2 to 5: 50 requests a second on 4 processes, held against as long a time right
    before.
    """
    settings.REDIS_URL = proxy.url
    fleet = fleet_with(REDIS_URL=proxy.url)
    port = fleet.web(4)
    fleet.registered(4)
    fleet.agreed(fleet.set("enforce"))
    Load(port, rate=50, seconds=5).wait()  # every thread has its connection to PostgreSQL
    with Reads(servers) as reads:
        before = Load(port, rate=50, seconds=SECONDS).wait()
        assert (reads.errors, reads.good > 0) == (0, True)
        with AWAY[fault](servers, proxy):
            during = Load(port, rate=50, seconds=SECONDS).wait()
            took = fleet.agreed(fleet.set("warn"))
    healed = fleet.agreed(fleet.set("off"))
    figure(f"{fault}, baseline", before)
    figure(f"{fault} for {SECONDS:g} s", during)
    figure(f"{fault}, reads", reads)
    figure(
        f"{fault}, seconds until a change is followed during it / after it",
        f"{took:.2f}/{healed:.2f}",
    )
    assert (before.errors, during.errors, before.modes, during.modes) == (
        [],
        [],
        {"enforce"},
        {"enforce"},
    )
    assert (reads.wrong, fleet.log().count("mode_value_ignored")) == (0, 0), (
        "a reply was read as another's"
    )
    assert reads.errors > 0, "the fault must have been met"
    assert max(took, healed) < 5
    assert during.milliseconds(99) < before.milliseconds(99) + 20


@pytest.fixture
def eight(servers, proxy, fleet_with):
    """Return two gunicorns of two processes and two Celery workers of two; the broker is reached as
    another user.

    So messages of ours can be cut off alone: a Celery worker that may not subscribe to its own
    channels ends.
    """
    servers.client.execute_command("ACL", "SETUSER", "broker", "on", ">broker", "~*", "&*", "+@all")
    fleet = fleet_with(STAGE_BROKER_URL=proxy.url.replace("redis://", "redis://broker:broker@"))
    fleet.web(2)
    fleet.web(2)
    fleet.worker(2)
    fleet.worker(2)
    fleet.registered(8, 90)
    time.sleep(3)  # every subscription stands
    return fleet


def test_eight_processes_agree_within_a_second_a_hundred_times(servers, eight, figure):
    took = sorted(
        eight.agreed(eight.set(("enforce", "warn", "off")[turn % 3])) for turn in range(100)
    )
    figure(
        "8 processes agree, 100 switches, seconds p50/p99/max",
        f"{took[50]:.3f}/{took[98]:.3f}/{took[99]:.3f}",
    )
    servers.client.acl_setuser("default", channels=[], reset_channels=True, enabled=True)
    try:
        servers.client.execute_command("CLIENT", "KILL", "USER", "default", "TYPE", "pubsub")
        cut = sorted(
            eight.agreed(eight.set(("enforce", "warn", "off")[turn % 3])) for turn in range(10)
        )
    finally:
        servers.client.execute_command("ACL", "SETUSER", "default", "allchannels")
    figure(
        "8 processes agree, pub/sub cut, 10 switches, seconds p50/max", f"{cut[5]:.2f}/{cut[9]:.2f}"
    )
    assert took[-1] <= 1
    assert cut[-1] <= 5


def test_eight_processes_cut_off_from_both_stores_fall_to_warn_within_thirty_seconds(
    servers, fleet_with, figure
):
    fleet = fleet_with()
    fleet.set("enforce")
    with ExitStack() as stack:
        processes = [stack.enter_context(process(**servers.environment)) for _ in range(8)]
        for each in processes:
            each.until(
                lambda answer: answer["mode"] == "enforce" and answer["source"] == "postgres", 30
            )
        with servers.hanging(servers.redis, servers.postgres):
            began = time.monotonic()
            for each in processes:
                assert each.ask()["mode"] == "enforce"
            for each in processes:
                each.until(lambda answer: answer["mode"] == "warn", 60)
            took = time.monotonic() - began
        healed = max(
            each.until(lambda answer: answer["mode"] == "enforce", 30) for each in processes
        )
    figure("fault 12, both stores hang: seconds until all 8 are in warn", f"{took:.1f}")
    figure("fault 12, seconds until all 8 are in enforce again after healing", f"{healed:.1f}")
    assert took <= 30.5  # looking at 8 processes in turn takes time of its own
    assert healed <= 5
