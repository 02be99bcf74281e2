"""System checks: each number one wrong setting, and nothing about a right one."""

import os
import subprocess
import sys

import pytest
from django.core.checks import run_checks

from stageapp import checks, conf
from stageapp.infrastructure import events
from tests.test_layers import PROJECT

TARGET = "stageapp.PortfolioCompany.stage"


def found():
    return {message.id: message for message in run_checks(tags=[checks.TAG])}


def test_the_settings_as_shipped_are_right():
    assert found() == {}


@pytest.mark.parametrize("mode", ["ENFORCE", "", "on", "warn "])
def test_e001_a_mode_that_does_not_exist(settings, mode):
    settings.STAGE_VALIDATION_MODE = mode
    messages = found()
    assert list(messages) == ["stageapp.E001"]
    assert f"{mode!r}, which is not a mode; warn counts instead" in messages["stageapp.E001"].msg
    assert "Set it to off or warn" in messages["stageapp.E001"].hint


def test_e002_a_default_stricter_than_warn(settings):
    settings.STAGE_VALIDATION_MODE = "enforce"
    messages = found()
    assert list(messages) == ["stageapp.E002"]
    assert "never exceeds warn" in messages["stageapp.E002"].msg
    assert "manage.py mode set enforce" in messages["stageapp.E002"].hint


@pytest.mark.parametrize("mode", ["off", "warn"])
def test_off_and_warn_are_right(settings, mode):
    settings.STAGE_VALIDATION_MODE = mode
    assert found() == {}


@pytest.mark.parametrize(
    "label, said",
    [
        ("stage", "is not an app.Model.field"),
        ("a.b.c.d", "is not an app.Model.field"),
        ("nowhere.PortfolioCompany.stage", "is not an app.Model.field"),
        ("stageapp.Nothing.stage", "is not an app.Model.field"),
        ("stageapp.PortfolioCompany.colour", "is not an app.Model.field"),
        ("stageapp.PortfolioCompany.updated_at", "only text columns"),
        ("stageapp.Stage.rank", "only text columns"),
        ("sessions.Session.session_data", "integer or UUID key"),
    ],
)
def test_e003_a_target_that_cannot_be_normalized(settings, label, said):
    settings.STAGE_TARGETS = [TARGET, label]
    messages = found()
    assert list(messages) == ["stageapp.E003"]
    assert label.rpartition(".")[0] in messages["stageapp.E003"].msg
    assert said in messages["stageapp.E003"].msg
    assert "app.Model.field" in messages["stageapp.E003"].hint


def test_e003_each_wrong_target_has_its_message(settings):
    settings.STAGE_TARGETS = ["one", "two"]
    assert len(run_checks(tags=[checks.TAG])) == 2


def test_e004_a_target_named_twice(settings):
    settings.STAGE_TARGETS = [TARGET, TARGET]
    assert list(found()) == ["stageapp.E004"]


@pytest.mark.parametrize(
    "name, wrong, right, hint",
    [
        (
            "STAGE_BATCH_SECONDS",
            [0, -1, 0.21, float("nan"), "0.1", None, True],
            [0.01, 0.2],
            "Set it to more than 0, at most 0.2, in seconds.",
        ),
        ("STAGE_BATCH_PAUSE_SECONDS", [-0.1, float("inf")], [0, 60], "Set it to 0 or more"),
        ("STAGE_MODE_MAX_STALENESS", [0, -30, float("inf"), float("nan")], [5, 60], "more than 0"),
        ("STAGE_REFRESH_SECONDS", [0, -4], [0.5, 30], "more than 0"),
        ("STAGE_PLAN_MAX_AGE_HOURS", [0, -24, float("inf")], [0.5, 720], "more than 0"),
        ("STAGE_TRUSTED_PROXIES", [-1, 1.5, "2"], [0, 2], "Set it to a whole number, 0 or more"),
        ("STAGE_LOG_SAMPLE_RATE", [0.0, -0.1, 1.1, float("nan")], [1, 0.5], "at most 1"),
        ("STAGE_GATE_UNKNOWN_PERCENT", [0, 101], [0.1, 100], "more than 0, at most 100"),
        ("STAGE_GATE_WARN_DAYS", [0, 30, 7.5], [1, 29], "a whole number, 1 to 29"),
        (
            "STAGE_AUTO_DOWNGRADE_PERCENT",
            [float("inf"), 0],
            [5],
            "more than 0, at most 100, in percent",
        ),
        ("STAGE_BACKUP_KEEP", [0], [1], "1 or more"),
        ("STAGE_TWO_PERSON_RULE", ["0", "yes", 2, None], [True, False, 1, 0], "1 or 0"),
        ("STAGE_TARGETS", ["a.B.c", 7, [7]], [[TARGET], (TARGET,)], "a list"),
        ("STAGE_BASE_URL", [None, 7], ["", "https://x.example"], "a text"),
        (
            "STAGE_HOLD",
            ["replica_lag=1", {"moon": 1}, {"disk_free": -1.0}, {"lock_waiters": float("nan")}],
            [{}, {"replica_lag": 0}],
            "of replica_lag, lock_waiters",
        ),
    ],
)
def test_e005_a_setting_of_the_wrong_type_or_out_of_its_bounds(settings, name, wrong, right, hint):
    for value in wrong:
        setattr(settings, name, value)
        messages = found()
        assert list(messages) == ["stageapp.E005"], value
        assert messages["stageapp.E005"].msg.startswith(f"{name} is {value!r}. ")
        assert hint in messages["stageapp.E005"].msg
    for value in right:
        setattr(settings, name, value)
        assert found() == {}, value


