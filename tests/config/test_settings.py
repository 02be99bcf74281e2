"""What the site's settings make of the environment."""

import json
import os
import subprocess
import sys

import pytest

from tests.config.test_deploy import PRODUCTION
from tests.test_layers import PROJECT

TELL = """
import json
from config import settings
names = {names!r}
print(json.dumps({{name: getattr(settings, name, "unset") for name in names}}))
"""


def python(*arguments, **variables):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=kept | PRODUCTION | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settings_with(*names, **variables):
    done = python("-c", TELL.format(names=names), **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_environment_wins_over_what_the_site_knows_better_than_the_default():
    name = "STAGE_REQUIRE_BACKUP"
    assert settings_with(name) == {name: True}  # the database is one of their own
    assert settings_with(name, STAGE_REQUIRE_BACKUP="0") == {name: False}
    assert settings_with(name, STAGE_REQUIRE_BACKUP="") == {name: True}


def test_what_the_environment_does_not_have_is_left_to_the_default():
    assert settings_with("STAGE_BATCH_SECONDS", "STAGE_HOLD") == {
        "STAGE_BATCH_SECONDS": "unset",
        "STAGE_HOLD": "unset",
    }


def test_no_setting_shows_the_address_of_the_database():
    """Debug pages hide what is named a key, a secret or a token, but show any URL."""
    names = ["DATABASE_URL", "STAGE_BROKER_URL"]
    broker = "redis://user:secret@broker/1"
    assert settings_with(*names, STAGE_BROKER_URL=broker) == dict.fromkeys(names, "unset")


@pytest.mark.parametrize(
    "name, text, value",
    [("STAGE_BATCH_SECONDS", "0.1\n", 0.1), ("SECRET_KEY", f"{'k' * 50}\n", "k" * 50)],
)
def test_a_file_may_hold_a_value(tmp_path, name, text, value):
    path = tmp_path / "value"
    path.write_text(text)
    assert settings_with(name, **{f"{name}_FILE": str(path)}) == {name: value}


@pytest.mark.parametrize(
    "name, text, said",
    [
        (
            "STAGE_BATCH_SECONDS",
            "fast",
            "STAGE_BATCH_SECONDS is 'fast'. Set it to more than 0, at most 0.2, in seconds.",
        ),
        (
            "STAGE_READ_SECONDS",
            "0",
            "STAGE_READ_SECONDS is '0'. Set it to more than 0, in seconds.",
        ),
        ("SECURE_SSL_REDIRECT", "ture", "SECURE_SSL_REDIRECT is 'ture'. Set it to 1 or 0."),
        ("STAGE_BACKUP_KEY_FILE", "/nowhere", "STAGE_BACKUP_KEY_FILE cannot be read: "),
    ],
)
def test_a_wrong_value_stops_the_program_with_one_line(name, text, said):
    done = python("manage.py", "check", **{name: text})
    assert done.returncode == 1
    assert done.stderr.startswith(f"manage.py: {said}")
    assert len(done.stderr.splitlines()) == 1


def test_a_name_that_nobody_reads_is_told_by_the_check_command():
    done = python("manage.py", "check", STAGE_BATCH_SECOND="0.1")
    assert done.returncode == 0, done.stderr
    assert "(stageapp.W042) STAGE_BATCH_SECOND is set" in done.stderr
    assert "Is it STAGE_BATCH_SECONDS?" in done.stderr


def test_settings_load_nothing_that_counts():
    """Whether counts are shared is decided after the settings and before the first counter."""
    code = "import sys, config.settings; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
