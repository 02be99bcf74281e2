"""The numbers that gates and guard hold against what was measured; percentages are of requests."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from django.conf import settings


@dataclass(frozen=True)
class GateThresholds:
    """`STAGE_GATE_…`, each documented in `.env.example`."""

    unknown_percent: float
    hour_unknown_percent: float
    warn_days: int
    warn_max_days: int
    day_sample: int
    hour_sample: int
    green_minutes: int
    slow_percent: float
    error_percent: float
    minute_sample: int
    canary_hours: float
    half_hours: float
    done_hours: float
    audit_days: float
    backup_hours: float


@dataclass(frozen=True)
class GuardThresholds:
    """`STAGE_GUARD_…`, each documented in `.env.example`."""

    enabled: bool
    percent: float
    minutes: int
    sample: int
    fast_percent: float
    fast_seconds: int
    fast_sample: int


def gates() -> GateThresholds:
    """Return the gates' thresholds."""
    return GateThresholds(**settings.STAGE_GATES)


def guard() -> GuardThresholds:
    """Return the guard's thresholds."""
    return GuardThresholds(**settings.STAGE_GUARD)


def nonsense() -> list[str]:
    """Return what is wrong with the thresholds as they are set, one sentence each, with the names to look for."""
    found = [*_nonsense_of(settings.STAGE_GATES, "STAGE_GATE"), *_nonsense_of(settings.STAGE_GUARD, "STAGE_GUARD")]
    if guard().fast_seconds % 10:
        found.append(f"STAGE_GUARD_FAST_SECONDS is {guard().fast_seconds}; take a multiple of 10.")
    if gates().warn_max_days <= gates().warn_days:
        found.append("STAGE_GATE_WARN_MAX_DAYS leaves no time for the days of STAGE_GATE_WARN_DAYS; take more.")
    if gates().warn_days >= settings.STAGE_TRAFFIC_RETENTION_DAYS:
        found.append("STAGE_TRAFFIC_RETENTION_DAYS forgets days that STAGE_GATE_WARN_DAYS asks for; keep more.")
    return found


def _nonsense_of(values: Mapping[str, float], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        most = 100 if "percent" in name else math.inf
        if name != "enabled" and not (0 < value <= most and math.isfinite(value)):
            bound = ", at most 100" if most == 100 else ""
            yield f"{prefix}_{name.upper()} is {value:g}; take more than 0{bound}."


def share(percent: float) -> Fraction:
    """Return a percentage as an exact share, so that a rate on the threshold is on it and not beside it."""
    return Fraction(str(percent)) / 100
