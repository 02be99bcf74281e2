"""Stacked bars as numbers: what the SVG template draws."""

from collections.abc import Mapping
from dataclasses import dataclass

WIDTH = 1000  # units of the drawing's width; the page scales it


@dataclass(frozen=True)
class Part:
    """One piece of a bar, in drawing units, with the count it stands for."""

    name: str
    count: int
    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """One stacked bar and its parts, in the order they were given."""

    label: str
    total: int
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        """Say the bar in words, for whoever does not see it."""
        return f"{self.label}: " + ", ".join(f"{part.count:,} {part.name}" for part in self.parts)


def bar(label: str, counts: Mapping[str, int]) -> Bar:
    """Return one bar whose parts fill its width in proportion to their counts."""
    total = sum(counts.values())
    parts = []
    x = 0.0
    for name, count in counts.items():
        width = WIDTH * count / total if total else 0.0
        parts.append(Part(name, count, round(x, 2), round(width, 2)))
        x += width
    return Bar(label, total, tuple(parts))


def bars(outcomes: Mapping[str, Mapping[str, int]]) -> list[Bar]:
    """Return one bar for each mode."""
    return [bar(label, counts) for label, counts in outcomes.items()]
