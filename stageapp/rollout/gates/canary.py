"""The gates of enforcement, for each larger share and for done; only enforced requests count."""

import datetime
from collections.abc import Callable

from stageapp.conf import GateThresholds, share
from stageapp.infrastructure import words
from stageapp.rollout.gates.measures import Measurements
from stageapp.rollout.gates.verdicts import Condition, Gate, Verdict, passes_if
from stageapp.rollout.gates.warning import percent
from stageapp.traffic.history import Slot

CANARY_PERCENT, HALF_PERCENT = 10, 50


def canary_10(measured: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether the canary may grow from 10 %."""
    return _promotion("canary_10", CANARY_PERCENT, wanted.canary_hours, measured, wanted)


def canary_50(measured: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether enforcement may go from 50 % to all."""
    return _promotion("canary_50", HALF_PERCENT, wanted.half_hours, measured, wanted)


def _promotion(
    name: str, rung: int, hours: float, measured: Measurements, wanted: GateThresholds
) -> Gate:
    since = measured.mode.enforced_since(rung)
    minutes = measured.last_minutes(wanted.green_minutes)
    held = {
        slot.started_at: slot
        for slot in measured.minutes
        if since is not None and slot.started_at >= since
    }
    counted = [held[at] for at in minutes if at in held and held[at].judged >= wanted.minute_sample]
    downgrades = measured.mode.downgrades_since(minutes[0])
    conditions = (
        _dwell("dwell", rung, hours, measured),
        Condition(
            "minutes",
            f"the last {wanted.green_minutes} minutes, with {wanted.minute_sample} requests or "
            "more each",
            len(counted),
            Verdict.PASS if len(counted) == wanted.green_minutes else Verdict.NO_DATA,
            "" if counted else "the canary is empty: no consumer in it has sent a request",
        ),
        _worst(
            "unknown", wanted.unknown_percent, counted, lambda slot: (slot.unknown, slot.judged)
        ),
        _worst("errors", wanted.error_percent, counted, lambda slot: (slot.errors, slot.requests)),
        _worst("slow", wanted.slow_percent, counted, lambda slot: (slot.slow, slot.judged)),
        Condition(
            "downgrades",
            "none",
            downgrades,
            passes_if(downgrades == 0),
            f"since {minutes[0]:%F %H:%M} UTC",
        ),
    )
    evidence = {
        "from": minutes[0].isoformat(),
        "minutes": len(counted),
        "requests": sum(slot.requests for slot in counted),
        "enforced_since": since.isoformat() if since else None,
    }
    return Gate(name, f"Enforcement may grow beyond {rung} %", conditions, evidence)


def _dwell(name: str, rung: int, hours: float, measured: Measurements) -> Condition:
    threshold = f"at least {words.duration(3600 * hours)} at {rung} %"
    since = measured.mode.enforced_since(rung)
    if since is None:
        return Condition(
            name, threshold, None, Verdict.NO_DATA, f"enforce does not apply to {rung} %"
        )
    spent = (measured.now - since) / datetime.timedelta(hours=1)
    why = f"since {since:%F %H:%M} UTC"
    return Condition(name, threshold, spent, passes_if(spent >= hours), why, unit="hours")


def _worst(
    name: str, limit: float, counted: list[Slot], rate: Callable[[Slot], tuple[int, int]]
) -> Condition:
    """Compare the worst minute with the limit; `slow` below 1 % means a p99 below 1 ms."""
    threshold = f"< {limit:g} % each minute"
    if not counted:
        return Condition(name, threshold, None, Verdict.NO_DATA, "no minute has enough requests")
    slot = max(counted, key=lambda slot: percent(*rate(slot)))
    part, whole = rate(slot)
    why = f"worst at {slot.started_at:%F %H:%M} UTC: {part} of {whole} requests"
    good = part < share(limit) * whole
    return Condition(name, threshold, percent(part, whole), passes_if(good), why, unit="percent")


def done(measured: Measurements, wanted: GateThresholds) -> Gate:
    """Judge whether the rollout is done: `enforce` has applied to everyone for long enough."""
    sample = measured.done_sample
    threshold = f"at least {wanted.day_sample} enforced requests"
    conditions = (
        _dwell("dwell", 100, wanted.done_hours, measured),
        Condition(
            "requests",
            threshold,
            sample,
            Verdict.PASS if sample >= wanted.day_sample else Verdict.NO_DATA,
        ),
        Condition(
            "pinned_out",
            "none",
            len(measured.pinned_out),
            passes_if(not measured.pinned_out),
            ", ".join(measured.pinned_out[:20]),
        ),
    )
    return Gate("done", "The rollout is done", conditions)
