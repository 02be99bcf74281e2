"""The ordered rules as data, with their named parts written out; Python and PostgreSQL run the same patterns."""

import re
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("rules_v1.tsv")


class Rule(NamedTuple):
    """One rule: a `rewrite` replaces what its pattern finds by the outcome, a `verdict` names a reason."""

    position: int
    kind: str
    pattern: str
    outcome: str


def read(file: Path = FILE) -> list[Rule]:
    """Return the rules in order, their patterns complete.

    Raises:
        ValueError: a line has not four columns, or names a kind or a part that does not exist.
    """
    words: dict[str, str] = {}
    rules: list[Rule] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("#"):
            continue
        kind, pattern, outcome, _comment = _columns(line, number)
        complete = _complete(pattern, words)
        if kind == "word":
            words[outcome] = complete
        else:
            rules.append(Rule(len(rules) + 1, kind, complete, outcome.replace("\\s", " ")))
    return rules


def _columns(line: str, number: int) -> list[str]:
    columns = line.split("\t")
    if len(columns) != 4 or columns[0] not in {"word", "rewrite", "verdict"}:
        raise ValueError(f"Line {number}: write word, rewrite or verdict, and four columns between tabs.")
    return columns


def _complete(pattern: str, words: dict[str, str]) -> str:
    def part(found: re.Match[str]) -> str:
        if found[1] not in words:
            raise ValueError(f"The part <{found[1]}> is used before its word is defined.")
        return words[found[1]]

    return re.sub("<([a-z]+)>", part, pattern)
