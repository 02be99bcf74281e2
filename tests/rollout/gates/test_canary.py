"""The gates of enforcement, on both sides of every threshold."""

import pytest

from stageapp.mode.history import ModeHistory
from stageapp.rollout.gates.canary import canary_10, canary_50, done
from tests.rollout.gates.measured import (
    DAY,
    HOUR,
    MINUTE,
    changed,
    condition,
    enforced_for,
    half_an_hour,
    judged,
    minute,
)


def canary(rule=canary_10, hours=3.0, percent=10, **parts):
    return judged(
        rule, **({"mode": enforced_for(hours, percent), "minutes": half_an_hour()} | parts)
    )


def test_thirty_green_minutes_after_two_hours_pass_and_show_their_evidence():
    gate = canary()
    assert gate.verdict == "pass"
    assert (gate.evidence["minutes"], gate.evidence["requests"]) == (30, 30_000)


@pytest.mark.parametrize(
    "rule, percent, hours, verdict",
    [
        (canary_10, 10, 2, "pass"),
        (canary_10, 10, 1.999, "fail"),
        (canary_10, 9, 50, "no_data"),
        (canary_50, 50, 4, "pass"),
        (canary_50, 50, 3.999, "fail"),
        (canary_50, 49, 50, "no_data"),
        (canary_10, 50, 2, "pass"),
    ],
)
def test_the_share_has_to_hold_for_its_least_time(rule, percent, hours, verdict):
    assert canary(rule, hours, percent).verdict == verdict


@pytest.mark.parametrize(
    "worst, verdict, name",
    [
        ({"unknown": 4}, "pass", "unknown"),
        ({"unknown": 5}, "fail", "unknown"),
        ({"slow": 9}, "pass", "slow"),
        ({"slow": 10}, "fail", "slow"),
        ({"requests": 10_000, "errors": 9}, "pass", "errors"),
        ({"errors": 1}, "fail", "errors"),
        ({"requests": 10}, "pass", "minutes"),
        ({"requests": 9}, "no_data", "minutes"),
        ({"requests": 9, "unknown": 9}, "no_data", "minutes"),
        ({"requests": 0}, "no_data", "minutes"),
    ],
)
def test_every_minute_has_to_be_green(worst, verdict, name):
    gate = canary(minutes=half_an_hour(**worst))
    assert gate.verdict == verdict
    assert condition(gate, name).verdict == verdict


@pytest.mark.parametrize("missing", [1, 15, 30])
def test_a_minute_without_traffic_is_a_gap_and_no_pass(missing):
    minutes = [minute(back) for back in range(30, 0, -1) if back != missing]
    assert canary(minutes=minutes).verdict == "no_data"


@pytest.mark.parametrize("back", [0, 31])
def test_minutes_before_the_half_hour_and_the_one_that_is_not_over_do_not_count(back):
    assert canary(minutes=[*half_an_hour(), minute(back, unknown=900)]).verdict == "pass"


def test_an_empty_canary_has_no_data_and_says_so():
    gate = canary(minutes=[])
    assert gate.verdict == "no_data"
    assert "the canary is empty" in condition(gate, "minutes").why


def test_minutes_before_the_share_was_reached_do_not_count():
    half = ModeHistory((changed("enforce", DAY, 10), changed("enforce", 20 * MINUTE, 50)))
    assert (
        condition(canary(canary_50, mode=half), "minutes").value == 19
    )  # the one of the change itself is mixed
    assert canary(canary_10, mode=half).verdict == "pass"


@pytest.mark.parametrize("ago, verdict", [(25 * MINUTE, "fail"), (35 * MINUTE, "pass")])
def test_a_downgrade_within_the_half_hour_fails(ago, verdict):
    mode = ModeHistory((changed("warn", ago, kind="downgrade"), changed("enforce", ago, 10)))
    assert condition(canary(mode=mode), "downgrades").verdict == verdict


@pytest.mark.parametrize("mode", [ModeHistory(), ModeHistory((changed("warn", DAY),))])
def test_without_enforcement_nothing_is_promoted(mode):
    assert {canary(rule, mode=mode).verdict for rule in (canary_10, canary_50)} == {"no_data"}


@pytest.mark.parametrize(
    "hours, percent, sample, out, verdict",
    [
        (24, 100, 200, [], "pass"),
        (23.99, 100, 200, [], "fail"),
        (24, 99, 200, [], "no_data"),
        (24, 100, 199, [], "no_data"),
        (24, 100, 200, ["late"], "fail"),
    ],
)
def test_done_is_a_day_at_a_hundred_percent_for_everybody(hours, percent, sample, out, verdict):
    gate = judged(done, mode=enforced_for(hours, percent), done_sample=sample, pinned_out=out)
    assert gate.verdict == verdict


def test_a_break_begins_the_time_anew():
    mode = ModeHistory(
        (changed("enforce", 50 * HOUR), changed("enforce", 2 * HOUR, 50), changed("enforce", HOUR))
    )
    assert condition(judged(done, mode=mode, done_sample=900), "dwell").value == 1
