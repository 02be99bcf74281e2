"""The audit's code search: literals in source code that are stages but not written canonically.

A whole literal is checked, never a word inside a text. It is reported if the vocabulary maps it
to a stage, it is not that stage's slug, and it looks like a stage in its own right:

- *distinctive*: its reduced form has two words (`Series A`, `pre-seed`), it names the deal
  (`Seed round`, `Growth equity`), or it has letters outside ASCII (`Amorçage`);
- *generic*: one word with other meanings too (`Seed`, `Growth`). It counts only if its line
  mentions stages or funding outside the literal, or a distinctive or canonical stage is within
  two lines.

An unknown literal is reported if the code itself marks it as a stage (`stage="Serie Z"`, a `stage`
column) or a stage is within one line, and it has a suggestion or names several stages.
"""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from stageapp.consumers.audit.literals import (
    Literal,
    line_starts,
    literals,
    python_literals,
    table_literals,
)
from stageapp.consumers.audit.source_tree import MAX_BYTES, Left, SourceFile, walk
from stageapp.vocabulary.snapshot import Meaning, Snapshot
from stageapp.vocabulary.suggestions import suggest

NEAR_LINES = 2  # how far a distinctive stage speaks for a generic one
_SHORTEST, _LONGEST = 2, 64

_IGNORE = re.compile(r"\bstages:\s*ignore\b")
_SPEAKS_OF_STAGES = re.compile(r"stage(?!d)|funding|invest", re.IGNORECASE)
_NAMES_THE_DEAL = re.compile(
    r"(?:^|[^a-z])(?:rounds?|funding|financing|investments?|stage|vc|venture|equity|capital|series|raise|pref\w*|"
    r"ronda|rodada|tour|runde|ronde)(?![a-z])",
    re.IGNORECASE,
)
# What stands before a literal that the code calls a stage: stage=, "stage":, stage ==, stage IN (,
# setStage(
_CALLED_STAGE = re.compile(
    r"stage\w{0,40}[\"'`\]]{0,2}[ \t]{0,4}(?:={1,3}|!={1,2}|:=?|=>|<>|,|\(|\b(?:not )?in\b|\bi?like\b)"
    r"[ \t]{0,8}[\[({]?[ \t]{0,8}",
    re.IGNORECASE,
)
_SEVERAL = frozenset({"multiple_stages", "between_stages"})


@dataclass(frozen=True)
class StageLiteral:
    """One finding. `line` and `column` count from 1, in characters; `send` is None if unknown."""

    path: str
    line: int
    column: int
    literal: str
    send: str | None
    reason: str | None
    suggestions: tuple[str, ...]


@dataclass
class CodeAudit:
    """Findings in source trees, and the files that were not read."""

    literals: list[StageLiteral] = field(default_factory=list)
    files: int = 0
    characters: int = 0
    ignored: int = 0  # findings silenced by a comment
    left: Left = field(default_factory=Left)


def scan(
    paths: Collection[str],
    vocabulary: Snapshot,
    *,
    max_bytes: int = MAX_BYTES,
    exclude: Collection[str] = (),
) -> CodeAudit:
    """Read every source file below the paths; return the stage literals by file and place."""
    audit = CodeAudit()
    for file in walk(paths, audit.left, max_bytes=max_bytes, exclude=exclude):
        audit.files += 1
        audit.characters += len(file.text)
        for literal, silenced in stage_literals(file, vocabulary):
            if silenced:
                audit.ignored += 1
            else:
                audit.literals.append(literal)
    return audit


def literals_of(file: SourceFile) -> Iterator[Literal]:
    """Yield the literals of one file. Never raises, for any text."""
    if file.family == "python":
        return python_literals(file.text)
    if file.family == "table":
        return table_literals(file.text, "\t" if file.path.lower().endswith(".tsv") else None)
    return literals(file.text, file.family)


def stage_literals(file: SourceFile, vocabulary: Snapshot) -> Iterator[tuple[StageLiteral, bool]]:
    """Yield one file's findings in order, each with whether a comment on its line silences it."""
    place = _Places(file.text)
    called = {match.end() for match in _CALLED_STAGE.finditer(file.text)}
    candidates = [
        (literal, vocabulary.normalize(literal.text))
        for literal in sorted(set(literals_of(file)))  # each place once
        if _SHORTEST <= len(literal.text) <= _LONGEST and not literal.text.isdigit()
    ]
    evidence = sorted(
        place.line(literal.start)
        for literal, meaning in candidates
        if _is_distinctive(literal, meaning)
    )
    for literal, meaning in candidates:
        named = literal.named or literal.start in called
        line = place.line(literal.start)
        if literal.text != meaning.stage and _is_reported(
            literal, meaning, named, line, evidence, place, vocabulary
        ):
            suggested = suggest(literal.text, meaning, vocabulary)
            match = StageLiteral(
                file.path,
                line,
                literal.start - place.starts[line - 1] + 1,
                literal.text,
                meaning.stage,
                meaning.reason,
                suggested,
            )
            yield match, bool(_IGNORE.search(place.text_of(line)))


def _is_distinctive(literal: Literal, meaning: Meaning) -> bool:
    if meaning.stage is None:
        return False
    if " " in meaning.key or not literal.text.isascii():
        return True
    return " " in literal.text.strip() and bool(_NAMES_THE_DEAL.search(literal.text))


def _is_reported(
    literal: Literal,
    meaning: Meaning,
    named: bool,
    line: int,
    evidence: list[int],
    place: "_Places",
    vocabulary: Snapshot,
) -> bool:
    if _is_distinctive(literal, meaning):
        return True
    if meaning.stage is not None:
        return named or _within(evidence, line, NEAR_LINES) or place.speaks_of_stages(line, literal)
    if (
        named
        and meaning.reason in _SEVERAL
        and any(slug.replace("_", " ") in meaning.key for slug in vocabulary.labels)
    ):
        return True
    suggested = (
        suggest(literal.text, meaning, vocabulary) if named or _within(evidence, line, 1) else ()
    )
    # Beside a stage alone, `send` and `need` are English, not seed.
    return bool(suggested) and (named or literal.text[:1].isupper() or "_" in suggested[0])


def _within(lines: list[int], line: int, distance: int) -> bool:
    at = bisect_right(lines, line + distance)
    return at > 0 and lines[at - 1] >= line - distance


class _Places:
    """Lines and columns of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = line_starts(text)

    def line(self, offset: int) -> int:
        """Return the line of an offset, counting from 1."""
        return bisect_right(self.starts, offset)

    def text_of(self, line: int) -> str:
        end = self.starts[line] if line < len(self.starts) else len(self.text)
        return self.text[self.starts[line - 1] : end]

    def speaks_of_stages(self, line: int, literal: Literal) -> bool:
        """Whether the line mentions stages outside the literal."""
        return bool(_SPEAKS_OF_STAGES.search(self.text_of(line).replace(literal.text, "", 1)))
