"""Raw values for a person to read: letters as they are, and everything that cannot be seen as an
escape.
"""

from stageapp.models.unknowns import UnknownEntry
from stageapp.unknowns.examples import readable

LONGEST = 80  # characters in a table


def visible(raw: str, longest: int = LONGEST) -> str:
    """Return a value in quotes, in which NUL, bidi and zero-width marks and lone surrogates
    stand as escapes.
    """
    shown = repr(raw[:longest])
    return f"{shown}…" if len(raw) > longest else shown


def visible_example(example: str, longest: int = LONGEST) -> str:
    """Return the value behind a queue's example in the same form."""
    shown = visible(readable(example), longest)
    return f"{shown}…" if example.endswith("…") and not shown.endswith("…") else shown


def first_example(entry: UnknownEntry, longest: int = 60) -> str:
    """Return the value as it was first written, in quotes; the key where no example is left."""
    return visible_example(entry.examples[0], longest) if entry.examples else str(entry)
