"""The numbers that gates and guard hold against what was measured; percentages are of requests."""

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


def share(percent: float) -> Fraction:
    """Return a percentage as an exact share, so that a rate on the threshold is on it and not beside it."""
    return Fraction(str(percent)) / 100
