"""The sparklines beside the gates: the measurements from which a condition took its value, in their order."""

import datetime
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from stageapp import thresholds
from stageapp.admin.sparklines import Sparkline, sparkline
from stageapp.gates.canary import CANARY_PERCENT, HALF_PERCENT
from stageapp.gates.measurements import Measurements
from stageapp.gates.verdicts import Condition, Gate
from stageapp.thresholds import GateThresholds
from stageapp.traffic_history import Slot, Step

Rate = Callable[[Slot], tuple[int, int]]
Draw = Callable[[Measurements, GateThresholds], Sparkline]
_RATES: dict[str, Rate] = {
    "unknown": lambda slot: (slot.unknown, slot.judged),
    "errors": lambda slot: (slot.errors, slot.requests),
    "slow": lambda slot: (slot.slow, slot.judged),
}


def conditions(gate: Gate, found: Measurements) -> Iterator[tuple[Condition, Sparkline | None]]:
    """Yield the conditions of a gate, each with its series where there is one."""
    series = SERIES.get(gate.name, {})
    for condition in gate.conditions:
        draw = series.get(condition.name)
        yield condition, draw(found, thresholds.gates()) if draw else None


def _by_day(found: Measurements, wanted: GateThresholds) -> Sparkline:
    days = _warned(found.days, found, wanted.day_sample)
    values = _percents(days, found.last_days(wanted.warn_days), _RATES["unknown"])
    return sparkline("Unknown by day, %", values, wanted.unknown_percent)


def _requests_by_day(found: Measurements, wanted: GateThresholds) -> Sparkline:
    values = _counts(_warned(found.days, found, 0), found.last_days(wanted.warn_days))
    return sparkline("Requests by day", values, wanted.day_sample, least=True)


def _by_hour(found: Measurements, wanted: GateThresholds) -> Sparkline:
    first, hour = found.last_days(wanted.warn_days)[0], Step.HOUR.length
    starts = [first + hour * place for place in range(int((found.now - first) / hour) + 1)]
    values = _percents(_warned(found.hours, found, wanted.hour_sample), starts, _RATES["unknown"])
    return sparkline("Unknown by hour, %", values, wanted.hour_unknown_percent)


def _warned(slots: Sequence[Slot], found: Measurements, sample: int) -> list[Slot]:
    """Keep what the gate out of warn counts: slots of this warn period, with requests enough."""
    began = found.mode.warn_period()
    return [slot for slot in slots if began is not None and slot.started_at >= began and slot.judged >= sample]


def _canary(rung: int) -> dict[str, Draw]:
    """Return the series of a canary's gate: whole minutes of enforced requests since its share is reached."""

    def enforced(found: Measurements, sample: int) -> list[Slot]:
        since = found.mode.enforced_since(rung)
        return [slot for slot in found.minutes if since and slot.started_at >= since and slot.judged >= sample]

    def requests(found: Measurements, wanted: GateThresholds) -> Sparkline:
        values = _counts(enforced(found, 0), found.last_minutes(wanted.green_minutes))
        return sparkline("Enforced requests by minute", values, wanted.minute_sample, least=True)

    def by_minute(rate: str, found: Measurements, wanted: GateThresholds) -> Sparkline:
        slots = enforced(found, wanted.minute_sample)
        limits = {"unknown": wanted.unknown_percent, "errors": wanted.error_percent, "slow": wanted.slow_percent}
        values = _percents(slots, found.last_minutes(wanted.green_minutes), _RATES[rate])
        return sparkline(f"{rate.capitalize()} by minute, %", values, limits[rate])

    return {"minutes": requests, **{rate: partial(by_minute, rate) for rate in _RATES}}


def _counts(slots: Sequence[Slot], starts: Sequence[datetime.datetime]) -> list[float | None]:
    judged = {slot.started_at: float(slot.judged) for slot in slots}
    return [judged.get(start) for start in starts]


def _percents(slots: Sequence[Slot], starts: Sequence[datetime.datetime], rate: Rate) -> list[float | None]:
    held = {slot.started_at: rate(slot) for slot in slots}
    pairs = [held.get(start, (0, 0)) for start in starts]
    return [100 * part / whole if whole else None for part, whole in pairs]


SERIES: dict[str, dict[str, Draw]] = {
    "warn_exit": {"unknown_by_day": _by_day, "days": _requests_by_day, "unknown_by_hour": _by_hour},
    "canary_10": _canary(CANARY_PERCENT),
    "canary_50": _canary(HALF_PERCENT),
}
