"""The findings of a preflight and their severity."""

import enum
from dataclasses import dataclass


class Severity(enum.StrEnum):
    """The severities, the worst first."""

    BLOCKS = "blocks"  # the run would fail, or leave rows that it must not leave
    WARNS = "warns"  # the run works; something else would not, or would be slow
    TELLS = "tells"  # worth knowing


@dataclass(frozen=True)
class Finding:
    """A finding: `what` it is and what it `means` for the run."""

    severity: Severity
    what: str
    means: str

    def document(self) -> dict[str, str]:
        return {"severity": self.severity.value, "what": self.what, "means": self.means}

    def __str__(self) -> str:
        return f"{self.what}: {self.means}"


def blocks(what: str, means: str) -> Finding:
    """Return a finding that blocks a run."""
    return Finding(Severity.BLOCKS, what, means)


def warns(what: str, means: str) -> Finding:
    """Return a finding to review before a run."""
    return Finding(Severity.WARNS, what, means)


def tells(what: str, means: str) -> Finding:
    """Return a finding that is only informational."""
    return Finding(Severity.TELLS, what, means)


def sort(findings: list[Finding]) -> list[Finding]:
    """Return the findings, the worst first."""
    return sorted(findings, key=lambda finding: list(Severity).index(finding.severity))
