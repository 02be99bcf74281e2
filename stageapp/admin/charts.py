"""Charts as numbers that the SVG templates draw."""

import datetime
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

BAR_WIDTH, BAR_HEIGHT = 1000, 14  # units of the drawing; the page scales it


@dataclass(frozen=True)
class Part:
    """One segment of a bar in drawing units, with its count."""

    name: str
    count: int
    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """One stacked bar and its parts, in the given order."""

    label: str
    total: int
    parts: tuple[Part, ...]
    width: ClassVar[int] = BAR_WIDTH
    height: ClassVar[int] = BAR_HEIGHT

    def __str__(self) -> str:
        """Return the bar in words, for screen readers."""
        return f"{self.label}: " + ", ".join(f"{part.count:,} {part.name}" for part in self.parts)


def bar(label: str, counts: Mapping[str, int]) -> Bar:
    """Return one bar whose parts fill its width in proportion to their counts."""
    total = sum(counts.values())
    parts = []
    x = 0.0
    for name, count in counts.items():
        width = BAR_WIDTH * count / total if total else 0.0
        parts.append(Part(name, count, round(x, 2), round(width, 2)))
        x += width
    return Bar(label, total, tuple(parts))


def bars(outcomes: Mapping[str, Mapping[str, int]]) -> list[Bar]:
    """Return one bar per mode."""
    return [bar(label, counts) for label, counts in outcomes.items()]


# Courses over time as numbers: what the SVG template draws.

COURSE_WIDTH = 1000  # units of the drawing's width; the page scales it
TALL = 200  # units of its height


@dataclass(frozen=True)
class Point:
    """One measurement of a course, in drawing units from the top left, and in words."""

    x: float
    y: float
    words: str


@dataclass(frozen=True)
class Course:
    """Measurements over time, oldest first; `ticks` label the height from the top down to 0."""

    label: str
    points: tuple[Point, ...]
    ticks: tuple[str, ...]
    first: datetime.datetime | None
    last: datetime.datetime | None
    width: ClassVar[int] = COURSE_WIDTH
    height: ClassVar[int] = TALL
    grid: ClassVar[tuple[int, ...]] = (0, TALL // 2, TALL)  # one line beside each tick

    @property
    def line(self) -> str:
        """The points in the syntax of an SVG polyline."""
        return " ".join(f"{point.x},{point.y}" for point in self.points)

    def __str__(self) -> str:
        """Return the course in words, for screen readers."""
        if not self.points:
            return f"{self.label}: nothing measured"
        return (
            f"{self.label}: {len(self.points)} measured, newest {self.points[-1].words}, "
            f"scale up to {self.ticks[0]}"
        )


def course(
    label: str,
    measured: Sequence[tuple[datetime.datetime, float]],
    say: Callable[[float], str] = "{:.3g}".format,
) -> Course:
    """Return values of 0 or more over time, oldest first; `say` puts a value into words."""
    if not measured:
        return Course(label, (), (), None, None)
    first, last = measured[0][0], measured[-1][0]
    top, span = _round_up(max(value for _, value in measured)), (last - first).total_seconds()
    points = [
        Point(
            round(
                COURSE_WIDTH * (at - first).total_seconds() / span if span else COURSE_WIDTH / 2, 2
            ),
            round(TALL - TALL * value / top, 2),
            f"{say(value)} at {at:%Y-%m-%d %H:%M} UTC",
        )
        for at, value in measured
    ]
    return Course(
        label, tuple(points), tuple(say(top * part) for part in (1.0, 0.5, 0.0)), first, last
    )


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, 50, … that is not less than `value`."""
    if value < sys.float_info.min:  # below it powers of ten are no longer exact, and at last 0
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10, 100) if step * power >= value)


# Sparklines as numbers: what the SVG template draws.

SPARKLINE_WIDTH = 1000  # units of the drawing's width; the page scales it
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
    """Measurements in order as columns, with the limit they are compared to."""

    label: str
    columns: tuple[Column, ...]
    limit_y: float
    words: str
    width: ClassVar[int] = SPARKLINE_WIDTH
    height: ClassVar[int] = HEIGHT

    def __str__(self) -> str:
        """Return the sparkline in words, for screen readers."""
        return f"{self.label}: {self.words}"


def sparkline(
    label: str, values: Sequence[float | None], limit: float, *, least: bool = False
) -> Sparkline:
    """Return columns for values of 0 or more, None if unmeasured; `limit` is the most, or least."""
    measured = [value for value in values if value is not None]
    top = max([*measured, limit]) * 1.15 or 1.0
    width = SPARKLINE_WIDTH / max(len(values), 1)
    columns = []
    for place, value in enumerate(values):
        if value is not None:
            height = max(HEIGHT * value / top, _LEAST)
            bad = value < limit if least else value >= limit
            x, y = round(place * width, 2), round(HEIGHT - height, 2)
            columns.append(Column(x, y, round(width * 0.8, 2), round(height, 2), bad))
    words = f"{'at least' if least else 'limit'} {limit:.3g}"
    if measured:
        words = (
            f"newest {measured[-1]:.3g}, lowest {min(measured):.3g}, highest {max(measured):.3g}, "
            f"{words}, {len(measured)} of {len(values)} measured"
        )
    else:
        words = f"nothing measured, {words}"
    return Sparkline(label, tuple(columns), round(HEIGHT - HEIGHT * limit / top, 2), words)
