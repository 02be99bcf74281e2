"""One line of a plan's frozen map."""

from typing import NamedTuple


class Change(NamedTuple):
    """What becomes of a value. `source` is empty where the target declares no source column."""

    source: str
    old: str
    new: str
