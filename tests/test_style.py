"""The style of the house that no linter holds: sizes, and names that say the content."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MOST_FILE_LINES = 450
MOST_MODULES = 25  # in one folder
MOST_LOOSE = 8  # files at the root of stageapp
SCREEN_LINES = 50  # of a function, without decorators and docstring
KINDS = {"utils", "helpers", "services", "misc", "common"}
# A bound in a template is a second copy of one that Python holds. 100 % is no bound.
BOUND = re.compile(
    r"\|(?:truncate\w+|slice|add):\"?[-:\d]|[<>=] (?!100\b)\d{2,}|viewBox=\"0 0 \d{4}"
)
COMMANDS = PROJECT / "stageapp" / "management" / "commands"  # a file there has its command's name


def code_files(*folders: str) -> list[Path]:
    files = [path for folder in folders for path in (PROJECT / folder).rglob("*.py")]
    return [path for path in files if "migrations" not in path.parts]


def function_lines(file: Path) -> dict[str, int]:
    """Return how long every function of a file is, by where it stands."""
    return {
        f"{file.relative_to(PROJECT)}:{node.lineno} {node.name}": (node.end_lineno or 0)
        - node.body[bool(ast.get_docstring(node)) and len(node.body) > 1].lineno
        + 2
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_no_file_is_too_long():
    lines = {
        str(file.relative_to(PROJECT)): len(file.read_text(encoding="utf-8").splitlines())
        for file in code_files("stageapp", "config", "tests")
    }
    assert {name: count for name, count in lines.items() if count > MOST_FILE_LINES} == {}


def test_every_function_fits_on_a_screen():
    lengths = [function_lines(file) for file in code_files("stageapp", "config")]
    long = {
        where: lines for each in lengths for where, lines in each.items() if lines > SCREEN_LINES
    }
    assert long == {}


def test_a_folder_has_as_many_files_as_one_can_look_over():
    modules = Counter(
        str(file.parent.relative_to(PROJECT))
        for file in code_files("stageapp", "config")
        if file.name != "__init__.py"
    )
    assert {folder: count for folder, count in modules.items() if count > MOST_MODULES} == {}
    assert modules["stageapp"] <= MOST_LOOSE


def test_a_module_is_named_after_its_content():
    named = [path for path in code_files("stageapp", "config", "tests") if path.parent != COMMANDS]
    assert [str(path) for path in named if path.stem in KINDS] == []


def template_lines() -> dict[str, str]:
    """Return every line of every template, by where it stands."""
    return {
        f"{file.relative_to(PROJECT)}:{number}": line
        for file in sorted((PROJECT / "templates").rglob("*.html"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    }


def test_no_line_of_a_template_is_too_long():
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    most = settings["tool"]["djlint"]["max_line_length"]
    assert {where: len(line) for where, line in template_lines().items() if len(line) > most} == {}


def test_a_template_holds_no_bound_of_its_own():
    assert [where for where, line in template_lines().items() if BOUND.search(line)] == []


def test_templates_are_clean():
    lint = [sys.executable, "-m", "djlint", "--lint", "templates"]
    found = subprocess.run(lint, cwd=PROJECT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
