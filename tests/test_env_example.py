"""`.env.example` and the code name the same variables, with the same defaults."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
READERS = [
    PROJECT / "config" / "settings.py",
    *sorted((PROJECT / "stageapp" / "embedded").glob("*.py")),
]
LINE = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
NAME = re.compile(r"[A-Z][A-Z0-9_]+\Z")
# Of the test suite alone; its own plugin sets it.
NOT_FOR_USERS = {"STAGE_TEST_DATABASE_NAME"}
# Functions that take a variable's name: env.str("X"), os.environ.get("X"),
# FileAwareEnv().bool("X").
GETTERS = {"str", "bool", "int", "float", "list", "db", "get"}


def documented() -> dict[str, str]:
    return dict(LINE.findall((PROJECT / ".env.example").read_text()))


def calls_that_read(tree: ast.AST) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in GETTERS
        and "env" in ast.unparse(node.func.value).lower()
        and node.args
        and isinstance(node.args[0], ast.Constant)
    ]


def names_read(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    found = {call.args[0].value for call in calls_that_read(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            found.add(getattr(node.slice, "value", ""))
    return {name for name in found if isinstance(name, str) and NAME.match(name)}


def read_by_the_code() -> set[str]:
    return set().union(*map(names_read, READERS)) - NOT_FOR_USERS


def test_every_variable_that_the_code_reads_is_documented():
    assert read_by_the_code() - documented().keys() == set()


def test_every_documented_variable_is_read_by_the_code():
    assert documented().keys() - read_by_the_code() == set()


def test_the_search_finds_each_way_of_reading_a_variable(tmp_path):
    source = tmp_path / "reader.py"
    source.write_text(
        'env.str("ONE_A", default="")\nos.environ.get("TWO_B")\nos.environ["THREE_C"] = 1\n'
        'environ.FileAwareEnv().bool("FOUR_D")\nsettings.get("NOT_ONE")\n'
    )
    assert names_read(source) == {"ONE_A", "TWO_B", "THREE_C", "FOUR_D"}


def test_it_is_written_so_that_a_copy_of_it_sets_nothing():
    lines = (PROJECT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def literal_defaults() -> list[tuple[str, object]]:
    found = []
    for call in calls_that_read(ast.parse(READERS[0].read_text())):
        default = next((word.value for word in call.keywords if word.arg == "default"), None)
        if (
            isinstance(default, ast.Constant)
            and isinstance(default.value, float | int)
            and default.value
        ):
            found.append((call.args[0].value, default.value))
    return found


@pytest.mark.parametrize("name, default", literal_defaults())
def test_the_default_that_is_documented_is_the_real_one(name, default):
    assert float(documented()[name]) == float(default)
