"""The result of a gate: a verdict, and the threshold and measured value of each condition."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stageapp.infrastructure import words


class Verdict(enum.StrEnum):
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
    """One condition of a gate. `value` is in `unit`, or None if nothing was measured."""

    name: str
    threshold: str
    value: float | str | None
    verdict: Verdict
    why: str = ""
    unit: Unit = ""

    @property
    def title(self) -> str:
        """The name to display."""
        return _TITLES.get(self.name, self.name)

    @property
    def shown(self) -> str:
        """The measured value to display."""
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
        """The measured value with its evidence, or what to do if there is none."""
        if self.value is None:
            return self.why or self.shown
        return f"{self.shown} ({self.why})" if self.why else self.shown


@dataclass(frozen=True)
class Gate:
    """A named gate. It fails if any condition fails, and has no data if any condition has none."""

    name: str
    title: str
    conditions: tuple[Condition, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the conditions."""
        return self.deciding.verdict

    @property
    def deciding(self) -> Condition:
        """The deciding condition: the first failed, else the first without data, else the first."""
        for verdict in (Verdict.FAIL, Verdict.NO_DATA):
            if condition := next((it for it in self.conditions if it.verdict == verdict), None):
                return condition
        return self.conditions[0]

    @property
    def passes(self) -> bool:
        return self.verdict == Verdict.PASS

    def document(self) -> dict[str, Any]:
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
    return Verdict.PASS if holds else Verdict.FAIL
