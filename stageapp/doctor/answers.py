"""What one examination says."""

import enum
from dataclasses import asdict, dataclass


class Health(enum.StrEnum):
    """The four answers; no data is never a good one."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    NO_DATA = "no_data"


@dataclass(frozen=True)
class Answer:
    """One thing that was examined, how it is, and what to do where it is not well."""

    name: str
    health: Health
    said: str
    do: str = ""

    def document(self) -> dict[str, str]:
        """Return it for JSON."""
        return asdict(self)


def ok(name: str, said: str) -> Answer:
    """Return that it is well."""
    return Answer(name, Health.OK, said)


def warn(name: str, said: str, do: str) -> Answer:
    """Return that it works, but should be seen to."""
    return Answer(name, Health.WARN, said, do)


def fail(name: str, said: str, do: str) -> Answer:
    """Return that it does not work."""
    return Answer(name, Health.FAIL, said, do)


def no_data(name: str, said: str, do: str = "") -> Answer:
    """Return that nobody knows."""
    return Answer(name, Health.NO_DATA, said, do)
