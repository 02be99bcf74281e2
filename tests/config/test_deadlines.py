"""Clients that send a request byte by byte, against a real server with few threads."""

import contextlib
import http.client
import json
import socket
import threading
import time

import pytest

from config.deadlines import DeadlineSocket
from tests.api.conftest import TOKEN, committed_consumer, start_server  # noqa: F401  fixtures

SECONDS = 2.0
HEAD = (
    "POST /api/allocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    f"Authorization: {TOKEN}\r\nContent-Length: 100\r\n\r\n"
).encode()
THREADS = 8


@pytest.fixture
def server(start_server):  # noqa: F811
    return start_server(STAGE_READ_SECONDS=str(SECONDS))


def drip(port, at_once, byte_by_byte):
    """Send one byte every tenth of a second; return the seconds until the server answered, and
    its answer.
    """
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        began = time.monotonic()
        connection.sendall(at_once)
        connection.settimeout(0.1)
        for byte in byte_by_byte:
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(65536)
                break
            connection.sendall(bytes([byte]))
        took = time.monotonic() - began
        connection.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(65536):
                answer += more
        return took, answer


def get(port, path):
    caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(caller):
        caller.request("GET", path, headers={"Authorization": TOKEN})
        response = caller.getresponse()
        return response.status, response.read()


def test_a_body_that_drips_is_answered_408_at_the_deadline(server):
    took, answer = drip(server, HEAD, b" " * 100)
    assert SECONDS - 0.2 < took < SECONDS + 1
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in head
    assert json.loads(body)["type"] == "/problems/request-timeout"


def test_a_head_that_drips_is_answered_408_at_the_deadline(server):
    took, answer = drip(server, HEAD[:10], HEAD[10:-3])
    assert SECONDS - 0.2 < took < SECONDS + 1
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_others_are_served_while_some_drip_and_all_are_after_the_deadline(server):
    answers = []
    slow = [
        threading.Thread(target=lambda: answers.append(drip(server, HEAD, b" " * 100)[1]))
        for _ in range(THREADS - 1)
    ]
    for each in slow:
        each.start()
    time.sleep(0.5)
    for _ in range(10):
        began = time.monotonic()
        assert get(server, "/api/stages")[0] == 200
        assert time.monotonic() - began < SECONDS / 2  # and not after a slow one's deadline
    for each in slow:
        each.join()
    assert [answer[9:12] for answer in answers] == [b"408"] * len(slow)
    assert get(server, "/api/stages")[0] == 200


def test_even_if_every_thread_is_held_others_wait_no_longer_than_the_deadline(server):
    slow = [threading.Thread(target=drip, args=(server, HEAD, b" " * 100)) for _ in range(THREADS)]
    for each in slow:
        each.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert get(server, "/api/stages")[0] == 200
    assert time.monotonic() - began < SECONDS + 1
    for each in slow:
        each.join()


def test_a_connection_that_is_kept_has_the_whole_time_for_each_request(server):
    caller = http.client.HTTPConnection("127.0.0.1", server, timeout=10)
    with contextlib.closing(caller):
        for _ in range(3):
            caller.request("GET", "/api/stages", headers={"Authorization": TOKEN})
            assert caller.getresponse().read()
            time.sleep(SECONDS * 0.6)


def test_the_deadline_holds_over_many_reads_and_the_usual_timeout_stays():
    ours, theirs = socket.socketpair()
    with DeadlineSocket(fileno=ours.detach()) as connection, theirs:
        connection.settimeout(9)
        connection.deadline = time.monotonic() + 0.3
        theirs.sendall(b"ab")
        assert connection.recv(1) == b"a"
        assert connection.recv(10) == b"b"
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert time.monotonic() - began < SECONDS / 2  # and not after a slow one's deadline
        assert connection.expired
        assert connection.gettimeout() == 9
