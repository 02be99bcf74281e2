"""`manage.py services`: it shows and stops, and starts nothing."""

import json

import pytest
from django.core.management import CommandError, call_command

from stageapp import embedded
from tests.embedded.conftest import bare, root, running  # noqa: F401  fixtures


def test_status_is_one_json_document(running, capsys):  # noqa: F811
    call_command("services", "status", "--json", root=running)
    report = json.loads(capsys.readouterr().out)
    assert report["root"] == str(running)
    assert [(server["name"], server["state"]) for server in report["servers"]] == [
        ("postgres18", "running"),
        ("redis", "running"),
    ]
    assert all(server["pid"] > 0 for server in report["servers"])


def test_status_is_readable(running, capsys):  # noqa: F811
    call_command("services", "status", root=running)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("postgres18: running (pid ")
    assert lines[1].startswith("redis: running (pid ")


def test_stop_says_what_it_stopped(running, capsys):  # noqa: F811
    call_command("services", "stop", root=running)
    assert capsys.readouterr().out.splitlines() == ["postgres18: stopped", "redis: stopped"]
    call_command("services", "stop", root=running)
    assert capsys.readouterr().out.strip() == f"No embedded server runs under {running}."


@pytest.mark.parametrize("action", ["status", "stop"])
def test_an_unused_root_stays_unused(action, root, capsys):  # noqa: F811
    call_command("services", action, root=root)
    assert capsys.readouterr().out.startswith("No embedded server")
    assert not root.exists()


def test_a_damaged_root_is_refused(tmp_path):
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(CommandError, match="is damaged"):
        call_command("services", "status", root=tmp_path)


def test_the_default_root_is_the_projects(capsys):
    call_command("services", "status", "--json")
    assert json.loads(capsys.readouterr().out)["root"] == str(embedded.DEFAULT_ROOT)
