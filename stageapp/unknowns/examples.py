"""Raw values as the queue keeps them: what tells one from another, and how it was written."""

import hashlib
import json

from stageapp.models.unknowns import JUNK_PREFIX, UnknownEntry
from stageapp.vocabulary.snapshot import Meaning

_CUT = "…"


def identity(raw: str, meaning: Meaning) -> str:
    """Return what tells this unknown from others: its key, or a digest of a value that has none."""
    if meaning.key or meaning.reason == "blank":
        return meaning.key
    return JUNK_PREFIX + hashlib.sha256(json.dumps(raw).encode("ascii")).hexdigest()


def example(raw: str) -> str:
    """Return `raw` as an ASCII JSON string; one that is too long is cut and ends in "…" after
    the quotation mark.
    """
    longest = UnknownEntry.LONGEST_EXAMPLE
    begin = raw[:longest]
    if len(begin) == len(raw) and len(whole := json.dumps(raw)) <= longest:
        return whole
    while len(cut := json.dumps(begin) + _CUT) > longest:
        begin = begin[: len(begin) * 9 // 10]
    return cut


def readable(shown: str) -> str:
    """Return the value behind an example; of one that was cut, its beginning."""
    value: str = json.loads(shown.removesuffix(_CUT))
    return value
