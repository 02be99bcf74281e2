"""The answers of an examination."""

import enum
from dataclasses import asdict, dataclass


class Health(enum.StrEnum):
    """The four possible results; missing data never counts as healthy."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    NO_DATA = "no_data"


@dataclass(frozen=True)
class Answer:
    """The result of one check, and what to do about it."""

    name: str
    health: Health
    said: str
    do: str = ""

    def document(self) -> dict[str, str]:
        return asdict(self)


def ok(name: str, said: str) -> Answer:
    """Return a healthy answer."""
    return Answer(name, Health.OK, said)


def warn(name: str, said: str, do: str) -> Answer:
    """Return a warning: it works but needs attention."""
    return Answer(name, Health.WARN, said, do)


def fail(name: str, said: str, do: str) -> Answer:
    """Return a failure."""
    return Answer(name, Health.FAIL, said, do)


def no_data(name: str, said: str, do: str = "") -> Answer:
    """Return that the state is unknown."""
    return Answer(name, Health.NO_DATA, said, do)
