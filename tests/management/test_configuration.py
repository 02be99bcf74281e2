"""`manage.py configuration`: the table of settings, and the two files that it writes."""

import ast
import io
from pathlib import Path

import pytest
from django.core.management import call_command

from stageapp import conf
from stageapp.management.commands import configuration
from tests.test_layers import PROJECT

READERS = [
    PROJECT / "config" / "settings.py",
    *sorted((PROJECT / "stageapp" / "embedded").glob("*.py")),
]


@pytest.mark.parametrize(
    "form, path", [("markdown", "docs/configuration.md"), ("env", ".env.example")]
)
def test_the_committed_file_is_what_the_command_writes(form, path):
    out = io.StringIO()
    call_command("configuration", "--format", form, stdout=out)
    assert (PROJECT / path).read_bytes() == out.getvalue().encode()


def test_a_copy_of_the_example_sets_nothing():
    lines = configuration.env().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


@pytest.mark.parametrize("row", conf.ROWS, ids=lambda row: row.name)
def test_what_the_example_shows_is_a_value_that_the_program_takes(row):
    [line] = [line for line in configuration.env().splitlines() if line.startswith(f"#{row.name}=")]
    shown = line.partition("=")[2]
    given = conf.from_environment({row.name: shown})
    assert given == ({row.name: row.parse(shown)} if shown else {})
    if shown and not row.example:
        assert given[row.name] == row.default


def words_of(path: Path) -> set[str]:
    """Return every text that stands in the code."""
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_the_site_reads_each_setting_that_is_its_own():
    read = set().union(*map(words_of, READERS))
    assert {row.name for row in conf.ROWS if row.site} - read == set()


def test_the_site_reads_nothing_that_is_not_in_the_table():
    calls = [
        node for node in ast.walk(ast.parse(READERS[0].read_text())) if isinstance(node, ast.Call)
    ]
    names = {
        ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func) == "given.get"
    }
    assert len(names) > 5
    assert names - {row.name for row in conf.ROWS} == set()
