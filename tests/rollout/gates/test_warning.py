"""The gate out of warn, on both sides of every threshold."""

import datetime

import pytest

from stageapp.mode.history import ModeHistory
from stageapp.rollout.gates.warning import warn_exit
from stageapp.traffic.history import Slot
from tests.rollout.gates.measured import (
    DAY,
    HOUR,
    NOW,
    TODAY,
    changed,
    condition,
    day,
    hour,
    judged,
    warned_for,
    week,
)

SECOND = datetime.timedelta(seconds=1)


def test_a_good_week_in_warn_passes_and_shows_its_evidence():
    gate = judged(warn_exit)
    assert gate.verdict == "pass"
    assert [entry["requests"] for entry in gate.evidence["days"]] == [10_000] * 7
    assert gate.evidence["days"][0]["day"] == "2030-06-08"


@pytest.mark.parametrize(
    "requests, unknown, verdict",
    [
        (10_000, 49, "pass"),
        (10_000, 50, "fail"),  # 0.5 % is not below 0.5 %
        (10_000, 51, "fail"),
        (1_000, 5, "fail"),
        (201, 1, "pass"),
        (200, 1, "fail"),
        (200, 0, "pass"),
        (199, 0, "no_data"),
        (199, 150, "no_data"),  # too few requests to say anything, good or bad
        (0, 0, "no_data"),
    ],
)
def test_each_day_has_to_stay_below_half_a_percent_with_enough_requests(requests, unknown, verdict):
    assert judged(warn_exit, days=week(requests=requests, unknown=unknown)).verdict == verdict


def test_malformed_requests_do_not_thin_the_unknown_ones_out():
    diluted = Slot(TODAY - 4 * DAY, requests=100_000, judged=10_000, unknown=50)
    days = [diluted if slot.started_at == diluted.started_at else slot for slot in week()]
    assert judged(warn_exit, days=days).verdict == "fail"


@pytest.mark.parametrize(
    "requests, unknown, verdict",
    [
        (1_000, 10, "pass"),  # 1 % is not above 1 %
        (1_000, 11, "fail"),
        (100, 1, "pass"),
        (100, 2, "fail"),
        (99, 50, "pass"),  # below the sample it counts in its day alone
    ],
)
def test_no_hour_may_exceed_one_percent(requests, unknown, verdict):
    hours = [hour(30), hour(29, requests=requests, unknown=unknown)]
    assert judged(warn_exit, hours=hours).verdict == verdict


def test_the_hours_of_today_count_too():
    assert judged(warn_exit, hours=[hour(30), hour(-2, unknown=11)]).verdict == "fail"


def test_an_hour_before_the_week_does_not_count():
    assert judged(warn_exit, hours=[hour(30), hour(7 * 24 + 1, unknown=500)]).verdict == "pass"


@pytest.mark.parametrize("missing", range(1, 8))
def test_a_day_without_traffic_is_a_gap_and_no_pass(missing):
    gate = judged(warn_exit, days=[day(back) for back in range(7, 0, -1) if back != missing])
    assert gate.verdict == "no_data"
    assert condition(gate, "days").value == 6


def test_without_any_traffic_there_is_no_data():
    gate = judged(warn_exit, days=[], hours=[])
    assert gate.verdict == "no_data"
    assert condition(gate, "unknown_by_day").shown == "no data"


@pytest.mark.parametrize(
    "began, verdict",
    [
        (TODAY - 7 * DAY, "pass"),
        (TODAY - 7 * DAY + SECOND, "no_data"),  # its first day is not a whole one
        (TODAY - 3 * DAY, "no_data"),
    ],
)
def test_the_days_have_to_lie_in_the_warn_period(began, verdict):
    assert judged(warn_exit, mode=ModeHistory((changed("warn", NOW - began),))).verdict == verdict


def test_a_bad_day_fails_even_where_the_week_is_not_complete():
    assert judged(warn_exit, mode=warned_for(5), days=week(unknown=60)).verdict == "fail"


@pytest.mark.parametrize(
    "spent, verdict",
    [(30 * DAY - SECOND, "pass"), (30 * DAY, "fail"), (31 * DAY, "fail"), (400 * DAY, "fail")],
)
def test_on_day_31_in_warn_it_fails_for_good(spent, verdict):
    gate = judged(warn_exit, mode=ModeHistory((changed("warn", spent),)))
    assert gate.verdict == verdict
    assert ("new warn period" in condition(gate, "time_in_warn").why) == (verdict == "fail")


@pytest.mark.parametrize("ago, verdict", [(8 * DAY, "pass"), (3 * DAY, "no_data")])
def test_a_person_may_begin_a_new_warn_period_whose_days_count_anew(ago, verdict):
    mode = ModeHistory((changed("warn", 50 * DAY),), period_began=NOW - ago)
    assert judged(warn_exit, mode=mode).verdict == verdict


def test_time_in_enforce_does_not_count_as_time_in_warn():
    mode = ModeHistory(
        (
            changed("warn", 90 * DAY),
            changed("enforce", 80 * DAY, 10),
            changed("warn", 5 * DAY, kind="downgrade"),
        )
    )
    gate = judged(warn_exit, mode=mode)
    assert condition(gate, "time_in_warn").value == 15
    assert gate.verdict == "pass"


def test_off_ends_the_warn_period():
    mode = ModeHistory(
        (changed("warn", 20 * DAY), changed("off", 6 * DAY), changed("warn", 6 * DAY - HOUR))
    )
    assert judged(warn_exit, mode=mode).verdict == "no_data"


@pytest.mark.parametrize(
    "mode", [ModeHistory(), ModeHistory((changed("warn", 9 * DAY), changed("off", HOUR)))]
)
def test_who_is_not_warned_cannot_have_changed(mode):
    gate = judged(warn_exit, mode=mode)
    assert gate.verdict == "no_data"
    why = condition(gate, "days").why
    assert why == "callers are not warned: no warn period has started. Set the mode to warn"
