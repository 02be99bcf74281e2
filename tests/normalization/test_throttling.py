"""The record of what holds runs back: limits that a person sets, and the time that workers lost."""

import threading

import pytest
from django.db import connection

from stageapp.models import RunThrottle, ThrottledTime
from stageapp.normalization import limits as throttling
from stageapp.targets.errors import ThrottleRefused
from tests.normalization.evidence import ME


@pytest.mark.parametrize(
    "wanted, reason, said",
    [
        ({"replica_lag": 5}, " ", "A reason is needed"),
        ({}, "x", "Give at least one limit"),
        ({"moon": 5}, "x", "moon is not a throttle factor"),
        ({"replica_lag": -5}, "x", "is not a valid limit for replica_lag"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(started, wanted, reason, said):
    with pytest.raises(ThrottleRefused, match=said):
        throttling.change(started("Seed"), wanted, actor="ann", reason=reason)
    assert not RunThrottle.objects.exists()


def test_the_newest_change_counts_and_none_goes_back_to_the_setting(started, limits):
    run = started("Seed")
    limits(replica_lag=7)
    assert throttling.limits(run)["replica_lag"].limit == 7
    throttling.change(run, {"replica_lag": 3}, **ME)
    throttling.change(run, {"replica_lag": 0}, **ME)
    assert (
        throttling.limits(run)["replica_lag"].limit,
        throttling.limits(run)["replica_lag"].actor,
    ) == (0, "tester")
    throttling.change(run, {"replica_lag": None}, **ME)
    assert (
        throttling.limits(run)["replica_lag"].limit,
        throttling.limits(run)["replica_lag"].actor,
    ) == (7, "")


def test_seconds_add_up_over_workers_and_runs(started):
    run = started("Seed")
    threads = [threading.Thread(target=_add, args=[run]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert throttling.seconds_by_reason(run)["lock_waiters"] == pytest.approx(20)
    assert throttling.seconds_by_reason()["lock_waiters"] == pytest.approx(20)
    assert ThrottledTime.objects.count() == 1


def _add(run):
    try:
        for _ in range(10):
            throttling.add_seconds(run, "lock_waiters", 0.5)
    finally:
        connection.close()
