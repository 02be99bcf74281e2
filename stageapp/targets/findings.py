"""What the look before a run finds, and how bad it is."""

import enum
from dataclasses import dataclass


class Severity(enum.StrEnum):
    """The three weights, the worst first."""

    BLOCKS = "blocks"  # the run would fail, or leave rows that it must not leave
    WARNS = "warns"  # the run works; something else would not, or would be slow
    TELLS = "tells"  # worth knowing


@dataclass(frozen=True)
class Finding:
    """One thing: `what` it is and what it `means` for the run."""

    severity: Severity
    what: str
    means: str

    def document(self) -> dict[str, str]:
        """Return it for JSON."""
        return {"severity": self.severity.value, "what": self.what, "means": self.means}

    def __str__(self) -> str:
        return f"{self.what}: {self.means}"


def blocks(what: str, means: str) -> Finding:
    """Return a finding that stops a run."""
    return Finding(Severity.BLOCKS, what, means)


def warns(what: str, means: str) -> Finding:
    """Return a finding that a person should look at before a run."""
    return Finding(Severity.WARNS, what, means)


def tells(what: str, means: str) -> Finding:
    """Return a finding that is no more than worth knowing."""
    return Finding(Severity.TELLS, what, means)


def sort(findings: list[Finding]) -> list[Finding]:
    """Return the findings, the worst first."""
    return sorted(findings, key=lambda finding: list(Severity).index(finding.severity))
