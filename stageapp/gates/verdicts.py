"""What a gate says: a verdict, and for each of its conditions the threshold and the measured value."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Verdict(enum.StrEnum):
    """The three answers."""

    PASS = "pass"  # noqa: S105  no password
    FAIL = "fail"
    NO_DATA = "no_data"


@dataclass(frozen=True)
class Condition:
    """One thing that has to hold. `value` is None where nothing was measured."""

    name: str
    threshold: str
    value: float | str | None
    verdict: Verdict
    why: str = ""

    @property
    def shown(self) -> str:
        """Return the measured value for people."""
        if self.value is None:
            return "no data"
        return self.value if isinstance(self.value, str) else f"{self.value:.4g}"


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
        """Return the condition that decides: the first that fails, else the first without data, else the first."""
        for verdict in (Verdict.FAIL, Verdict.NO_DATA):
            if found := next((it for it in self.conditions if it.verdict == verdict), None):
                return found
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
            "why": self.deciding.why,
            "conditions": [
                {
                    "name": it.name,
                    "threshold": it.threshold,
                    "value": it.value,
                    "verdict": it.verdict.value,
                    "why": it.why,
                }
                for it in self.conditions
            ],
            "evidence": dict(self.evidence),
        }

    def __str__(self) -> str:
        it = self.deciding
        return f"{self.name} ({self.verdict.value}: {it.name} {it.shown}, needed {it.threshold})"


def passes_if(holds: bool) -> Verdict:
    """Return pass or fail."""
    return Verdict.PASS if holds else Verdict.FAIL
