"""Token buckets, by a clock that the test moves."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.infrastructure.rates import TokenBuckets


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_minutes_worth_may_come_at_once_and_no_more(clock):
    buckets = TokenBuckets(10, clock)
    assert [buckets.take("a", 3) for _ in range(4)] == [0, 0, 0, 20]


def test_it_tells_how_long_to_wait_and_that_is_enough(clock):
    buckets = TokenBuckets(10, clock)
    for _ in range(60):
        buckets.take("a", 60)
    clock.now += 0.25
    wait = buckets.take("a", 60)
    assert wait == pytest.approx(0.75)
    clock.now += wait
    assert buckets.take("a", 60) == 0
    assert buckets.take("a", 60) == pytest.approx(1)


def test_a_bucket_never_holds_more_than_a_minutes_worth(clock):
    buckets = TokenBuckets(10, clock)
    buckets.take("a", 2)
    clock.now += 3600
    assert [buckets.take("a", 2) > 0 for _ in range(3)] == [False, False, True]


def test_one_key_does_not_pay_for_another(clock):
    buckets = TokenBuckets(10, clock)
    assert [buckets.take(key, 1) > 0 for key in "abab"] == [False, False, True, True]


def test_no_more_keys_are_kept_than_there_is_room_for_and_the_idlest_goes_first(clock):
    buckets = TokenBuckets(2, clock)
    for key in "abac":  # b is the one that came least recently
        buckets.take(key, 2)
    assert len(buckets) == 2
    assert buckets.take("a", 2) > 0
    for n in range(1000):
        buckets.take(f"stranger {n}", 2)
    assert len(buckets) == 2


def test_what_is_forgotten_begins_anew(clock):
    buckets = TokenBuckets(2, clock)
    buckets.take("a", 1)
    buckets.forget()
    assert len(buckets) == 0
    assert buckets.take("a", 1) == 0


def test_threads_never_get_more_than_there_is(clock):
    buckets, start, interval = (
        TokenBuckets(10, clock),
        threading.Barrier(8),
        sys.getswitchinterval(),
    )

    def take_many(_):
        start.wait()
        return sum(buckets.take("a", 500) == 0 for _ in range(400))

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take_many, range(8))) == 500
    finally:
        sys.setswitchinterval(interval)


@given(st.lists(st.floats(0, 30), max_size=200), st.integers(1, 120))
def test_in_no_stretch_of_time_does_more_come_in_than_a_bucket_and_its_refill(pauses, per_minute):
    clock = Clock()
    buckets, admitted = TokenBuckets(10, clock), 0
    for pause in pauses:
        clock.now += pause
        admitted += buckets.take("a", per_minute) == 0
    assert admitted <= per_minute + sum(pauses) * per_minute / 60 + 1e-6