@pytest.mark.parametrize("row", conf.ROWS, ids=lambda row: row.name)
def test_every_default_is_a_value_that_its_row_takes(row):
    assert row.takes(row.default)


def test_what_is_wrong_with_a_secret_is_said_without_it(settings):
    settings.STAGE_METRICS_TOKEN = ["hunter2" * 8]
    messages = found()
    assert list(messages) == ["stageapp.E005"]
    assert "hunter2" not in str(messages)


def test_e008_a_mode_that_is_stale_before_it_is_read_again(settings):
    settings.STAGE_REFRESH_SECONDS = 31
    assert list(found()) == ["stageapp.E008"]


@pytest.mark.parametrize(
    "name, like",
    [
        ("STAGE_BATCH_SECOND", "STAGE_BATCH_SECONDS"),
        ("STAGE_BACKUP_KEYS_FILE", "STAGE_BACKUP_KEY"),
        ("STAGE_XYZ", ""),
    ],
)
def test_w042_a_variable_of_a_name_that_means_nothing(monkeypatch, name, like):
    monkeypatch.setenv("STAGE_BACKUP_KEY_FILE", "/nowhere")
    monkeypatch.setenv(name, "1")
    messages = found()
    assert list(messages) == ["stageapp.W042"]
    assert f"{name} is set" in messages["stageapp.W042"].msg
    assert (f"Is it {like}?" in messages["stageapp.W042"].hint) is bool(like)


def test_e010_a_network_that_is_none(settings):
    settings.STAGE_INTERNAL_NETWORKS = ["10.0.0.0/8", "10.0.0.1/8", "office"]
    messages = [
        message for message in run_checks(tags=[checks.TAG]) if message.id == "stageapp.E010"
    ]
    assert [message.msg.partition(" is ")[0] for message in messages] == [
        "'10.0.0.1/8'",
        "'office'",
    ]
    assert "CIDR" in messages[0].hint


@pytest.mark.parametrize("mode, times", [("warn", 0), ("off", 0), ("enforce", 1), ("ENFORCE", 1)])
def test_a_mode_that_does_not_count_is_logged(settings, monkeypatch, mode, times):
    logged = []
    monkeypatch.setattr(events, "setting_ignored", lambda **fields: logged.append(fields))
    settings.STAGE_VALIDATION_MODE = mode
    checks.report_ignored_mode()
    assert logged == [{"name": "STAGE_VALIDATION_MODE", "value": mode, "instead": "warn"}] * times


def test_a_process_logs_it_once_at_start_and_the_check_command_refuses_it():
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env=os.environ | {"STAGE_VALIDATION_MODE": "ENFORCE"},
    )
    assert done.returncode == 1
    assert done.stderr.count('"event": "setting_ignored"') == 1
    assert "stageapp.E001" in done.stderr


def test_a_guard_that_is_off_is_right(settings):
    settings.STAGE_AUTO_DOWNGRADE = False
    assert found() == {}


