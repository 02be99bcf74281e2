"""Courses over time as numbers: what the SVG template draws."""

import datetime
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH = 1000  # units of the drawing's width; the page scales it
TALL = 200  # units of its height


@dataclass(frozen=True)
class Point:
    """One measurement of a course, in drawing units from the top left, and in words."""

    x: float
    y: float
    words: str


@dataclass(frozen=True)
class Course:
    """Measurements at their times, oldest first. `ticks` label the height from the top down to 0."""

    label: str
    points: tuple[Point, ...]
    ticks: tuple[str, ...]
    first: datetime.datetime | None
    last: datetime.datetime | None

    @property
    def line(self) -> str:
        """Return the points as a polyline has them."""
        return " ".join(f"{point.x},{point.y}" for point in self.points)

    def __str__(self) -> str:
        """Say it in words, for whoever does not see it."""
        if not self.points:
            return f"{self.label}: nothing measured"
        return f"{self.label}: {len(self.points)} measured, newest {self.points[-1].words}, scale up to {self.ticks[0]}"


def course(
    label: str, measured: Sequence[tuple[datetime.datetime, float]], say: Callable[[float], str] = "{:.3g}".format
) -> Course:
    """Return values of 0 or more at their times, oldest first; `say` puts a value into words."""
    if not measured:
        return Course(label, (), (), None, None)
    first, last = measured[0][0], measured[-1][0]
    top, span = _round_up(max(value for _, value in measured)), (last - first).total_seconds()
    points = [
        Point(
            round(WIDTH * (at - first).total_seconds() / span if span else WIDTH / 2, 2),
            round(TALL - TALL * value / top, 2),
            f"{say(value)} at {at:%Y-%m-%d %H:%M} UTC",
        )
        for at, value in measured
    ]
    return Course(label, tuple(points), tuple(say(top * part) for part in (1.0, 0.5, 0.0)), first, last)


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, 50, … that is no less."""
    if value < sys.float_info.min:  # below it powers of ten are no longer exact, and at last 0
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10, 100) if step * power >= value)
