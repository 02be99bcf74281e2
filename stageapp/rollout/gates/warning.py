"""The gate out of `warn`: a week of good days, no bad hour, and not too long in `warn`."""

import datetime

from stageapp.conf import GateThresholds, share
from stageapp.rollout.gates.measures import Measurements
from stageapp.rollout.gates.verdicts import Condition, Gate, Verdict, passes_if
from stageapp.traffic.history import Slot


def warn_exit(measured: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether `warn` may end.

    The last full days (UTC) must be in the current warn period, each below its threshold of
    unknown requests. An hour below its minimum sample only counts within its day. The days in
    `warn` are those of the current warn period.
    """
    began = measured.mode.warn_period()
    days = [
        next((slot for slot in measured.days if slot.started_at == day), Slot(day))
        for day in measured.last_days(wanted.warn_days)
    ]
    counted = [
        day
        for day in days
        if began is not None and day.started_at >= began and day.judged >= wanted.day_sample
    ]
    threshold = f"the last {wanted.warn_days} days, with {wanted.day_sample} requests or more each"
    complete = Verdict.PASS if len(counted) == wanted.warn_days else Verdict.NO_DATA
    why = (
        f"warn period since {began:%F %H:%M} UTC"
        if began
        else "callers are not warned: no warn period has started. Set the mode to warn"
    )
    conditions = (
        _days(counted, wanted),
        Condition("days", threshold, len(counted) if began else 0, complete, why),
        _hours(measured, began, wanted),
        _time_in_warn(measured, wanted),
    )
    evidence = {
        "warn_period_began": began.isoformat() if began else None,
        "days": [
            {"day": f"{day.started_at:%F}", "requests": day.judged, "unknown": day.unknown}
            for day in days
        ],
    }
    return Gate("warn_exit", "Warn may end", conditions, evidence)


def percent(part: int, whole: int) -> float:
    """Return the percentage to display."""
    return 100 * part / whole


def _days(counted: list[Slot], wanted: GateThresholds) -> Condition:
    threshold = f"< {wanted.unknown_percent:g} % each day"
    if not counted:
        return Condition(
            "unknown_by_day",
            threshold,
            None,
            Verdict.NO_DATA,
            "no full day of this warn period counts yet",
        )
    worst = max(counted, key=lambda day: percent(day.unknown, day.judged))
    good = worst.unknown < share(wanted.unknown_percent) * worst.judged
    why = f"worst on {worst.started_at:%F}: {worst.unknown} of {worst.judged} requests"
    measured = percent(worst.unknown, worst.judged)
    return Condition("unknown_by_day", threshold, measured, passes_if(good), why, unit="percent")


def _hours(
    given: Measurements, began: datetime.datetime | None, wanted: GateThresholds
) -> Condition:
    threshold = f"no hour > {wanted.hour_unknown_percent:g} %"
    since = max(given.last_days(wanted.warn_days)[0], began) if began else given.now
    hours = [
        hour
        for hour in given.hours
        if hour.started_at >= since and hour.judged >= wanted.hour_sample
    ]
    if not hours:
        why = f"no hour had {wanted.hour_sample} requests"
        return Condition("unknown_by_hour", threshold, None, Verdict.NO_DATA, why)
    worst = max(hours, key=lambda hour: percent(hour.unknown, hour.judged))
    good = worst.unknown <= share(wanted.hour_unknown_percent) * worst.judged
    why = f"worst from {worst.started_at:%F %H:%M} UTC: {worst.unknown} of {worst.judged} requests"
    measured = percent(worst.unknown, worst.judged)
    return Condition("unknown_by_hour", threshold, measured, passes_if(good), why, unit="percent")


def _time_in_warn(measured: Measurements, wanted: GateThresholds) -> Condition:
    threshold = f"at most {wanted.warn_max_days} days in warn"
    if measured.mode.warn_period() is None:
        return Condition(
            "time_in_warn", threshold, None, Verdict.NO_DATA, "no warn period has started"
        )
    spent = measured.mode.time_in_warn(measured.now)
    good = spent < datetime.timedelta(days=wanted.warn_max_days)
    why = "" if good else "over permanently: someone has to start a new warn period, with a reason"
    days = spent / datetime.timedelta(days=1)
    return Condition("time_in_warn", threshold, days, passes_if(good), why, unit="days")
