"""Raw values in readable form: letters as they are, invisible characters as escapes."""

from stageapp.models.unknowns import UnknownEntry
from stageapp.unknowns.examples import readable

LONGEST = 80  # characters in a table


def visible(raw: str, longest: int = LONGEST) -> str:
    """Return a value in quotes; NUL, bidi, zero-width marks and lone surrogates are escaped."""
    shown = repr(raw[:longest])
    return f"{shown}…" if len(raw) > longest else shown


def visible_example(example: str, longest: int = LONGEST) -> str:
    """Return the value of a queue's example in the same form."""
    shown = visible(readable(example), longest)
    return f"{shown}…" if example.endswith("…") and not shown.endswith("…") else shown


def first_example(entry: UnknownEntry, longest: int = 60) -> str:
    """Return the value as first written, in quotes; the key if no example is left."""
    return visible_example(entry.examples[0], longest) if entry.examples else str(entry)
