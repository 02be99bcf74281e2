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
