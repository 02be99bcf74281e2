"""What a gate says: a verdict, and for each of its conditions the threshold and the measured
value.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stageapp.infrastructure import words


class Verdict(enum.StrEnum):
    """The three answers."""

    PASS = "pass"  # noqa: S105  no password
    FAIL = "fail"
    NO_DATA = "no_data"


Unit = Literal["", "hours", "days", "percent"]

_SECONDS = {"hours": 3_600, "days": 86_400}
# What people call a condition; a target's is its label.
_TITLES = {
    "dwell": "time at this share",
    "minutes": "green minutes",
    "unknown": "requests with an unknown value",
    "errors": "requests with an error",
    "slow": "slow validations",
    "downgrades": "automatic downgrades",
    "requests": "enforced requests",
    "pinned_out": "consumers pinned out",
    "unknown_by_day": "unknown values, worst day",
    "unknown_by_hour": "unknown values, worst hour",
    "days": "days that count",
    "time_in_warn": "time in warn",
    "audit": "age of the newest audit",
    "backup": "age of the newest verified backup",
    "rehearsal": "newest rehearsed restore",
}


@dataclass(frozen=True)
class Condition:
    """One thing that has to hold. `value` is None where nothing was measured, else in `unit`."""

    name: str
    threshold: str
    value: float | str | None
    verdict: Verdict
    why: str = ""
    unit: Unit = ""

    @property
    def title(self) -> str:
        """Return its name for people."""
        return _TITLES.get(self.name, self.name)

    @property
    def shown(self) -> str:
        """Return the measured value for people."""
        if self.value is None:
            return "no data"
        if isinstance(self.value, str):
            return self.value
        if self.unit == "percent":
            return words.percent(self.value)
        if self.unit:
            return words.duration(self.value * _SECONDS[self.unit])
        return f"{self.value:,}"

    @property
    def said(self) -> str:
        """Return the measured value with what it rests on; without a value, what to do."""
        if self.value is None:
            return self.why or self.shown
        return f"{self.shown} ({self.why})" if self.why else self.shown


@dataclass(frozen=True)
class Gate:
    """A named gate. It fails if any condition fails, and has no data if any has none."""

    name: str
    title: str
    conditions: tuple[Condition, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """Return the worst of the conditions."""
        return self.deciding.verdict

    @property
    def deciding(self) -> Condition:
        """Return the condition that decides: the first that fails, else the first without data,
        else the first.
        """
        for verdict in (Verdict.FAIL, Verdict.NO_DATA):
            if condition := next((it for it in self.conditions if it.verdict == verdict), None):
                return condition
        return self.conditions[0]

    @property
    def passes(self) -> bool:
        """Tell whether it lets through."""
        return self.verdict == Verdict.PASS

    def document(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "verdict": self.verdict.value,
            "threshold": self.deciding.threshold,
            "value": self.deciding.value,
            "unit": self.deciding.unit or None,
            "why": self.deciding.why,
            "conditions": [
                {
                    "name": it.name,
                    "threshold": it.threshold,
                    "value": it.value,
                    "unit": it.unit or None,
                    "verdict": it.verdict.value,
                    "why": it.why,
                }
                for it in self.conditions
            ],
            "evidence": dict(self.evidence),
        }

    def __str__(self) -> str:
        it = self.deciding
        verdict = self.verdict.value.replace("_", " ")
        return f"{self.name} ({verdict}: {it.title} {it.shown}, needed {it.threshold})"


def passes_if(holds: bool) -> Verdict:
    """Return pass or fail."""
    return Verdict.PASS if holds else Verdict.FAIL
