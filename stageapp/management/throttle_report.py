"""What holds a run back, as lines for a terminal, and limits as they are typed there."""

from argparse import ArgumentTypeError
from typing import Any

from stageapp import words
from stageapp.normalization.factors import FACTORS
from stageapp.normalization.throttling import Limit, Shown


def standing_lines(shown: Shown) -> list[str]:
    """Return what a run's status says: the hold, what is not measured, and the time lost."""
    lines = [f"Held: {shown.hold}"] if shown.hold else []
    lines += [f"Not measured: {one['title']} ({one['note']})" for one in shown.not_measured]
    lost = [
        f"{words.duration(seconds)} for {FACTORS[name].title}" for name, seconds in shown.seconds.items() if seconds
    ]
    return [*lines, f"Waited: {', '.join(lost)}"] if lost else lines


def throttle_lines(shown: Shown, limits: dict[str, Limit]) -> list[str]:
    """Return every factor: the last reading, the limit and who set it."""
    read = {reading["factor"]: reading for reading in shown.readings}
    when = f"{shown.looked_at:%Y-%m-%d %H:%M:%S} UTC" if shown.looked_at else "never: no worker has begun it"
    lines = [f"Looked at: {when}"]
    lines += [_line(read.get(name), limit, shown.seconds[name]) for name, limit in limits.items()]
    return [*lines, *([f"Held: {shown.hold}"] if shown.hold else [])]


def _line(reading: dict[str, Any] | None, limit: Limit, waited: float) -> str:
    say = FACTORS[limit.factor].say
    value = "" if reading is None or reading["value"] is None else f"{say(reading['value'])}, "
    state = f"{value}{reading['state']}" if reading else "not looked at"
    note = f" ({reading['note']})" if reading and reading["note"] else ""
    by = f", set by {limit.actor}: {limit.reason}" if limit.actor else ""
    wanted = f"limit {say(limit.limit)}" if limit.limit else "off"
    return f"  {limit.factor:<16} {state}{note}; {wanted}{by}; waited {words.duration(waited)}"


def parse_limit(text: str) -> tuple[str, float | None]:
    """Return the name and the limit of NAME=LIMIT, None for `default`; raises ArgumentTypeError."""
    name, _, limit = text.partition("=")
    try:
        return name, None if limit == "default" else float(limit)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not NAME=LIMIT, with a number or `default`") from None
