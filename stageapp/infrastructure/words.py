"""Figures formatted for people: durations, ages, percentages, counts and sizes."""

import datetime

from django.utils import timezone

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400  # seconds


def first_line(error: Exception) -> str:
    """Return the first line of what an error says: PostgreSQL adds details and context below."""
    return str(error).strip().partition("\n")[0]


def duration(seconds: float | None) -> str:
    """Format seconds in at most two units: `2 h 14 min`."""
    if seconds is None:
        return "–"
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds < 89.5:
        if 0 < seconds < 0.0995:
            return f"{1000 * seconds:.2g} ms"
        if seconds < 0.995:
            return f"{seconds:.2g} s"
        if seconds < 9.95:
            return f"{seconds:.1f} s".replace(".0 ", " ")
        return f"{seconds:.0f} s"
    if seconds < 10 * _MINUTE - 0.5:
        return _two(round(seconds), _MINUTE, "min", 1, "s")
    if seconds < 2 * _DAY - 30:
        return _two(_rounded(seconds, _MINUTE), _HOUR, "h", _MINUTE, "min")
    return _two(_rounded(seconds, _HOUR), _DAY, "d", _HOUR, "h")


def _rounded(seconds: float, unit: int) -> int:
    return round(seconds / unit) * unit


def _two(seconds: int, large: int, large_name: str, small: int, small_name: str) -> str:
    first, rest = divmod(seconds, large)
    parts = [(first, large_name), (rest // small, small_name)]
    return " ".join(f"{count:,} {name}" for count, name in parts if count)


def age(at: datetime.datetime, now: datetime.datetime | None = None) -> str:
    """Return the time elapsed since then, to the second."""
    return duration(round(((now or timezone.now()) - at).total_seconds()))


def ago(at: datetime.datetime, now: datetime.datetime | None = None) -> str:
    """Format the elapsed time for a sentence: `2 h 14 min ago`; at least a second, never 0."""
    seconds = ((now or timezone.now()) - at).total_seconds()
    return f"{duration(max(1, round(seconds)))} ago"


def percent(value: float | None) -> str:
    """Format a percentage: `0.4 %`. Less than everything is never shown as 100 %."""
    if value is None:
        return "–"
    if 0 < value < 0.01:
        return "< 0.01 %"
    if 99.95 <= value < 100:
        return "> 99.9 %"
    digits = 1 if value >= 1 else 2
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".") + " %"


def count(number: int, one: str, many: str = "") -> str:
    """Format a count with its noun: `1 row`, `1,234 rows`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def short_hash(digest: str) -> str:
    """Return the beginning of a hash, enough to distinguish plans or schemas."""
    return digest[:12]


def size(count: float) -> str:
    """Format a number of bytes."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{count:.0f} bytes"
