"""What only a real server shows: requests that Django's test client cannot send."""

import contextlib
import http.client
import json

import pytest

from tests.api.conftest import TOKEN

BODY = b'{"stage_distribution":{"seed":1}}'


@pytest.fixture
def server(start_server):
    return start_server()


def send(port, method, path, body=None, **headers):
    """Send one request and return status and problem type (or None)."""
    caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(caller):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.suppress(
            BrokenPipeError, ConnectionResetError
        ):  # it may answer before it has read all
            caller.request(
                method,
                path,
                body,
                {"Authorization": TOKEN, "Content-Type": "application/json"} | named,
            )
        response = caller.getresponse()
        content = response.read()
        is_problem = response.getheader("Content-Type") == "application/problem+json"
        return response.status, json.loads(content)["type"].removeprefix(
            "/problems/"
        ) if is_problem else None


def test_a_real_server_refuses_what_it_cannot_read_and_lives_on(server):
    def post(body, **headers):
        return send(server, "POST", "/api/allocations", body, **headers)

    assert post(BODY) == (200, None)
    assert post(iter([BODY])) == (411, "length-required")  # in chunks
    assert post(b" " * 10_000_000) == (413, "body-too-large")
    assert post(b"[" * 100_000) == (400, "parse-error")
    assert post(BODY, Content_Encoding="gzip") == (415, "unsupported-media-type")
    assert post(BODY, Content_Type="application/json; charset*=bogus''x") == (
        415,
        "unsupported-media-type",
    )
    assert post(b"", Content_Type="multipart/form-data; boundary=x")[0] == 400
    assert post(b"--x", Content_Type="multipart/form-data; boundary=x") == (
        415,
        "unsupported-media-type",
    )
    assert send(server, "POST", "/api/%00%ff", BODY) == (404, "not-found")
    assert send(server, "GET", "/api/stages?%00=%ff", Content_Type="text/x; charset=rot13") == (
        400,
        "invalid-request",
    )
    assert send(server, "GET", "/api/stages", Authorization="Token wrong") == (
        401,
        "authentication-failed",
    )
    assert send(server, "GET", "/api/stages", Host="evil.example") == (400, "bad-request")
    assert post(BODY) == (200, None)
