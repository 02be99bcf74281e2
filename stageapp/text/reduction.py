"""What is left of a raw value when its formatting is gone: a key that aliases are stored under."""

import re
from typing import NamedTuple

from stageapp.text import rules
from stageapp.text.characters import fold, squeeze

LONGEST = 256  # characters, of a value and of its key: a longer one is no stage, and its cost stays bounded
PASSES = 6  # the rewrites are repeated until nothing changes, at most so often


class Reduced(NamedTuple):
    """A value without its formatting. `reason` holds if no alias claims the key; `final`: none ever may."""

    key: str
    reason: str
    final: bool = False


_RULES = [(rule.kind, re.compile(rule.pattern), rule.outcome) for rule in rules.read()]
_REWRITES = [(pattern, outcome) for kind, pattern, outcome in _RULES if kind == "rewrite"]
_VERDICTS = [(pattern, outcome) for kind, pattern, outcome in _RULES if kind == "verdict"]
_JUNK = Reduced("", "junk", final=True)
_BLANK = Reduced("", "blank", final=True)


def reduce(raw: str) -> Reduced:
    """Return the key of `raw` and the reason it is unknown if no alias claims it. Never raises on any str."""
    if len(raw) > LONGEST:
        return _JUNK
    text = fold(raw)
    if text is None:
        return _JUNK
    if not text:
        return _BLANK
    key = _settle(text)
    return _JUNK if key is None or len(key) > LONGEST else Reduced(key, _reason(key))


def _settle(text: str) -> str | None:
    """Repeat the rewrites until nothing changes; None if they never agree."""
    for _ in range(PASSES):
        before = text
        for pattern, outcome in _REWRITES:
            rewritten = pattern.sub(outcome, text)
            if rewritten != text:
                text = squeeze(rewritten) or text
        if text == before:
            return text
    return None


def _reason(key: str) -> str:
    for pattern, reason in _VERDICTS:
        if pattern.search(key):
            return reason
    return "unmapped"
