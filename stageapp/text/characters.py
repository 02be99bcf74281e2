"""The folding table: every character a value may hold, and what it becomes.

Unicode tables differ between Python and PostgreSQL and from release to release, so the table is data of our own
that both sides read (Unicode Standard Annex 15 is only where the frozen rows came from).
"""

from pathlib import Path

FILE = Path(__file__).with_name("characters_v1.tsv")


def read(file: Path = FILE) -> tuple[dict[int, str], list[tuple[int, int]]]:
    """Return the replacements by code point, and the (first, last) ranges whose characters stay as they are."""
    replacements: dict[int, str] = {}
    ranges: list[tuple[int, int]] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        points, replacement, _comment = line.split("\t")
        first, _, last = points.partition("-")
        if last:
            ranges.append((int(first, 16), int(last, 16)))
        else:
            replacements[int(first, 16)] = replacement.replace("\\s", " ")
    return replacements, ranges


class OutsideTableError(Exception):
    """A character is not in the folding table."""


class _Table(dict[int, str]):
    """`str.translate`'s table: a character of no row and no range ends the translation."""

    def __init__(self, replacements: dict[int, str], ranges: list[tuple[int, int]]) -> None:
        super().__init__(replacements)
        self.ranges = ranges

    def __missing__(self, point: int) -> str:
        if any(first <= point <= last for first, last in self.ranges):
            return chr(point)
        raise OutsideTableError


_TABLE = _Table(*read())


def fold(raw: str) -> str | None:
    """Return `raw` in lower case, without accents, spaces squeezed; None if a character is outside the table."""
    try:
        return squeeze(raw.translate(_TABLE))
    except OutsideTableError:
        return None


def squeeze(text: str) -> str:
    """Return `text` with runs of spaces made one and none at the ends."""
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip(" ")
