"""The decision for every endpoint: values and a mode in; accepted, warned or rejected out.

Pure: no I/O, no clock, no HTTP. Structural errors (not a string, a weight that is not a number)
never get here; the API rejects them in every mode.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stageapp.vocabulary.snapshot import Meaning, Snapshot
from stageapp.vocabulary.suggestions import suggest


@dataclass(frozen=True)
class Unknown:
    """A value that maps to no stage. `pointer` is its JSON pointer (RFC 6901) in the request."""

    pointer: str
    value: str
    reason: str
    suggestions: tuple[str, ...]


@dataclass(frozen=True)
class Retired:
    """A value that is understood but is not the canonical spelling; send `stage` instead."""

    pointer: str
    value: str
    stage: str


@dataclass(frozen=True)
class Decision:
    """The decision on one request. `meanings` are in the order of the values."""

    mode: str
    meanings: tuple[Meaning, ...]
    unknowns: tuple[Unknown, ...]
    retired: tuple[Retired, ...]

    @property
    def verdict(self) -> str:
        """The shadow verdict, the same in every mode: canonical, normalized or unknown."""
        if self.unknowns:
            return "unknown"
        return "normalized" if self.retired else "canonical"

    @property
    def outcome(self) -> str:
        """Accepted, warned or rejected. A retired spelling is never a reason to reject."""
        if self.unknowns and self.mode == "enforce":
            return "rejected"
        if self.mode == "off" or self.verdict == "canonical":
            return "accepted"
        return "warned"


def decide(
    values: Sequence[tuple[str, str]], *, mode: str, vocabulary: Snapshot, source: str = ""
) -> Decision:
    """Decide on (JSON pointer, raw value) pairs in one request's effective mode."""
    meanings = tuple(vocabulary.normalize(raw, source) for _, raw in values)
    unknowns = []
    retired = []
    for (pointer, raw), meaning in zip(values, meanings, strict=True):
        if meaning.stage is None:
            unknowns.append(
                Unknown(
                    pointer, raw, meaning.reason or "unmapped", suggest(raw, meaning, vocabulary)
                )
            )
        elif raw != meaning.stage:
            retired.append(Retired(pointer, raw, meaning.stage))
    return Decision(mode, meanings, tuple(unknowns), tuple(retired))
