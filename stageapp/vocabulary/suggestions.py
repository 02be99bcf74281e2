"""Suggest a stage for an unknown value, for a user to judge; it is never applied automatically."""

import re
from collections import defaultdict

from rapidfuzz import fuzz, process

from stageapp.vocabulary import text
from stageapp.vocabulary.snapshot import Meaning, Snapshot

# No threshold tells "series a" from "series b" (87.5) or "seed" from "pre seed" (90 by WRatio)
# apart from true pairs, so single letters and numbers must match exactly, and the runner-up must be
# clearly worse.
MINIMUM_RATIO = 74.0
MINIMUM_MARGIN = 6.0
MAX_KEY = 64
_MEMO_LIMIT = 50_000  # answers remembered per snapshot

# These reasons say that the value was understood and is no single stage: nothing to suggest.
_SETTLED = frozenset({"blank", "multiple_stages", "between_stages", "not_a_stage", "exit_status"})

# Letters of other scripts that look like a Latin one (Unicode Technical Standard 39, confusables):
# the value stays unknown, the look-alike is the suggestion.
_LOOK_ALIKES = str.maketrans(
    "АВСЕНІЈКМОРЅТХаәеіјорсухѕΑΒΕΖΗΙΚΜΝΟΡΤΥΧαερο",
    "ABCEHIJKMOPSTXaeeijopcyxsABEZHIKMNOPTYXaepo",
)
_EXACT = re.compile(r"\b[a-z]\b|[a-z]?\d+")


def suggest(raw: str, meaning: Meaning, vocabulary: Snapshot) -> tuple[str, ...]:
    """Return at most one canonical stage that an unknown value may mean; empty if none is close."""
    if meaning.stage is not None or meaning.reason in _SETTLED or len(raw) > text.LONGEST:
        return ()
    suggestions = vocabulary.suggested.get(raw)
    if suggestions is None:
        if len(vocabulary.suggested) >= _MEMO_LIMIT:
            vocabulary.suggested.clear()
        suggestions = vocabulary.suggested[raw] = _look(raw, meaning, vocabulary)
    return suggestions


def _begins_with(key: str, vocabulary: Snapshot) -> str | None:
    """Return the stage that the key names before something that is not understood."""
    words = key.split(" ")
    for length in range(len(words) - 1, 0, -1):
        if stage := vocabulary.general.get(" ".join(words[:length])):
            return stage
    return None


def _look(raw: str, meaning: Meaning, vocabulary: Snapshot) -> tuple[str, ...]:
    latin = raw.translate(_LOOK_ALIKES)
    if latin != raw and (stage := vocabulary.normalize(latin).stage):
        return (stage,)
    if stage := _begins_with(meaning.key, vocabulary):
        return (stage,)
    if not meaning.key or len(meaning.key) > MAX_KEY:
        return ()
    exact = _EXACT.findall(meaning.key)
    best: dict[str, float] = defaultdict(float)
    # What is so far below can neither be the best nor come close to it.
    far = MINIMUM_RATIO - MINIMUM_MARGIN
    candidates = process.extract(
        meaning.key, vocabulary.general.keys(), scorer=fuzz.ratio, limit=8, score_cutoff=far
    )
    for candidate, ratio, _ in candidates:
        if _EXACT.findall(candidate) == exact:
            slug = vocabulary.general[candidate]
            best[slug] = max(best[slug], ratio)
    ranked = sorted(best.items(), key=lambda item: -item[1])
    if not ranked or ranked[0][1] < MINIMUM_RATIO:
        return ()
    if len(ranked) > 1 and ranked[0][1] - ranked[1][1] < MINIMUM_MARGIN:
        return ()
    return (ranked[0][0],)


def meaning_document(raw: str, source: str, vocabulary: Snapshot) -> dict[str, object]:
    """Return what one value of a source means, for JSON."""
    meaning = vocabulary.normalize(raw, source)
    return {
        "value": raw,
        "stage": meaning.stage,
        "reason": meaning.reason,
        "suggestions": list(suggest(raw, meaning, vocabulary)),
    }
