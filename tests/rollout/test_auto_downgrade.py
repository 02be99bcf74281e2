"""The guard: both rules on both sides, and what never triggers it."""

import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.mode import history, store
from stageapp.people import Person
from stageapp.rollout import auto_downgrade
from stageapp.rollout.errors import Latched
from stageapp.traffic import windows
from stageapp.traffic.history import Slot, Step
from tests.rollout.conftest import ask

pytestmark = pytest.mark.django_db


@pytest.fixture
def enforcing(set_mode, clock):
    set_mode("enforce", 10)
    clock.move(minutes=1)


@pytest.fixture
def settle(clock):
    """Return a function that lets the newest window become whole."""
    return lambda: clock.move(seconds=16)


def minutes(clock, arrive, rejects, count=5, requests=100):
    for _ in range(count):
        arrive(requests, unknown=rejects)
        clock.move(minutes=1)


@pytest.mark.parametrize("rejects, mode", [(5, "enforce"), (6, "warn")])
def test_more_than_five_percent_for_five_minutes(rejects, mode, enforcing, clock, arrive, settle):
    minutes(clock, arrive, rejects)
    settle()
    made = auto_downgrade.watch()
    assert store.latest().mode == mode
    assert (made is None) == (mode == "enforce")


def test_the_downgrade_says_why_and_latches(enforcing, clock, arrive, settle):
    minutes(clock, arrive, 6)
    settle()
    made = auto_downgrade.watch()
    assert (made.kind, made.actor) == ("downgrade", "auto-downgrade")
    assert "slow rule" in made.reason
    assert "30 of 500" in made.reason
    with pytest.raises(Latched):
        ask("enforce", 10, person=Person("plain", frozenset({"override_gate"})), override="again")
    assert auto_downgrade.watch() is None


def test_one_good_minute_among_the_five_breaks_the_slow_rule(enforcing, clock, arrive, settle):
    minutes(clock, arrive, 10, count=2)
    minutes(clock, arrive, 5, count=1)
    minutes(clock, arrive, 10, count=2)
    settle()
    assert auto_downgrade.watch() is None


def test_four_minutes_are_not_five(enforcing, clock, arrive, settle):
    clock.move(minutes=5)
    minutes(clock, arrive, 10, count=4)
    settle()
    assert auto_downgrade.watch() is None


@pytest.mark.parametrize("requests, mode", [(9, "enforce"), (10, "warn")])
def test_the_slow_rule_needs_fifty_requests(requests, mode, enforcing, clock, arrive, settle):
    minutes(clock, arrive, 1, requests=requests)
    settle()
    auto_downgrade.watch()
    assert store.latest().mode == mode


def seconds(clock, arrive, rejects, count=3, requests=50):
    for _ in range(count):
        arrive(requests, unknown=rejects)
        clock.move(seconds=10)


@pytest.mark.parametrize("rejects, mode", [(10, "enforce"), (11, "warn")])
def test_more_than_twenty_percent_for_thirty_seconds(
    rejects, mode, enforcing, clock, arrive, settle
):
    seconds(clock, arrive, rejects)
    settle()
    auto_downgrade.watch()
    assert store.latest().mode == mode


@pytest.mark.parametrize("requests, mode", [(6, "enforce"), (7, "warn")])
def test_the_fast_rule_needs_twenty_requests(requests, mode, enforcing, clock, arrive, settle):
    seconds(clock, arrive, requests, requests=requests)
    settle()
    auto_downgrade.watch()
    assert store.latest().mode == mode


def test_a_burst_of_twenty_seconds_is_too_short(enforcing, clock, arrive, settle):
    seconds(clock, arrive, 50, count=2)
    settle()
    assert auto_downgrade.watch() is None


def test_it_sees_a_burst_within_a_minute_when_it_looks_every_five_seconds(enforcing, clock, arrive):
    began = clock.now
    while auto_downgrade.watch() is None:
        arrive(10, unknown=10)
        clock.move(seconds=5)
        assert (clock.now - began).total_seconds() < 120
    assert (clock.now - began).total_seconds() <= 60


def test_what_was_not_enforced_does_not_count(enforcing, clock, arrive, settle):
    for _ in range(6):
        arrive(100, mode="warn", unknown=100)
        arrive(5)
        clock.move(minutes=1)
    settle()
    assert auto_downgrade.watch() is None


def test_malformed_requests_do_not_count_as_warn_refuses_them_too(enforcing, clock, settle):
    for _ in range(6):
        for _ in range(100):
            windows.count(endpoint="simulate", mode="enforce", verdict="malformed", rejected=True)
        windows.flush()
        clock.move(minutes=1)
    settle()
    assert auto_downgrade.watch() is None


