"""What only a real server shows: requests that Django's test client cannot send."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from stageapp.models import Consumer

PROJECT = Path(__file__).resolve().parents[2]
TOKEN = "Token real-server-token"
BODY = b'{"stage_distribution":{"seed":1}}'


@pytest.fixture
def committed_consumer(db):
    """Commit a consumer through a connection of its own, for another process to see."""
    own = connection.copy()
    with contextlib.closing(own), own.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stageapp_consumer (name, token_sha256, scopes, created_at)"
            " VALUES ('real-server', %s, '{read,write}', now())",
            [Consumer.digest("real-server-token")],
        )
        yield
        cursor.execute("DELETE FROM stageapp_consumer WHERE name = 'real-server'")
        for counts in ("trafficwindow", "consumersighting"):  # the server wrote them at its end
            cursor.execute(f"DELETE FROM stageapp_{counts}")


@pytest.fixture
def server(committed_consumer, tmp_path):
    """Start gunicorn as it is deployed, on the test database; at its end it must have logged no traceback."""
    port, log = _free_port(), tmp_path / "log"
    url = f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{connection.settings_dict['NAME']}"
    environment = os.environ | {
        "DATABASE_URL": url, "DEBUG": "0", "SECRET_KEY": "k" * 50, "SECURE_SSL_REDIRECT": "0",
        "ALLOWED_HOSTS": "127.0.0.1", "DJANGO_SETTINGS_MODULE": "config.settings",
    }  # fmt: skip
    command = [sys.executable, "-m", "gunicorn", "-c", "python:config.gunicorn", "-w", "1", "config.wsgi"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "-b", f"127.0.0.1:{port}"], cwd=PROJECT, env=environment, stdout=output, stderr=output
        )
    try:
        _wait_until_it_answers(port, log)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)
    assert "Traceback" not in log.read_text()


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _wait_until_it_answers(port, log):
    for _ in range(150):
        with contextlib.suppress(OSError):
            return send(port, "GET", "/healthz")
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def send(port, method, path, body=None, **headers):
    """Send one request and return status and problem type (or None)."""
    caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(caller):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has read all
            caller.request(method, path, body, {"Authorization": TOKEN, "Content-Type": "application/json"} | named)
        response = caller.getresponse()
        content = response.read()
        is_problem = response.getheader("Content-Type") == "application/problem+json"
        return response.status, json.loads(content)["type"].removeprefix("/problems/") if is_problem else None


def test_a_real_server_refuses_what_it_cannot_read_and_lives_on(server):
    def post(body, **headers):
        return send(server, "POST", "/api/allocations", body, **headers)

    assert post(BODY) == (200, None)
    assert post(iter([BODY])) == (411, "length-required")  # in chunks
    assert post(b" " * 10_000_000) == (413, "body-too-large")
    assert post(b"[" * 100_000) == (400, "parse-error")
    assert post(BODY, Content_Encoding="gzip") == (415, "unsupported-media-type")
    assert post(BODY, Content_Type="application/json; charset*=bogus''x") == (415, "unsupported-media-type")
    assert post(b"", Content_Type="multipart/form-data; boundary=x")[0] == 400
    assert post(b"--x", Content_Type="multipart/form-data; boundary=x") == (415, "unsupported-media-type")
    assert send(server, "POST", "/api/%00%ff", BODY) == (404, "not-found")
    assert send(server, "GET", "/api/stages?%00=%ff", Content_Type="text/x; charset=rot13") == (400, "invalid-request")
    assert send(server, "GET", "/api/stages", Authorization="Token wrong") == (401, "authentication-failed")
    assert send(server, "GET", "/api/stages", Host="evil.example") == (400, "bad-request")
    assert post(BODY) == (200, None)
