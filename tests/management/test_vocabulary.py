"""The `vocabulary` command: aliases as files, and versions."""

import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from stageapp.models.vocabulary import StageAlias
from stageapp.vocabulary import snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def sheet(tmp_path):
    """Return a function that writes a file."""

    def write(text):
        path = tmp_path / "aliases.csv"
        path.write_bytes(text.encode())
        return path

    return write


def run(*arguments):
    call_command("vocabulary", *map(str, arguments))


def meaning(raw):
    return snapshot.load().normalize(raw).stage


def test_what_was_exported_is_imported_again_without_a_change(tmp_path, capsys):
    run("export", tmp_path / "aliases.csv")
    run("import", tmp_path / "aliases.csv", "--dry-run", "--json")
    diff = json.loads(capsys.readouterr().out)
    assert diff["unchanged"] == StageAlias.objects.count()
    assert diff["added"] == diff["changed"] == diff["removed"] == diff["refused"] == []


def test_a_dry_run_shows_the_difference_and_changes_nothing(sheet, capsys):
    run("import", sheet("spelling,stage\nFondo X,seed\nSeed+,growth\n"), "--dry-run")
    out = capsys.readouterr().out
    assert "'Fondo X': nothing → seed" in out
    assert "'Seed+': seed → growth" in out
    assert out.rstrip().endswith("Nothing was changed.")
    assert (meaning("Fondo X"), meaning("Seed+")) == (None, "seed")


def test_an_import_is_one_version(sheet, capsys):
    run(
        "import",
        sheet("spelling,stage\nFondo X,seed\nSeed+,growth\n"),
        "--reason",
        "agreed",
        "--json",
    )
    assert json.loads(capsys.readouterr().out)["version"] == snapshot.newest_version()
    assert (meaning("Fondo X"), meaning("Seed+")) == ("seed", "growth")


def test_a_refused_line_stops_everything_with_exit_code_1(sheet, capsys):
    with pytest.raises(CommandError, match="1 lines are refused") as refused:
        run("import", sheet("spelling,stage\nFondo X,seed\nFondo Y,Seed\n"), "--reason", "agreed")
    assert refused.value.returncode == 1
    assert "line 3" in capsys.readouterr().out
    assert meaning("Fondo X") is None


def test_a_missing_reason_is_wrong_usage(sheet):
    for arguments in (["import", sheet("spelling,stage\nFondo X,seed\n")], ["restore", 1]):
        with pytest.raises(CommandError, match="--reason") as refused:
            run(*arguments)
        assert refused.value.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["import", "/nonexistent.csv", "--dry-run"], "/nonexistent.csv: No such file"),
        (["export", "/nonexistent/a.csv"], "No such file"),
        (["show", 999_999], "There is no vocabulary version 999999"),
        (["restore", 999_999, "--reason", "x"], "There is no vocabulary version 999999"),
    ],
)
def test_a_refusal_says_what_is_wrong(arguments, text):
    with pytest.raises(CommandError, match=text):
        run(*arguments)


def test_a_file_that_is_no_table_is_refused(sheet):
    with pytest.raises(CommandError, match="must contain the columns"):
        run("import", sheet("a,b\n1,2\n"), "--dry-run")


def test_versions_are_listed_shown_and_restored(sheet, capsys):
    old = snapshot.newest_version()
    run("import", sheet("spelling,stage\nFondo X,seed\n"), "--reason", "agreed")
    new = snapshot.newest_version()
    capsys.readouterr()
    run("versions")
    assert "agreed" in capsys.readouterr().out.splitlines()[0]
    run("show", new)
    assert "'Fondo X' → seed" in capsys.readouterr().out
    run("show", new, "--json")
    assert json.loads(capsys.readouterr().out)["diff"]["aliases"]["added"][0]["key"] == "fondo x"
    run("restore", old, "--dry-run")
    assert "aliases removed: 1" in capsys.readouterr().out
    assert meaning("Fondo X") == "seed"
    run("restore", old, "--reason", "not agreed", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "restored": old,
        "version": snapshot.newest_version(),
    }
    assert meaning("Fondo X") is None
    run("restore", old, "--reason", "again")
    assert "is the same as in version" in capsys.readouterr().out
