"""Faults 1-5, 13 and 16: Redis hangs, is gone, drips, swallows, resets or tells half; no request
waits for it.
"""

import time
from contextlib import contextmanager

import pytest
from redis import RedisError

from stageapp.infrastructure.redis import strict
from tests.faults.load import Load
from tests.faults.proxy import FAULTS, Proxy
from tests.faults.reads import Reads

SHORT = {"rate": 20, "seconds": 3}


@contextmanager
def _stopped(servers, proxy):
    with servers.hanging(servers.redis):
        yield


@contextmanager
def _killed(servers, proxy):
    servers.kill_redis()
    yield
    servers.redis.ensure()


def _proxied(fault):
    @contextmanager
    def misbehaving(servers, proxy):
        proxy.misbehave(fault)
        yield
        proxy.misbehave("pass")

    return misbehaving


AWAY = {"stopped": _stopped, "killed": _killed} | {
    fault: _proxied(fault) for fault in FAULTS if fault != "pass"
}


@pytest.mark.parametrize("name", AWAY)
def test_while_redis_is_away_requests_are_as_fast_and_a_change_is_followed(
    name, servers, proxy, site
):
    before = Load(site.port, **SHORT).wait()
    with AWAY[name](servers, proxy):
        during = Load(site.port, **SHORT).wait()
        took = site.agreed(site.set("warn"), 15)
        after = Load(site.port, rate=20, seconds=0.5).wait()
    assert (before.errors, during.errors, after.errors) == ([], [], [])
    assert (before.modes, during.modes, after.modes) == ({"enforce"}, {"enforce"}, {"warn"})
    # A request that waited on Redis would take 100 ms at least; a busy machine delays a few, not
    # most.
    assert during.milliseconds(50) < before.milliseconds(50) + 20, f"{before}, then {during}"
    assert during.milliseconds(90) < before.milliseconds(90) + 80, f"{before}, then {during}"
    assert took < 5
    assert site.agreed(site.set("off"), 15) < 5  # and healed, without a person


def test_a_downgrade_by_an_alert_while_redis_hangs_reaches_every_process(servers, site):
    with servers.hanging(servers.redis):
        made = site.set("downgrade")
        assert site.agreed(made, 30) < 10
        assert {one["mode"] for one in site.seen()} == {"warn"}
        assert Load(site.port, rate=20, seconds=0.5).wait().modes == {"warn"}


@pytest.mark.parametrize("fault", ["reset", "half", "close", "drip"])
def test_no_reply_is_read_as_anothers(fault, servers, proxy, settings):
    """The client a process reads with, through the fault and after it: each key has its own
    value, or an error.
    """
    settings.REDIS_URL = proxy.url
    reads = Reads(servers)
    proxy.misbehave(fault)
    for turn in range(8):
        if turn == 4:
            proxy.misbehave("pass")
        reads.once()
    reads.close()
    assert reads.wrong == 0
    assert (
        reads.slowest < 0.5
    )  # one attempt to connect, one to read: 100 ms each, and a busy machine
    assert reads.errors > 0, "the fault must have been met"
    assert reads.good > 20


def test_many_requests_at_once_ask_redis_nothing(servers, proxy, site, figure):
    """200 requests, Redis hung: a process makes one attempt a period, and one a second to hear
    hints again.
    """
    with servers.hanging(servers.redis):
        site.agreed(site.set("enforce"), 15)
        before, began = (
            proxy.connections,
            time.monotonic(),
        )  # while Redis hangs, an attempt is a new connection
        load = Load(site.port, rate=1e6, seconds=2e-4, threads=100).wait()
        time.sleep(3)
        attempts, elapsed = proxy.connections - before, time.monotonic() - began
    assert (len(load.answers), load.modes, load.errors) == (200, {"enforce"}, [])
    figure(
        "fault 16, attempts on Redis",
        f"{attempts} by 2 processes in {elapsed:.1f} s of re-reading each 0.5 s",
    )
    assert 1 <= attempts <= 2 * (elapsed / 0.5 + elapsed / 1 + 2)


def test_the_count_of_attempts_sees_each_one_that_is_made(servers, settings):
    own = Proxy(str(servers.redis.socket))
    own.misbehave("swallow")
    settings.REDIS_URL = own.url
    for _ in range(3):
        with pytest.raises(RedisError):
            strict().ping()
    assert own.connections == 3
    own.close()
