"""Find the literals in source text: quoted strings, and bare values where a format has them.

One regular expression per language family matches comments and strings in the order they begin, so
that a quote in a comment begins no string. Strings never cross a line end, so a lone apostrophe
does no harm.
"""

import ast
import csv
import re
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

LONGEST = 80  # characters; no spelling of a stage is longer


class Literal(NamedTuple):
    """A literal and the offset of its opening quotation mark; `named`: a stage column's cell."""

    start: int
    text: str
    named: bool = False


_DOUBLE, _SINGLE, _BACK = (rf"{q}((?:[^{q}\\\n]|\\.)*){q}" for q in "\"'`")
_SQL_SINGLE, _SQL_DOUBLE = (rf"{q}((?:[^{q}\\\n]|{q}{q}|\\.)*){q}" for q in "'\"")
_BLOCK, _SLASHES = r"/\*[\s\S]*?(?:\*/|\Z)", r"//[^\n]*"
_HASH, _DASHES = r"(?:^|(?<=\s))#[^\n]*", r"--[^\n]*"
_MARKUP = r"<!--[\s\S]*?(?:-->|\Z)"
_TEXT_NODE = r">[ \t]*([^<>{}\n]{1,80}?)[ \t]*(?=<)"
_WORDS = r"[^\W\d_][^\n:#,\[\]{}\"'`|>&*!%@=;]{0,78}?"
_BARE_YAML = (
    rf"(?:(?<=: )|(?<=- )|(?<=, )|(?<=\[)|^[ \t]*)({_WORDS})(?=[ \t]*(?:$|[:,\]}}]|[ \t]#))"
)
_BARE_VALUE = rf"(?<=[=:])[ \t]*({_WORDS})(?=[ \t]*(?:$|[ \t][#;]))"

_FAMILIES = {
    "c": [_BLOCK, _SLASHES, _DOUBLE, _SINGLE, _BACK],
    "mixed": [_MARKUP, _BLOCK, _SLASHES, _TEXT_NODE, _DOUBLE, _SINGLE, _BACK],
    "markup": [_MARKUP, _TEXT_NODE, _DOUBLE, _SINGLE],
    "hash": [_HASH, _DOUBLE, _SINGLE, _BACK],
    "sql": [_DASHES, _BLOCK, _SQL_SINGLE, _SQL_DOUBLE],
    "json": [_DOUBLE],
    "yaml": [_HASH, _DOUBLE, _SINGLE, _BARE_YAML],
    "settings": [_HASH, r"^[ \t]*;[^\n]*", _DOUBLE, _SINGLE, _BARE_VALUE],
}
_PATTERNS = {name: re.compile("|".join(parts), re.MULTILINE) for name, parts in _FAMILIES.items()}

_SQL_WORDS = re.compile(
    r"\b(?:select|where|values|set|in|like|when|then|check|default)\b", re.IGNORECASE
)
_INNER = re.compile(rf"{_SQL_SINGLE}|{_SQL_DOUBLE}")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\(.)")
_BREAKS = {"n": "\n", "t": "\t", "r": "\r"}
_LINE_END = re.compile(r"\n|\r\n?")
_DELIMITERS = ",;\t|"


def line_starts(text: str) -> list[int]:
    """Return the offsets of line starts, after each newline, carriage return or both together."""
    return [0, *(match.end() for match in _LINE_END.finditer(text))]


def literals(text: str, family: str) -> Iterator[Literal]:
    """Yield the short literals of a language family, including those inside embedded SQL."""
    for match in _PATTERNS[family].finditer(text):
        if match.lastindex:
            raw, quoted = match[match.lastindex], match[0][0] in "\"'`"
            if "\\" in raw and len(raw) <= LONGEST * 6:
                raw = _ESCAPE.sub(_unescaped, raw)
            yield from inside(Literal(match.start(0 if quoted else match.lastindex), raw), text)


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    return chr(int(code, 16)) if code else _BREAKS.get(escape[3], escape[3])


def inside(literal: Literal, source: str) -> Iterator[Literal]:
    """Yield the literal if it is short, else the strings of the SQL it may hold."""
    if len(literal.text) <= LONGEST:
        yield literal
    if (
        len(literal.text) > 12
        and ("'" in literal.text or '"' in literal.text)
        and _SQL_WORDS.search(literal.text)
    ):
        at = literal.start + 1
        for match in _INNER.finditer(literal.text):
            place = source.find(match[0], at)
            if match.lastindex and len(match[0]) <= LONGEST and place >= 0:
                yield Literal(place, match[match.lastindex])
                at = place + 1


def table_literals(text: str, delimiter: str | None = None) -> Iterator[Literal]:
    """Yield a CSV file's header and the cells of the columns named after a stage."""
    starts = line_starts(text)
    lines = [text[begin:end] for begin, end in pairwise([*starts, len(text)])]
    reader = csv.reader(lines, delimiter=delimiter or max(_DELIMITERS, key=lines[0].count))
    first, stages = 0, frozenset[int]()
    try:
        for number, row in enumerate(reader):
            if number == 0:
                stages = frozenset(
                    place for place, name in enumerate(row) if "stage" in name.lower()
                )
            for place, cell in enumerate(row):
                if (number == 0 or place in stages) and 0 < len(cell) <= LONGEST:
                    yield Literal(
                        max(text.find(cell, starts[first]), starts[first]), cell, named=number > 0
                    )
            if not stages:
                return
            first = reader.line_num
    except csv.Error:
        return  # no table after all


# Find the string literals of Python source with its own parser: prefixes, joins and docstrings are
# read rightly.


def python_literals(text: str) -> Iterator[Literal]:
    """Yield strings except docstrings and f-string pieces; any strings if it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the file's own style
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield from literals(text, "hash")
        return
    starts, left_out = line_starts(text), set[int]()  # of ids
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left_out.add(id(node.value))  # a docstring or another standalone string
        elif isinstance(node, ast.JoinedStr):
            left_out.update(id(piece) for piece in node.values)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in left_out
        ):
            yield from inside(Literal(_offset(node, text, starts), node.value), text)


def _offset(node: ast.Constant, text: str, starts: list[int]) -> int:
    """Return a node's offset in characters; the parser counts UTF-8 bytes and errs in f-strings."""
    begin = starts[min(node.lineno, len(starts)) - 1]
    before = text[begin : begin + node.col_offset]
    if before.isascii():
        return begin + len(before)
    return begin + len(
        before.encode("utf-8", "replace")[: node.col_offset].decode("utf-8", "replace")
    )
