"""`manage.py mode`: what it prints, what it refuses, and its exit codes."""

import datetime
import json
import os
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from stageapp.mode import store
from stageapp.models.mode import ModeChange
from tests.processes import PROJECT, database_url

pytestmark = pytest.mark.django_db


def run(capsys, *arguments):
    call_command("mode", *arguments)
    return capsys.readouterr().out


def refused(*arguments):
    with pytest.raises(CommandError) as refusal:
        call_command("mode", *arguments)
    return str(refusal.value)


def test_before_any_change_show_tells_the_default(capsys):
    assert run(capsys, "show") == "warn (version 0.0)\n"
    assert json.loads(run(capsys, "show", "--json")) == {
        "mode": "warn",
        "percent": 100,
        "epoch": 0,
        "version": 0,
        "enforce_on": None,
        "source": "default",
        "since": None,
        "age": 0.0,
        "processes": [],
    }


def test_set_changes_the_mode_and_tells_what_holds_now(capsys):
    assert run(capsys, "set", "off", "--reason", "too noisy") == "off (version 1.1)\n"
    row = ModeChange.objects.get()
    assert (row.mode, row.reason, row.kind) == ("off", "too noisy", "manual")
    assert row.actor.startswith("cli:")
    assert run(capsys, "show") == "off (version 1.1)\n"


def test_a_share_and_a_day_are_told(capsys):
    printed = run(
        capsys,
        "set",
        "enforce",
        "--percent",
        "10",
        "--enforce-on",
        "2031-05-01",
        "--reason",
        "the first tenth",
        "--override-gates",
        "a test",
    )
    assert (
        printed
        == "enforce for 10 % of consumers (version 1.1, enforcement announced for 2031-05-01)\n"
    )
    assert store.latest().enforce_on == datetime.date(2031, 5, 1)


def test_json_is_one_document_and_nothing_else(capsys):
    shown = json.loads(
        run(capsys, "set", "enforce", "--reason", "ready", "--override-gates", "a test", "--json")
    )
    assert shown.pop("since").endswith("Z")
    assert shown.pop("age") == 0.0
    assert shown == {
        "mode": "enforce",
        "percent": 100,
        "epoch": 1,
        "version": 1,
        "enforce_on": None,
        "source": "postgres",
        "processes": [],
    }


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["enforce", "--percent", "0", "--reason", "x"], "from 1 to 100"),
        (["enforce", "--percent", "101", "--reason", "x"], "from 1 to 100"),
        (["warn", "--percent", "50", "--reason", "x"], "Leave percent out"),
        (["warn", "--reason", "  "], "A reason is needed"),
    ],
)
def test_what_makes_no_mode_is_refused_and_nothing_is_changed(arguments, told):
    assert told in refused("set", *arguments)
    assert not ModeChange.objects.exists()


def test_without_its_tables_the_command_names_the_way_out():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE stageapp_modechange RENAME TO elsewhere")
    assert "Run `manage.py migrate` first." in refused("show")


# --- as a process: exit codes and streams


def manage(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "manage.py", "mode", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env=os.environ | {"DATABASE_URL": database_url()} | environment,
    )


