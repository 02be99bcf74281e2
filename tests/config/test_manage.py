"""`manage.py`: which commands bring servers along, and how a refusal looks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from manage import needs_servers

SET_BY_THE_SESSION = {"DATABASE_URL", "REDIS_URL", "STAGE_EMBEDDED", "DJANGO_SETTINGS_MODULE"}
PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "line",
    [
        "migrate",
        "runserver 8000",
        "demo --once",
        "mode show",
        "normalization plan --json",
        "backup create",
        "check --database default",
        "check --database=default",
        "dbshell",
        "doctor",
        "shell",
    ],
)
def test_these_bring_servers_along(line):
    assert needs_servers(line.split())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "help",
        "help migrate",
        "--help",
        "-h",
        "migrate --help",
        "mode set -h",
        "--version",
        "version",
        "services status",
        "services stop",
        "check",
        "check --deploy",
        "makemigrations --check",
        "relay",
        "startapp x",
        "compilemessages",
        "configuration --format env",
        "collectstatic --noinput",
        "spectacular",
    ],
)
def test_these_start_nothing(line):
    assert not needs_servers(line.split())


def test_shell_completion_starts_nothing(monkeypatch):
    monkeypatch.setenv("DJANGO_AUTO_COMPLETE", "1")
    assert not needs_servers(["migrate"])


def manage(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if name not in SET_BY_THE_SESSION}
    return subprocess.run(
        [sys.executable, PROJECT / "manage.py", *arguments],
        env=clean | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_refusal_is_one_line_and_exit_code_1():
    done = manage("migrate", DEBUG="0")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "Set DATABASE_URL and REDIS_URL: DEBUG is off" in done.stderr


def test_help_needs_no_server_even_with_debug_off():
    done = manage("migrate", "--help", DEBUG="0", SECRET_KEY="x" * 50)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


@pytest.mark.parametrize("module", ["config.wsgi", "config.asgi", "config.celery"])
def test_the_servers_entry_points_refuse_too(module):
    clean = {name: value for name, value in os.environ.items() if name not in SET_BY_THE_SESSION}
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        env=clean | {"DEBUG": "0"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "EmbeddedError: Set DATABASE_URL and REDIS_URL" in done.stderr
