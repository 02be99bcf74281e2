"""Find the string literals of Python source with its own parser: prefixes, joins and docstrings are read rightly."""

import ast
import warnings
from collections.abc import Iterator

from stageapp.consumer_audit.literals import Literal, inside, line_starts, literals


def python_literals(text: str) -> Iterator[Literal]:
    """Yield the string literals, without docstrings and pieces of f-strings; of what does not parse, any strings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the file's own style
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield from literals(text, "hash")
        return
    left_out, starts = _prose_and_pieces(tree), line_starts(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield from inside(Literal(_offset(node, text, starts), node.value), text)


def _offset(node: ast.Constant, text: str, starts: list[int]) -> int:
    """Return where a node begins in characters; the parser counts UTF-8 bytes, and errs inside an f-string."""
    begin = starts[min(node.lineno, len(starts)) - 1]
    before = text[begin : begin + node.col_offset]
    if before.isascii():
        return begin + len(before)
    return begin + len(before.encode("utf-8", "replace")[: node.col_offset].decode("utf-8", "replace"))


def _prose_and_pieces(tree: ast.AST) -> set[int]:
    """Return the docstrings, other strings that stand alone, and the pieces of f-strings."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            found.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            found.update(id(piece) for piece in node.values)
    return found
