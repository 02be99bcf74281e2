"""The canary: sticky buckets, true shares, and nobody thrown out by a larger percentage."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.infrastructure.refresher import refresher
from stageapp.mode import store
from stageapp.mode.store import ModeState
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.rollout import ConsumerPin
from stageapp.people import Person
from stageapp.rollout import canary
from stageapp.rollout.canary import BUCKETS, bucket, canary_share, effective_mode, members, pin
from stageapp.rollout.errors import OverrideNotPermitted

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


# --- pins

ANN = Person("ann")
IN_BUCKET, OUT_OF_BUCKET = "token:7", "alpha"  # buckets 35 and 53


def pinned(consumer, place):
    pin(consumer, place, person=ANN, reason="a test")
    canary.refresh()


@pytest.mark.django_db
def test_a_pin_wins_over_the_bucket():
    state = ModeState("enforce", 50)
    assert [effective_mode(state, name) for name in (IN_BUCKET, OUT_OF_BUCKET)] == [
        "enforce",
        "warn",
    ]
    pinned(IN_BUCKET, "out")
    pinned(OUT_OF_BUCKET, "in")
    assert [effective_mode(state, name) for name in (IN_BUCKET, OUT_OF_BUCKET)] == [
        "warn",
        "enforce",
    ]
    pinned(IN_BUCKET, "free")
    pinned(OUT_OF_BUCKET, "free")
    assert [effective_mode(state, name) for name in (IN_BUCKET, OUT_OF_BUCKET)] == [
        "enforce",
        "warn",
    ]


@pytest.mark.django_db
def test_who_is_pinned_out_stays_out_at_a_hundred_percent():
    pinned("alpha", "out")
    assert effective_mode(ModeState("enforce", 100), "alpha") == "warn"


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["off", "warn"])
def test_a_pin_never_makes_off_or_warn_stricter(mode):
    pinned("alpha", "in")
    assert effective_mode(ModeState(mode), "alpha") == mode


@pytest.mark.django_db
def test_a_request_reads_pins_without_any_io(django_assert_num_queries):
    pinned("alpha", "in")
    with django_assert_num_queries(0):
        for _ in range(1000):
            effective_mode(ModeState("enforce", 10), "alpha")


@pytest.mark.django_db
def test_a_process_knows_the_pins_before_it_knows_that_anything_is_enforced(in_mode):
    jobs = refresher._jobs
    assert jobs.index(canary.refresh) < jobs.index(store.refresh)


def test_before_the_pins_have_been_read_nobody_is_refused():
    canary.forget()
    assert {effective_mode(ModeState("enforce", 100), name) for name in CONSUMERS[:100]} == {"warn"}


@pytest.mark.django_db
def test_a_process_that_could_not_read_the_pins_spares_everybody_until_it_can(
    set_mode, monkeypatch
):
    """Its first round reads the mode, but fails to read whom to spare."""
    pin(IN_BUCKET, "out", person=ANN, reason="a test")
    set_mode("enforce", 100)
    store.forget()
    canary.forget()
    with monkeypatch.context() as patch:
        patch.setattr(canary, "pins", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            canary.refresh()
        store.refresh()
        assert [effective_mode(store.current(), name) for name in (IN_BUCKET, OUT_OF_BUCKET)] == [
            "warn",
            "warn",
        ]
    canary.refresh()
    assert [effective_mode(store.current(), name) for name in (IN_BUCKET, OUT_OF_BUCKET)] == [
        "warn",
        "enforce",
    ]


@pytest.mark.django_db
def test_every_pin_is_kept_with_who_and_why():
    for place in ("in", "out", "free"):
        pin("alpha", place, person=ANN, reason=f"because {place}")
    rows = ConsumerPin.objects.values_list("consumer", "place", "actor", "reason")
    assert list(rows) == [
        ("alpha", place, "ann", f"because {place}") for place in ("free", "out", "in")
    ]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "consumer, place, reason", [("a", "up", "why"), ("", "in", "why"), ("a", "in", " ")]
)
def test_a_pin_that_says_nothing_is_refused(consumer, place, reason):
    with pytest.raises(store.ModeError):
        pin(consumer, place, person=ANN, reason=reason)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "place, rule, may, pins",
    [
        ("in", True, frozenset(), False),
        ("in", True, frozenset({"override_gate"}), True),
        ("in", False, frozenset(), True),
        ("out", True, frozenset(), True),
        ("free", True, frozenset(), True),
    ],
)
def test_with_the_two_person_rule_nobody_enforces_alone_by_pins(settings, place, rule, may, pins):
    settings.STAGE_TWO_PERSON_RULE = rule
    if pins:
        assert pin("alpha", place, person=Person("ann", may), reason="why").place == place
    else:
        with pytest.raises(OverrideNotPermitted):
            pin("alpha", place, person=Person("ann", may), reason="why")
        assert not ConsumerPin.objects.exists()


# --- members


def sent(consumer, count, outcome="canonical", days_ago=1, clock=None):
    ConsumerSighting.objects.create(
        consumer=consumer,
        day=clock.now.date() - datetime.timedelta(days=days_ago),
        endpoint="simulate",
        key=f"{outcome} {days_ago}",
        outcome=outcome,
        count=count,
    )


@pytest.mark.django_db
def test_members_come_with_their_share_of_yesterday_busiest_first(clock, consumer_named):
    consumer_named("silent", "read")
    sent("alpha", 60, clock=clock)
    sent("alpha", 15, "unknown", clock=clock)
    sent("session:ann", 25, clock=clock)
    sent("alpha", 1000, days_ago=2, clock=clock)
    found = members(60)
    assert [(m.consumer, m.values, m.share, m.unknown) for m in found] == [
        ("alpha", 75, 0.75, 15),
        ("session:ann", 25, 0.25, 0),
        ("silent", 0, 0.0, 0),
    ]
    assert [m.enforced for m in found] == [bucket(m.consumer) < 60 for m in found]


@pytest.mark.django_db
def test_the_share_of_the_canary_is_that_of_its_members_pins_included(clock):
    sent("alpha", 75, clock=clock)
    sent("token:7", 25, clock=clock)
    assert canary_share(members(40)) == 0.25
    assert canary_share(members(10)) == 0
    pinned("alpha", "in")
    assert canary_share(members(10)) == 0.75


@pytest.mark.django_db
def test_without_traffic_the_share_is_not_known(consumer_named):
    consumer_named("silent", "read")
    assert canary_share(members(100)) is None


@pytest.mark.django_db
def test_a_revoked_consumer_is_no_member_unless_it_has_called(clock, consumer_named):
    consumer_named("gone", "read", revoked_at=clock.now)
    assert members(100) == []
    sent("gone", 1, clock=clock)
    assert [member.consumer for member in members(100)] == ["gone"]
