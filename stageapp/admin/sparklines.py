"""Sparklines as numbers: what the SVG template draws."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 1000  # units of the drawing's width; the page scales it
HEIGHT = 30  # units of its height
_LEAST = 1.5  # a column that stands for 0 can still be seen; a gap is where nothing was measured


@dataclass(frozen=True)
class Column:
    """One measurement of a sparkline, in drawing units from the top left."""

    x: float
    y: float
    width: float
    height: float
    bad: bool


@dataclass(frozen=True)
class Sparkline:
    """Measurements in their order as columns, with the limit they are held against."""

    label: str
    columns: tuple[Column, ...]
    limit_y: float
    words: str

    def __str__(self) -> str:
        """Say it in words, for whoever does not see it."""
        return f"{self.label}: {self.words}"


def sparkline(label: str, values: Sequence[float | None], limit: float, *, least: bool = False) -> Sparkline:
    """Return columns for values of 0 or more, None where nothing was measured; `limit` is the most, or the least."""
    measured = [value for value in values if value is not None]
    top = max([*measured, limit]) * 1.15 or 1.0
    width = WIDTH / max(len(values), 1)
    columns = []
    for place, value in enumerate(values):
        if value is not None:
            height = max(HEIGHT * value / top, _LEAST)
            bad = value < limit if least else value >= limit
            x, y = round(place * width, 2), round(HEIGHT - height, 2)
            columns.append(Column(x, y, round(width * 0.8, 2), round(height, 2), bad))
    words = _in_words(measured, len(values), f"{'at least' if least else 'limit'} {limit:.3g}")
    return Sparkline(label, tuple(columns), round(HEIGHT - HEIGHT * limit / top, 2), words)


def _in_words(measured: Sequence[float], places: int, limit: str) -> str:
    if not measured:
        return f"nothing measured, {limit}"
    held = f"{len(measured)} of {places} measured"
    return f"newest {measured[-1]:.3g}, lowest {min(measured):.3g}, highest {max(measured):.3g}, {limit}, {held}"
