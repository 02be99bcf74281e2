"""Durations and ages as people say them."""

import datetime

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """Return a number of seconds as its two largest units: "2 h 14 min"; below a second "1 s"."""
    left = max(1, round(seconds))
    for number, (size, unit) in enumerate(_UNITS):
        if left >= size:
            whole, rest = divmod(left, size)
            smaller, name = _UNITS[number + 1] if number + 1 < len(_UNITS) else (1, "")
            part = f" {rest // smaller} {name}" if name and rest // smaller else ""
            return f"{whole} {unit}{part}"
    raise AssertionError("one second is a unit")


def ago(at: datetime.datetime, now: datetime.datetime) -> str:
    """Return how long before `now` it was: "2 h 14 min ago"."""
    return f"{span((now - at).total_seconds())} ago"
