"""How the queue keeps raw values: their identity and their original spelling."""

import hashlib
import json

from stageapp.models.unknowns import JUNK_PREFIX, UnknownEntry
from stageapp.vocabulary.snapshot import Meaning

_CUT = "…"


def identity(raw: str, meaning: Meaning) -> str:
    """Return this unknown's identity: its key, or a digest if it has no key."""
    if meaning.key or meaning.reason == "blank":
        return meaning.key
    return JUNK_PREFIX + hashlib.sha256(json.dumps(raw).encode("ascii")).hexdigest()


def example(raw: str) -> str:
    """Return `raw` as an ASCII JSON string; if cut, it ends in "…" after the quotation mark."""
    longest = UnknownEntry.LONGEST_EXAMPLE
    begin = raw[:longest]
    if len(begin) == len(raw) and len(whole := json.dumps(raw)) <= longest:
        return whole
    while len(cut := json.dumps(begin) + _CUT) > longest:
        begin = begin[: len(begin) * 9 // 10]
    return cut


def readable(shown: str) -> str:
    """Return the value of an example; only its start if it was truncated."""
    value: str = json.loads(shown.removesuffix(_CUT))
    return value


# Raw values in readable form: letters as they are, invisible characters as escapes.

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
