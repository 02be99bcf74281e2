"""`manage.py relay` as a process: no database, no key of the site, and a clean end."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.core.management import CommandError, call_command

from tests.api.senders import SECRET, TOKEN
from tests.faults.fleet import until
from tests.processes import PROJECT
from tests.webhook.receiver import receiving
from tests.webhook.test_relay import ask

NOT_GIVEN = {"DATABASE_URL", "REDIS_URL", "STAGE_EMBEDDED", "SECRET_KEY", "DJANGO_SETTINGS_MODULE"}


@contextmanager
def relay(url, **environment):
    """Run the command for the block; yields the process and its port."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_GIVEN}
    command = [
        sys.executable,
        "manage.py",
        "relay",
        "--listen",
        "127.0.0.1:0",
        "--to",
        url,
        "--seconds",
        "3",
    ]
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        env=kept | {"DEBUG": "0", "ALLOWED_HOSTS": "x"} | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        line = process.stdout.readline()
        yield process, int(re.search(r"port (\d+)", line)[1])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_it_signs_and_hands_on_without_a_database_and_ends_cleanly():
    with (
        receiving(200) as receiver,
        relay(receiver.url, ALERTMANAGER_WEBHOOK_SECRET=SECRET) as (process, port),
    ):
        assert ask(port) == (200, {"status": 200})
        assert receiver.got[0][1]["webhook-id"].startswith("am_")
        assert ask(port, "GET", "/healthz", None)[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        log = process.stderr.read()
    assert "Traceback" not in log
    assert '"event": "notification_forwarded"' in log
    assert SECRET not in log


def test_a_term_in_the_middle_ends_the_tries_and_answers():
    with (
        receiving(503) as receiver,
        relay(receiver.url, ALERTMANAGER_WEBHOOK_SECRET=SECRET) as (process, port),
    ):
        receiver.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(ask, port)
            until(lambda: receiver.got, 10)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            receiver.gate.set()
            assert answer.result(20) == (503, {"status": 503})
        assert process.wait(20) == 0
        assert len(receiver.got) == 1


def refusal(*arguments):
    with pytest.raises(CommandError) as refused:
        call_command("relay", *arguments)
    return str(refused.value)


def test_what_is_missing_is_said(settings):
    where = ["--listen", "127.0.0.1:0", "--to", "http://127.0.0.1/"]
    settings.ALERTMANAGER_WEBHOOK_SECRET = settings.ALERTMANAGER_BEARER_TOKEN = ""
    assert "ALERTMANAGER_WEBHOOK_SECRET" in refusal(*where)
    settings.ALERTMANAGER_WEBHOOK_SECRET = SECRET
    assert "ALERTMANAGER_BEARER_TOKEN" in refusal(*where, "--require-bearer")
    assert "ALERTMANAGER_BEARER_TOKEN" in refusal(*where, "--allow-remote")
    settings.ALERTMANAGER_BEARER_TOKEN = TOKEN
    assert "--allow-remote" in refusal("--listen", "0.0.0.0:0", "--to", "http://127.0.0.1/")
    assert "HOST:PORT" in refusal("--listen", "nowhere", "--to", "http://127.0.0.1/")


@pytest.mark.parametrize(
    "url", ["ftp://x/", "x", "http://", "http://user:pass@x/", "http://x/#y", ""]
)
def test_only_a_plain_url_is_taken(url):
    assert "http or https" in refusal("--listen", "127.0.0.1:0", "--to", url)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "601", "x"])
def test_only_a_time_that_ends_is_taken(seconds):
    assert "is not a time in seconds, more than 0 and at most 600" in refusal(
        "--listen", "127.0.0.1:0", "--to", "http://x/", "--seconds", seconds
    )
