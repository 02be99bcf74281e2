"""The factors that throttle a run, each with a limit to stop at and an easier one to resume at."""

import enum
from dataclasses import dataclass
from typing import Any

from stageapp.infrastructure import words

RESUME_PERCENT = 80.0  # of the limit: there a held run goes on; at 100 it would flutter


@dataclass(frozen=True)
class Factor:
    """One measure of the database's health. With `falls`, a low value is bad."""

    name: str
    title: str
    unit: str
    falls: bool = False

    def say(self, value: float) -> str:
        """Format a value or a limit for display."""
        if self.unit == "s":
            return words.duration(value)
        return words.percent(value) if self.unit == "%" else f"{value:,.10g}"

    def resume_limit(self, limit: float) -> float:
        """Return the value at which a held run goes on: below the limit, or above where low is bad."""
        return limit * 100 / RESUME_PERCENT if self.falls else limit * RESUME_PERCENT / 100

    def holds(self, value: float, limit: float, *, held: bool) -> bool:
        """Whether the value throttles a run; a throttled one resumes only past the easier limit."""
        at = self.resume_limit(limit) if held else limit
        if self.falls:
            return value < at if held else value <= at
        return value > at if held else value >= at


FACTORS = {
    factor.name: factor
    for factor in (
        Factor("replica_lag", "replica lag", "s"),
        Factor("lock_waiters", "sessions waiting for a lock", ""),
        Factor("active_sessions", "active sessions", ""),
        Factor("wal_files", "WAL files waiting to be archived", ""),
        Factor("transaction_age", "oldest transaction", "s"),
        Factor("disk_free", "free disk", "%", falls=True),
    )
}


@dataclass(frozen=True)
class Reading:
    """One measured value. Without one, `note` says why; `partial`: we may not see all of it."""

    value: float | None
    note: str = ""
    partial: bool = False
    absent: bool = False  # there is nothing to measure, as with no standby


class Standing(enum.StrEnum):
    OK = "ok"
    HOLDS = "holds"
    NOT_MEASURED = "not measured"
    NOTHING = "nothing to measure"
    OFF = "off"


@dataclass(frozen=True)
class Judged:
    """A factor's reading and its verdict. `limit` 0 means off."""

    factor: Factor
    reading: Reading
    limit: float
    resume: float
    standing: Standing

    @property
    def text(self) -> str:
        """The reason for the throttling, as a sentence."""
        say = self.factor.say
        note = f" ({self.reading.note})" if self.reading.note else ""
        return (
            f"{self.factor.title} {say(self.reading.value or 0)}{note}; the limit is "
            f"{say(self.limit)}, work continues at {say(self.resume)}"
        )

    def document(self) -> dict[str, Any]:
        value = self.reading.value
        return {
            "factor": self.factor.name,
            "title": self.factor.title,
            "state": self.standing.value,
            "value": None if value is None else round(value, 3),
            "limit": self.limit,
            "resume": self.resume,
            "unit": self.factor.unit,
            "note": self.reading.note,
        }


def judge(name: str, reading: Reading, limit: float, *, held: bool) -> Judged:
    """Compare a reading with its limit. `held`: this factor already throttles the run."""
    factor = FACTORS[name]
    if limit == 0:
        standing = Standing.OFF
    elif reading.absent:
        standing = Standing.NOTHING
    elif reading.value is None:
        standing = Standing.NOT_MEASURED
    elif factor.holds(reading.value, limit, held=held):
        standing = Standing.HOLDS
    else:
        standing = Standing.NOT_MEASURED if reading.partial else Standing.OK
    return Judged(factor, reading, limit, factor.resume_limit(limit), standing)


def nonsense(name: str, limit: float) -> str:
    """Return why the factor cannot have this limit, empty if it can."""
    if name not in FACTORS:
        return f"{name} is not a throttle factor; the factors are {', '.join(FACTORS)}."
    most = 100.0 if FACTORS[name].unit == "%" else 1e9
    if not 0 <= limit <= most:
        return f"{limit:g} is not a valid limit for {name}: use 0 (off) to {most:g}."
    return ""
