"""How a long task tells how far it is."""

from collections.abc import Callable

# Takes the phase, what is done of it, and the whole (0 where nobody knows it yet); bytes, or tables in `measure`.
Report = Callable[[str, int, int], None]


def silent(phase: str, done: int, whole: int) -> None:
    """Tell nobody."""
