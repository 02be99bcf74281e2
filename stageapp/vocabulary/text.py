"""The text rules: reduce a raw value to the unformatted key under which aliases are stored."""

import re
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

from stageapp.models.vocabulary import REASONS

# The ordered rules as data, with their named parts written out; Python and PostgreSQL run the same
# patterns.

RULES_FILE = Path(__file__).with_name("rules_v1.tsv")


class Rule(NamedTuple):
    """A text rule: a `rewrite` replaces its matches with the outcome, a `verdict` is a reason."""

    position: int
    kind: str
    pattern: str
    outcome: str


def read_rules(file: Path = RULES_FILE) -> list[Rule]:
    """Return the rules in order, with complete patterns.

    Raises:
        ValueError: a line does not have four columns, or uses an unknown kind or part.
    """
    words: dict[str, str] = {}
    rules: list[Rule] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != 4 or columns[0] not in {"word", "rewrite", "verdict"}:
            raise ValueError(
                f"Line {number}: write word, rewrite or verdict, in four columns separated by tabs."
            )
        kind, pattern, outcome, _comment = columns
        complete = _complete(pattern, words)
        if kind == "word":
            words[outcome] = complete
        else:
            rules.append(Rule(len(rules) + 1, kind, complete, outcome.replace("\\s", " ")))
    return rules


def _complete(pattern: str, words: dict[str, str]) -> str:
    def part(match: re.Match[str]) -> str:
        if match[1] not in words:
            raise ValueError(f"The part <{match[1]}> is used before its word is defined.")
        return words[match[1]]

    return re.sub("<([a-z]+)>", part, pattern)


# The folding table: every character a value may hold, and what it becomes.
#
# Unicode tables differ between Python and PostgreSQL and from release to release, so the table is
# data of our own that both sides read (Unicode Standard Annex 15 is only where the frozen rows came
# from).

CHARACTERS_FILE = Path(__file__).with_name("characters_v1.tsv")


KEPT = "="  # the replacement of a range whose characters stay as they are


class Range(NamedTuple):
    """Neighbouring characters that all stay (`KEPT`) or all become the same."""

    first: int
    last: int
    replacement: str


def read_characters(file: Path = CHARACTERS_FILE) -> tuple[dict[int, str], list[Range]]:
    """Return replacements by code point, and the ranges in ascending order."""
    replacements: dict[int, str] = {}
    ranges: list[Range] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        points, replacement, _comment = line.split("\t")
        first, _, last = points.partition("-")
        becomes = replacement.replace("\\s", " ")
        if last:
            ranges.append(Range(int(first, 16), int(last, 16), becomes))
        else:
            replacements[int(first, 16)] = becomes
    return replacements, sorted(ranges)


class OutsideTableError(Exception):
    """A character is not in the folding table."""


class _Table(dict[int, str]):
    """A table for `str.translate`, filled from the ranges as their characters come.

    A character in no row or range raises `OutsideTableError`.
    """

    def __init__(self, replacements: dict[int, str], ranges: list[Range]) -> None:
        super().__init__(replacements)
        self.ranges = ranges
        self.firsts = [one.first for one in ranges]

    def __missing__(self, point: int) -> str:
        place = bisect_right(self.firsts, point) - 1
        if place < 0 or point > self.ranges[place].last:
            raise OutsideTableError
        becomes = self.ranges[place].replacement
        folded = self[point] = chr(point) if becomes == KEPT else becomes
        return folded


_TABLE = _Table(*read_characters())


def fold(raw: str) -> str | None:
    """Return `raw` in lower case, without accents or extra spaces; None if outside the table."""
    try:
        return squeeze(raw.translate(_TABLE))
    except OutsideTableError:
        return None


def squeeze(text: str) -> str:
    """Return `text` with repeated spaces and dashes collapsed, and no space at its ends."""
    while "  " in text or "--" in text:
        text = text.replace("  ", " ").replace("--", "-")
    return text.strip(" ")


# characters, of a value and of its key: a longer one is no stage, and its cost stays bounded
LONGEST = 256
PASSES = 6  # the rewrites are repeated until nothing changes, at most so often


class Reduced(NamedTuple):
    """An unformatted value. `reason` applies if no alias claims the key; `final`: none ever may."""

    key: str
    reason: str
    final: bool = False


