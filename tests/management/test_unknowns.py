"""The `unknowns` command: show, decide, undo and export, for people and for programs."""

import csv
import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError

from stageapp.management.commands import unknowns
from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import VocabularyVersion
from stageapp.unknowns import records
from stageapp.vocabulary import snapshot
from tests.unknowns.conftest import find

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _recorded():
    records.record_import("a file", {"Fondo X": 30, "Fondo Y": 20, "Sеries A": 10, "Fondo \x00": 5})


def run(*arguments):
    call_command("unknowns", *map(str, arguments))


def number(raw):
    return find(raw).pk


def test_the_list_shows_numbers_values_reasons_and_suggestions_by_impact(capsys):
    run("list")
    header, first, second, third, fourth, following = capsys.readouterr().out.splitlines()
    assert "value" in header
    assert str(number("Fondo X")) in first
    assert '"Fondo X"' in first
    assert first.index('"') == second.index('"')
    assert third.endswith("series_a")
    assert "\\u0000" in fourth
    assert "--dry-run" in following


def test_json_is_one_document_and_nothing_else(capsys):
    run("list", "--json", "--limit", 2)
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert [(e["key"], e["impact"], e["state"]) for e in entries] == [
        ("fondo x", 30, "open"),
        ("fondo y", 20, "open"),
    ]
    assert entries[0]["examples"] == ['"Fondo X"']
    assert entries[0]["seen_at"][0]["place"] == "a file"


def test_an_empty_queue_is_said(capsys):
    run("list", "--state", "ignored")
    assert capsys.readouterr().out.strip() == "The queue has no ignored entry."


def test_map_decides_several_in_one_version(capsys):
    run("map", number("Fondo X"), number("Fondo Y"), "--to", "seed", "--reason", "theirs", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told == {"entries": 2, "version": snapshot.newest_version()}
    assert find("Fondo X").state == "mapped"
    assert VocabularyVersion.objects.first().actor.startswith("cli:")


def test_a_dry_run_shows_and_changes_nothing(capsys):
    PortfolioCompany.objects.create(fund=Fund.objects.create(name="F"), name="a", stage="fondo-x")
    run("map", number("Fondo X"), "--to", "seed", "--reason", "theirs", "--dry-run")
    out = capsys.readouterr().out
    assert "1 row of stageapp.PortfolioCompany.stage would change with the next run." in out
    assert "'fondo-x'" in out
    assert "Nothing was changed." in out
    assert find("Fondo X").state == "open"


def test_declare_ignore_and_undo(capsys):
    run("declare", number("Fondo X"), "--as", "not_a_stage", "--reason", "theirs")
    run("ignore", number("Fondo Y"), "--reason", "theirs")
    assert [find(raw).state for raw in ("Fondo X", "Fondo Y")] == ["declared", "ignored"]
    run("undo", number("Fondo X"), number("Fondo Y"), "--reason", "no")
    assert [find(raw).state for raw in ("Fondo X", "Fondo Y")] == ["open", "open"]


def test_a_source_may_be_named():
    run("map", number("Fondo X"), "--to", "seed", "--source", "beta", "--reason", "theirs")
    meaning_of = snapshot.load().normalize
    assert (meaning_of("Fondo X", "beta").stage, meaning_of("Fondo X").stage) == ("seed", None)


def test_export_writes_a_file_or_standard_output(tmp_path, capsys):
    run("export", tmp_path / "queue.csv")
    assert "4 entries written" in capsys.readouterr().err
    with (tmp_path / "queue.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["spelling"] for row in rows] == ["Fondo X", "Fondo Y", "Sеries A", ""]
    run("export")
    assert capsys.readouterr().out.startswith("spelling,")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["map", 999_999, "--to", "seed", "--reason", "x"], "There is no entry 999999"),
        (["map", "X", "--to", "Series A", "--reason", "x"], "is not an active stage"),
        (["map", "X", "--to", "seed", "--reason", " "], "say why"),
        (["undo", "X", "--reason", "x"], "No decision about"),
        (["export", "/nonexistent/queue.csv"], "cannot be written"),
    ],
)
def test_a_refusal_says_what_is_wrong_with_exit_code_1(arguments, text):
    arguments = [number("Fondo X") if argument == "X" else argument for argument in arguments]
    with pytest.raises(CommandError, match=text) as refused:
        run(*arguments)
    assert refused.value.returncode == 1
    assert UnknownEntry.objects.in_state("open").count() == 4


def test_a_database_that_does_not_answer_is_said(monkeypatch):
    def away(_state):
        raise OperationalError("away")

    monkeypatch.setattr(unknowns, "queue", away)
    with pytest.raises(CommandError, match="PostgreSQL does not answer"):
        run("list")