@pytest.mark.parametrize("key", ["short", "k" * 32 + " short"])
def test_e012_a_key_too_short_to_sign_backups(settings, key):
    settings.STAGE_BACKUP_KEY = key
    assert list(found()) == ["stageapp.E012"]


@pytest.mark.parametrize("missing", ["STAGE_BACKUP_DIR", "STAGE_BACKUP_KEY"])
def test_w013_runs_that_need_a_backup_that_nobody_can_make(settings, missing):
    settings.STAGE_REQUIRE_BACKUP, settings.STAGE_EMBEDDED = True, False
    settings.STAGE_BACKUP_DIR, settings.STAGE_BACKUP_KEY = "/var/backups/stage", "k" * 32
    assert found() == {}
    setattr(settings, missing, "")
    assert list(found()) == ["stageapp.W013"]
    settings.STAGE_BACKUP_ADAPTER = "/usr/local/bin/adapter"
    assert found() == {}


@pytest.mark.parametrize(
    "url, code",
    [
        ("", None),
        ("embedded", None),
        ("postgres://user:secret@db:5432/stage", None),
        ("embeded", "stageapp.E014"),
        ("mysql://user:secret@db/stage", "stageapp.E014"),
        ("postgres://user:secret@db:port/x", "stageapp.E014"),
        ("postgres://user:secret@db", "stageapp.E014"),
    ],
)
def test_e014_a_place_for_rehearsals_that_is_none(settings, url, code):
    settings.REHEARSAL_DATABASE_URL = url
    messages = found()
    assert list(messages) == [code] * bool(code)
    assert "secret" not in str(messages)


def test_w019_backups_that_come_too_seldom_for_the_gate(settings):
    settings.STAGE_BACKUP_MINUTES = 60.0
    assert "older than STAGE_GATE_BACKUP_HOURS" in found()["stageapp.W019"].msg
    settings.STAGE_GATE_BACKUP_HOURS = 2.0
    assert found() == {}


@pytest.mark.parametrize("address", ["stages.example.org", "ftp://x", "https://", "https://x/?y=1"])
def test_e040_an_address_that_leads_nowhere(settings, address):
    settings.STAGE_BASE_URL = address
    assert list(found()) == ["stageapp.E040"]
    settings.STAGE_BASE_URL = "https://stages.example.org/below"
    assert found() == {}


@pytest.mark.parametrize("name", ["everybody", "10.0.0.1/8", ""])
def test_e030_a_network_of_the_operators_that_is_none(settings, name):
    settings.STAGE_OPS_NETWORKS = ["127.0.0.0/8", name]
    messages = found()
    assert list(messages) == ["stageapp.E030"]
    assert repr(name) in messages["stageapp.E030"].msg


@pytest.mark.parametrize("tokens", ["t" * 31, f"{'t' * 32} short"])
def test_e031_a_token_too_short_to_be_secret(settings, tokens):
    settings.STAGE_METRICS_TOKEN = tokens
    messages = found()
    assert list(messages) == ["stageapp.E031"]
    assert "short" not in messages["stageapp.E031"].msg.replace("shorter", "")


def test_tokens_and_a_rate_that_are_right(settings):
    settings.STAGE_METRICS_TOKEN = f"{'t' * 32} {'u' * 64}"
    settings.STAGE_LOG_SAMPLE_RATE = 1.0
    assert found() == {}


def test_e035_a_limit_that_holds_runs_for_good(settings):
    settings.STAGE_HOLD = {"disk_free": 101.0}
    messages = found()
    assert list(messages) == ["stageapp.E035"]
    assert "STAGE_HOLD: 101 is not a valid limit for disk_free" in messages["stageapp.E035"].msg


@pytest.mark.parametrize(
    "url", ["nothing", "redis://host/0", "postgres://me:hunter2@host:5432/", "postgres://h:x/y", ""]
)
def test_e037_a_standby_that_is_no_url_is_named_by_its_number(settings, url):
    settings.STAGE_STANDBY_URLS = ["postgres://me:secret@host:5432/stage", url]
    messages = found()
    assert list(messages) == ["stageapp.E037"]
    assert "number 2" in messages["stageapp.E037"].msg
    assert "hunter2" not in str(messages["stageapp.E037"])