def test_refusals_before_the_newest_change_do_not_undo_it(
    enforcing, clock, arrive, settle, set_mode
):
    minutes(clock, arrive, 50)
    set_mode("warn", kind="downgrade")
    set_mode("enforce", 10)
    settle()
    assert auto_downgrade.watch() is None


def test_windows_that_processes_have_not_written_yet_are_waited_for(
    enforcing, clock, arrive, settings
):
    settings.STAGE_REFRESH_SECONDS = 25.0
    seconds(clock, arrive, 50)
    clock.move(seconds=29)
    assert auto_downgrade.watch() is None
    clock.move(seconds=1)
    assert auto_downgrade.watch().kind == "downgrade"


@pytest.mark.parametrize("ahead", [-300, 40, 3600])
def test_a_machine_whose_clock_is_wrong_hides_no_refusals(
    ahead, enforcing, clock, arrive, settle, monkeypatch
):
    """Both have learned how far PostgreSQL's clock is ahead: the caller's server, and the worker
    that watches.
    """
    clock.move(hours=2)
    monkeypatch.setattr(windows.buffer, "ahead", ahead)
    seconds(clock, arrive, 50)
    clock.move(seconds=ahead)  # the worker's machine is right
    monkeypatch.setattr(windows.buffer, "ahead", 0.0)
    settle()
    assert auto_downgrade.watch().kind == "downgrade"


def test_without_traffic_nothing_happens(enforcing, settle):
    settle()
    assert auto_downgrade.watch() is None


def test_it_can_be_turned_off(enforcing, clock, arrive, settle, settings):
    settings.STAGE_AUTO_DOWNGRADE = False
    minutes(clock, arrive, 50)
    settle()
    assert auto_downgrade.watch() is None


def test_before_any_change_of_mode_it_has_nothing_to_take_back():
    assert auto_downgrade.watch() is None


@pytest.mark.parametrize(
    "mode, percent",
    [("off", 100), ("warn", 100), ("enforce", 1), ("enforce", 50), ("enforce", 100)],
)
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("effective", ["warn", "enforce"])
@pytest.mark.parametrize("broken", ["slow", "fast", "none"])
def test_it_acts_only_where_it_is_on_and_enforced_requests_break_a_rule(
    mode, percent, enabled, effective, broken, set_mode, clock, arrive, settle, settings
):
    settings.STAGE_AUTO_DOWNGRADE = enabled
    set_mode(mode, percent)
    clock.move(minutes=1)
    for _ in range(30):
        arrive(20, mode=effective, unknown={"slow": 2, "fast": 5, "none": 1}[broken])
        clock.move(seconds=10)
    settle()
    acts = mode == "enforce" and enabled and effective == "enforce" and broken != "none"
    made = auto_downgrade.watch()
    assert (made is not None) == acts
    newest = store.latest()
    assert (newest.mode, newest.percent) == (("warn", 100) if acts else (mode, percent))
    assert history.read().latched == acts


def test_a_change_of_the_share_begins_its_evidence_anew(enforcing, clock, arrive, settle, set_mode):
    seconds(clock, arrive, 50)
    set_mode(
        "enforce", 50
    )  # in the middle of it: what was refused so far was so under another share
    seconds(clock, arrive, 50, count=2)
    settle()
    assert auto_downgrade.watch() is None
    seconds(clock, arrive, 50, count=4)
    settle()
    assert auto_downgrade.watch().kind == "downgrade"


SLOTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6)


@given(slots=SLOTS, sample=st.integers(1, 100), percent=st.sampled_from([0.1, 5.0, 20.0, 100.0]))
def test_a_rule_is_broken_when_every_slot_that_tells_something_is_above_it(slots, sample, percent):
    rule = auto_downgrade.Rule("any", percent, Step.WINDOW, 6, sample)
    start = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    found = [
        Slot(
            start + Step.WINDOW.length * place,
            requests=judged,
            judged=judged,
            rejects=min(rejects, judged),
        )
        for place, (judged, rejects) in enumerate(slots)
    ]
    rates = [Fraction(slot.rejects, slot.judged) for slot in found if slot.judged]
    above = [rate > Fraction(str(percent)) / 100 for rate in rates]
    begins = bool(slots) and slots[0][0] > 0
    expected = begins and all(above) and sum(slot.judged for slot in found) >= sample
    assert rule.broken_by(found, start) == expected
