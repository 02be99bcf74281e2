"""Which secrets are good enough, and that a process with a weak one does not start."""

import base64
import os
import subprocess
import sys

import pytest

from stageapp.webhook.secrets import SecretError, read_secrets, read_tokens
from tests.config.test_deploy import PRODUCTION, PROJECT

GOOD = "0123456789abcdef0123456789abcdef"
WEAK = {
    "empty": "",
    "blank": "  ",
    "31 characters": GOOD[:31],
    "one character": "x" * 40,
    "one of two": f"{GOOD} {GOOD[:31]}",
    "no base64": "whsec_" + "-" * 40,
    "23 bytes": "whsec_" + base64.b64encode(bytes(range(23))).decode(),
    "zeros": "whsec_" + base64.b64encode(bytes(32)).decode(),
    "prefix alone": "whsec_",
}


@pytest.mark.parametrize("value", WEAK.values(), ids=WEAK)
def test_a_weak_secret_is_refused_and_not_repeated(value):
    with pytest.raises(SecretError) as refusal:
        read_secrets(value)
    assert "openssl rand -hex 32" in str(refusal.value)
    assert len(value) < 10 or value not in str(refusal.value)


def test_a_secret_in_base64_is_the_key_it_stands_for_padded_or_not():
    key = bytes(range(25))
    text = base64.b64encode(key).decode()
    assert text.endswith("=")
    for written in (f"whsec_{text}", f"whsec_{text.rstrip('=')}"):
        assert read_secrets(written)[0].keys == (key,)


def test_any_other_secret_is_itself_and_what_it_stands_for_where_it_is_base64_too():
    assert read_secrets("not-base64-" * 4)[0].keys == (b"not-base64-" * 4,)
    assert read_secrets(GOOD)[0].keys == (GOOD.encode(), base64.b64decode(GOOD))
    assert [secret.text for secret in read_secrets(f" {GOOD}\n{GOOD[::-1]} ")] == [
        GOOD.encode(),
        GOOD[::-1].encode(),
    ]


@pytest.mark.parametrize(
    "value", ["", GOOD[:31], "x" * 40, GOOD + "é", GOOD + ":", f"{GOOD} {GOOD[:31]}"]
)
def test_a_weak_token_or_one_that_no_header_carries_is_refused(value):
    with pytest.raises(SecretError):
        read_tokens(value)


def test_tokens_are_taken_as_they_are():
    assert read_tokens(f"{GOOD} {GOOD[::-1]}==") == (GOOD.encode(), f"{GOOD[::-1]}==".encode())


def start(*command, **more):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT,
        env=kept | PRODUCTION | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["ALERTMANAGER_WEBHOOK_SECRET", "ALERTMANAGER_BEARER_TOKEN"])
@pytest.mark.parametrize(
    "value", ["", GOOD[:31], "x" * 40], ids=["empty", "31 characters", "one character"]
)
def test_settings_with_a_weak_one_do_not_load(name, value):
    done = start("-c", "import config.settings", **{name: value})
    assert done.returncode == 1
    assert f"{name} is not usable" in done.stderr
    assert not value or value not in done.stderr


COMMANDS = {
    "web": ["-c", "import config.wsgi"],
    "worker": ["-c", "import config.celery; config.celery.app.conf.timezone"],
    "command": ["manage.py", "migrate"],
    "relay": ["manage.py", "relay", "--listen", "127.0.0.1:0", "--to", "http://127.0.0.1/"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_process_starts_with_a_weak_one(command):
    done = start(*command, ALERTMANAGER_WEBHOOK_SECRET=GOOD[:31])
    assert done.returncode == 1, done.stdout
    assert (
        "ALERTMANAGER_WEBHOOK_SECRET is not usable: a secret is shorter than 32 characters"
        in done.stderr
    )


def test_a_secret_may_come_from_a_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{GOOD}\n")
    read = (
        "import django; django.setup(); "
        "from stageapp.webhook.secrets import webhook_secrets; print(len(webhook_secrets()))"
    )
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings"}
    done = start("-c", read, ALERTMANAGER_WEBHOOK_SECRET_FILE=str(path), **settings)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    path.write_text("short")
    assert (
        "is not usable"
        in start("-c", read, ALERTMANAGER_WEBHOOK_SECRET_FILE=str(path), **settings).stderr
    )