@pytest.mark.django_db(transaction=True)
def test_exit_code_0_and_only_the_answer_on_stdout():
    done = manage("set", "off", "--reason", "ready", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["mode"] == "off"
    assert store.latest().mode == "off"


@pytest.mark.django_db(transaction=True)
def test_exit_code_1_when_refused():
    done = manage("set", "warn", "--percent", "10", "--reason", "x", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("CommandError: percent applies only to enforce")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["set", "warn"],
        ["set", "ENFORCE", "--reason", "x"],
        ["set", "warn", "--reason", "x", "--enforce-on", "tomorrow"],
    ],
)
def test_exit_code_2_when_used_wrongly(arguments):
    done = manage(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: manage.py mode" in done.stderr


@pytest.mark.parametrize("verb", [["show"], ["set", "enforce", "--reason", "x"]])
def test_postgres_away_is_told_with_what_to_do_and_without_a_traceback(verb):
    done = manage(*verb, DATABASE_URL="postgres://stage:secret-word@:5432/nonexistent-folder/stage")
    assert done.returncode == 1
    assert "PostgreSQL does not answer. Bring it back" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret-word" not in done.stderr


@pytest.mark.django_db(transaction=True)
def test_redis_away_does_not_keep_the_mode_from_changing():
    done = manage("set", "off", "--reason", "x", REDIS_URL="unix:///nonexistent/redis.sock?db=0")
    assert (done.returncode, done.stdout) == (0, "off (version 1.1)\n")
    assert store.latest().mode == "off"


def test_gates_hold_a_forward_move_and_it_is_told_which_and_what_to_do():
    said = refused("set", "enforce", "--percent", "10", "--reason", "let us see")
    assert (
        "run_complete (no data: stageapp.PortfolioCompany.stage no data, needed done, verified "
        "since" in said
    )
    assert "warn_exit" in said
    assert "override_gate" in said
    assert not ModeChange.objects.exists()


def test_going_past_gates_is_kept_with_the_gates_it_went_past(capsys):
    run(
        capsys,
        "set",
        "enforce",
        "--percent",
        "10",
        "--reason",
        "let us see",
        "--override-gates",
        "the board wants it",
    )
    assert ModeChange.objects.get().override_reason == (
        "the board wants it [past run_complete (no_data), consumers_audited (no_data), warn_exit "
        "(no_data)]"
    )


def test_an_override_that_was_not_needed_is_not_kept(capsys):
    run(capsys, "set", "warn", "--reason", "begin", "--override-gates", "to be sure")
    assert ModeChange.objects.get().override_reason == ""


def test_the_two_person_rule_needs_somebody_else_or_a_broken_glass(capsys, settings):
    settings.STAGE_TWO_PERSON_RULE = True
    enforce = ("set", "enforce", "--percent", "10", "--reason", "now", "--override-gates", "a test")
    assert "two-person rule" in refused(*enforce)
    run(capsys, *enforce, "--break-glass", "the only one awake")
    assert ModeChange.objects.get().override_reason.startswith("BREAK-GLASS: the only one awake\n")


def test_an_announced_day_stays_until_it_is_withdrawn(capsys):
    run(capsys, "set", "warn", "--enforce-on", "2099-03-01", "--reason", "told all")
    go = ["enforce", "--percent", "10", "--reason", "go", "--override-gates", "a test"]
    day = "enforcement announced for 2099-03-01"
    assert run(capsys, "set", *go) == f"enforce for 10 % of consumers (version 1.2, {day})\n"
    assert run(capsys, "set", "warn", "--reason", "back") == f"warn (version 1.3, {day})\n"
    withdrawn = run(capsys, "set", "warn", "--withdraw-enforce-on", "--reason", "not yet")
    assert withdrawn == "warn (version 1.4)\n"
    assert ModeChange.objects.first().reason == "not yet\nWithdrew the announced day, 2099-03-01."


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--enforce-on", "2020-01-01"], "2020-01-01 is in the past"),
        (["--enforce-on", "2099-01-01", "--withdraw-enforce-on"], "not both"),
        (["--withdraw-enforce-on"], "there is none to withdraw"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_day_that_cannot_be_is_refused_and_nothing_is_changed(arguments, told, dry):
    assert told in refused("set", "warn", "--reason", "x", *arguments, *dry)
    assert not ModeChange.objects.exists()


def test_a_dry_run_tells_what_callers_would_see_and_what_holds_it_back(capsys):
    run(capsys, "set", "warn", "--enforce-on", "2099-03-01", "--reason", "told all")
    asked = ["set", "enforce", "--percent", "10", "--reason", "go", "--dry-run"]
    printed = run(capsys, *asked)
    assert "The announced day, 2099-03-01, stays." in printed
    assert "Callers in the share of 10 % are refused" in printed
    assert "Blocked by" in printed
    document = json.loads(run(capsys, *asked, "--json"))
    assert [document[name] for name in ("mode", "percent", "enforce_on")] == [
        "enforce",
        10,
        "2099-03-01",
    ]
    assert document["held_back"].startswith("Blocked by")
    assert document["told"] == printed.splitlines()[:3]
    assert "Nothing was changed." in run(capsys, "set", "off", "--reason", "x", "--dry-run")
    assert ModeChange.objects.count() == 1
