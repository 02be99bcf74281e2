"""The production settings, and the files that a server is set up by."""

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.management import load_command_class
from django.urls import resolve

from config import gunicorn
from stageapp.api.auto_downgrade import AutoDowngrade
from stageapp.webhook.relay import read_address

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "config" / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PRODUCTION = {
    "DATABASE_URL": "postgres://stage:secret@db.example.org:5432/stage",
    "REDIS_URL": "redis://cache.example.org:6379/0",
    "SECRET_KEY": "".join(chr(33 + (n * 37) % 90) for n in range(64)),
    "ALLOWED_HOSTS": "stages.example.org",
    "SECURE_HSTS_SECONDS": "31536000",
    "STAGE_TRUSTED_PROXIES": "1",
    "STAGE_BACKUP_DIR": "/var/backups/stage",
    "STAGE_BACKUP_KEY": "k" * 32,
}


def check_deploy(**more):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    return subprocess.run(
        command,
        cwd=PROJECT,
        env=kept | PRODUCTION | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_production_settings_pass_the_deployment_checks():
    checked = check_deploy()
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


@pytest.mark.parametrize("name, value", [("SECRET_KEY", "short"), ("SECURE_HSTS_SECONDS", "0")])
def test_settings_that_are_not_safe_do_not_pass(name, value):
    assert check_deploy(**{name: value}).returncode != 0


def unit(path):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(path.read_text())
    return parser


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_starts_a_program_of_ours_as_a_user_of_its_own(path):
    service = unit(path)["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name in ("gunicorn", "celery", "python")
    assert {"config.wsgi", "config.celery", "manage.py"} & set(arguments)
    assert service["User"] == "stage"
    assert service["Restart"] == "always"


def test_there_is_a_unit_for_each_kind_of_process():
    assert [path.stem for path in UNITS] == [
        "stage-beat",
        "stage-relay",
        "stage-web",
        "stage-worker",
    ]


def test_the_relay_is_started_as_its_command_takes_it():
    _, script, name, *arguments = shlex.split(
        unit(DEPLOY / "systemd" / "stage-relay.service")["Service"]["ExecStart"]
    )
    parsed = load_command_class("stageapp", name).create_parser(script, name).parse_args(arguments)
    assert read_address(parsed.listen)[0] == "127.0.0.1"
    assert resolve(urlsplit(parsed.to).path).func.view_class is AutoDowngrade


def test_systemd_kills_no_process_before_gunicorn_has_finished():
    stop = int(unit(DEPLOY / "systemd" / "stage-web.service")["Service"]["TimeoutStopSec"])
    assert stop > gunicorn.graceful_timeout


def test_the_proxy_and_the_web_process_meet_and_it_buffers():
    site = (DEPLOY / "nginx" / "stage.conf").read_text()
    socket = re.search(
        r"--bind (unix:\S+)", (DEPLOY / "systemd" / "stage-web.service").read_text()
    )[1]
    assert f"server {socket} " in site
    assert "proxy_request_buffering on;" in site
    assert "X-Forwarded-Proto $scheme" in site
    assert site.count("{") == site.count("}")
