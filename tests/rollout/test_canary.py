"""The canary: sticky buckets, true shares, and nobody thrown out by a larger percentage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.modes import ModeState
from stageapp.rollout.canary import BUCKETS, bucket, effective_mode

# Recorded once; a change of one throws consumers out of a running canary.
RECORDED = {"alpha": 53, "token:7": 35, "": 57, "Séries": 31, "\ud800": 96}
CONSUMERS = [f"consumer:{number}" for number in range(100_000)]


def enforced(percent):
    state = ModeState("enforce", percent)
    return {consumer for consumer in CONSUMERS if effective_mode(state, consumer) == "enforce"}


@pytest.mark.parametrize("percent", [1, 5, 10, 25, 50, 75, 99, 100])
def test_the_share_of_consumers_is_the_percentage(percent):
    assert abs(len(enforced(percent)) / len(CONSUMERS) - percent / 100) <= 0.005


def test_who_is_in_stays_in_when_the_share_grows():
    ten, fifty, all_of_them = enforced(10), enforced(50), enforced(100)
    assert ten < fifty < all_of_them
    assert len(all_of_them) == len(CONSUMERS)


def test_no_bucket_is_preferred():
    counts = [0] * BUCKETS
    for consumer in CONSUMERS:
        counts[bucket(consumer)] += 1
    assert min(counts) > 850
    assert max(counts) < 1150


def test_outside_the_share_enforce_is_warn():
    state = ModeState("enforce", 10)
    assert {effective_mode(state, consumer) for consumer in CONSUMERS[:1000]} == {"enforce", "warn"}


@pytest.mark.parametrize("mode", ["off", "warn"])
@given(consumer=st.text())
def test_off_and_warn_hold_for_everybody(mode, consumer):
    assert effective_mode(ModeState(mode), consumer) == mode


@given(consumer=st.text(st.characters()))
def test_every_name_has_one_bucket(consumer):
    assert bucket(consumer) == bucket(consumer)
    assert 0 <= bucket(consumer) < BUCKETS


def test_the_buckets_are_the_same_in_every_release():
    assert {name: bucket(name) for name in RECORDED} == RECORDED
