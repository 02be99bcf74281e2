"""The style of the house that no linter holds: sizes, and names that say the content."""

import ast
import statistics
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
MAX_FILE_LINES = 450
MEDIAN_FUNCTION_LINES = 8
P90_FUNCTION_LINES = 25
KINDS = {"utils", "helpers", "services", "misc", "common"}
COMMANDS = PROJECT / "stageapp" / "management" / "commands"  # a file there bears the name of its command


def code_files(*folders: str) -> list[Path]:
    files = [path for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    return [path for path in files if "migrations" not in path.parts]


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.fixture(scope="module")
def function_lengths() -> list[int]:
    """The lines of every function of the product, without decorators and docstring, shortest first."""
    lengths = []
    for path in code_files("stageapp", "config"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                lengths.append((node.end_lineno or 0) - first.lineno + 2)
    return sorted(lengths)


def test_no_file_is_too_long():
    long = {str(path.relative_to(PROJECT)): line_count(path) for path in code_files("stageapp", "config", "tests")}
    assert {name: lines for name, lines in long.items() if lines > MAX_FILE_LINES} == {}


def test_the_median_function_is_short(function_lengths):
    assert statistics.median(function_lengths) <= MEDIAN_FUNCTION_LINES


def test_nine_functions_of_ten_fit_on_a_screen(function_lengths):
    assert function_lengths[len(function_lengths) * 9 // 10] <= P90_FUNCTION_LINES


def test_a_module_is_named_after_its_content():
    named = [path for path in code_files("stageapp", "config", "tests") if path.parent != COMMANDS]
    assert [str(path) for path in named if path.stem in KINDS] == []