_RULES = [(rule.kind, re.compile(rule.pattern), rule.outcome) for rule in read_rules()]
_REWRITES = [(pattern, outcome) for kind, pattern, outcome in _RULES if kind == "rewrite"]
_VERDICTS = [(pattern, outcome) for kind, pattern, outcome in _RULES if kind == "verdict"]
_JUNK = Reduced("", "junk", final=True)
_BLANK = Reduced("", "blank", final=True)


def reduce(raw: str) -> Reduced:
    """Return the key of `raw` and its reason if no alias claims it. Never raises for any str."""
    if len(raw) > LONGEST:
        return _JUNK
    text = fold(raw)
    if text is None:
        return _JUNK
    if not text:
        return _BLANK
    key = _settle(text)
    if key is not None and (english := translate(key)) != key:
        key = _settle(english)
    if key is None or len(key) > LONGEST:
        return _JUNK
    return Reduced(key, next((why for rule, why in _VERDICTS if rule.search(key)), "unmapped"))


def _settle(text: str) -> str | None:
    """Repeat the rewrites until nothing changes; None if they do not converge."""
    for _ in range(PASSES):
        before = text
        for pattern, outcome in _REWRITES:
            rewritten = pattern.sub(outcome, text)
            if rewritten != text:
                text = squeeze(rewritten) or text
                if len(text) > LONGEST:  # a mark may become a word: the cost stays bounded
                    return None
        if text == before:
            return text
    return None


# Words and phrases of other languages, and the English that the rules read instead.

LANGUAGES = Path(__file__).with_name("languages")
LONGEST_PHRASE = 6  # words


def read_words(folder: Path = LANGUAGES) -> dict[str, str]:
    """Return the English by phrase, the phrase as the rules leave it.

    Raises:
        ValueError: a line does not have three columns, a phrase cannot be read or is too long, or
            two languages disagree about it.
    """
    words: dict[str, str] = {}
    for file in sorted(folder.glob("*.tsv")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if line.startswith("#"):
                continue
            columns = line.split("\t")
            folded = fold(columns[0])
            phrase = folded and _settle(folded)
            if len(columns) != 3 or not phrase or phrase.count(" ") >= LONGEST_PHRASE:
                raise ValueError(
                    f"{file.name}, line {number}: write a phrase of at most {LONGEST_PHRASE} "
                    "words, its English and a comment, separated by tabs."
                )
            if words.setdefault(phrase, columns[1]) != columns[1]:
                raise ValueError(
                    f"{file.name}, line {number}: {columns[0]} is {words[phrase]} in another line."
                )
    return {phrase: english for phrase, english in words.items() if phrase != english}


_WORDS = read_words()
_FIRST_WORDS = frozenset(phrase.split(" ")[0] for phrase in _WORDS)


def translate(key: str) -> str:
    """Return a key with every known phrase in English, the longest phrase first."""
    words, english = key.split(" "), list[str]()
    if _FIRST_WORDS.isdisjoint(words):
        return key
    while words:
        for length in range(min(LONGEST_PHRASE, len(words)), 0, -1):
            phrase = " ".join(words[:length])
            if phrase in _WORDS or length == 1:
                english.append(_WORDS.get(phrase, phrase))
                words = words[length:]
                break
    return " ".join(english)


# What an alias may claim.

# An alias means exactly one stage. What the rules read as several of them, or as no value at all,
# is none.
_NEVER_A_STAGE = frozenset({"blank", "junk", "multiple_stages"})


def alias_refusal(spelling: str, *, names_stage: bool) -> str:
    """Return why no alias may claim this spelling, empty if one may.

    `names_stage`: the alias would mean a stage; one that only changes the reason may claim more.
    """
    reduced = reduce(spelling)
    if reduced.final:
        return (
            f"it is decided before aliases apply: {reduced.reason}, "
            f"{REASONS[reduced.reason]}; an alias for it could never take effect"
        )
    if names_stage and reduced.reason in _NEVER_A_STAGE:
        return (
            f"the text rules classify it as {reduced.reason}: {REASONS[reduced.reason]}; "
            "it cannot mean one stage"
        )
    return ""
