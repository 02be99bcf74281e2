"""What the relay takes, and what it refuses: by real sockets."""

import http.client
import json
import socket
import threading
import time
from contextlib import closing, contextmanager

import pytest

from stageapp.infrastructure import events
from stageapp.webhook import relay as serving
from stageapp.webhook.relay import AddressError, Forwarder, Limits, Relay, read_address
from tests.api.senders import body
from tests.webhook.receiver import receiving

KEY = b"k" * 31 + b"x"
BODY = body()
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
TOKEN = b"t0ken-" * 6


@contextmanager
def relaying(url, **limits):
    """Run a relay for the block; yields its port."""
    forwarder = Forwarder(url, KEY, 5.0, threading.Event())
    relay, stop = Relay(("127.0.0.1", 0), forwarder, Limits(**limits)), threading.Event()
    running = threading.Thread(target=relay.run_until, args=[stop])
    running.start()
    try:
        yield relay.server_port
    finally:
        stop.set()
        running.join(20)
        assert not running.is_alive()


@pytest.fixture(scope="module")
def receiver():
    with receiving(200) as one:
        yield one


@pytest.fixture(scope="module")
def port(receiver):
    with relaying(receiver.url, body_bytes=10_000, read_seconds=1.0) as port:
        yield port


@pytest.fixture(autouse=True)
def _nothing_sent(receiver):
    receiver.got.clear()


def ask(port, method="POST", path="/", sent=BODY, **headers):
    caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(caller):
        named = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        caller.request(
            method, path, sent, {name: value for name, value in named.items() if value is not None}
        )
        answer = caller.getresponse()
        return answer.status, json.loads(answer.read() or b"null")


def raw(port, *pieces, pause=0.0):
    """Send pieces, and return all that is answered."""
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.settimeout(10)
        answer = b""
        try:
            for piece in pieces:
                line.sendall(piece)
                time.sleep(pause)
            while more := line.recv(65_536):
                answer += more
        except (ConnectionResetError, BrokenPipeError):
            pass
        return answer


def test_a_notification_is_handed_on_byte_for_byte(port, receiver):
    assert ask(port) == (200, {"status": 200})
    ((_, headers, sent),) = receiver.got
    assert sent == BODY
    assert {"webhook-id", "webhook-timestamp", "webhook-signature"} <= headers.keys()


def test_it_tells_that_it_lives(port, receiver):
    assert ask(port, "GET", "/healthz", None) == (200, {"status": "ok"})
    assert ask(port, "HEAD", "/healthz", None)[0] == 200
    assert receiver.got == []


@pytest.mark.parametrize(
    "status, options",
    [
        (404, {"path": "/other"}),
        (404, {"method": "GET", "path": "/x", "sent": None}),
        (405, {"method": "GET", "sent": None}),
        (405, {"method": "PUT"}),
        (405, {"method": "DELETE", "sent": None}),
        (415, {"Content_Type": "text/plain"}),
        (415, {"Content_Type": None}),
        (415, {"Content_Type": "application/x-www-form-urlencoded"}),
        (415, {"Origin": "http://evil.example"}),
        (411, {"sent": iter([BODY])}),
        (413, {"sent": b" " * 10_001}),
        (400, {"sent": b"x"}),
        (400, {"sent": b"[]"}),
        (400, {"sent": b"\xff"}),
        (400, {"sent": b"[" * 9_000}),
    ],
)
def test_everything_else_is_refused_and_not_handed_on(status, options, port, receiver):
    assert ask(port, **options)[0] == status
    assert receiver.got == []


@pytest.mark.parametrize(
    "request_line, status",
    [
        (HEAD.replace(b"100", b"-1"), b"411"),
        (HEAD.replace(b"100", b"1e3"), b"411"),
        (HEAD.replace(b"100", "٣".encode()), b"411"),
        (HEAD.replace(b"100", b"1000000000"), b"413"),
        (HEAD.replace(b"Content-Length: 100", b"Content-Length: 1\r\nContent-Length: 100"), b"411"),
        (HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"), b"411"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/9\r\n\r\n", b"400"),
        (b"POST / HTTP/2.0\r\n\r\n", b"505"),
        (
            b"GET /healthz HTTP/1.1\r\n"
            + b"".join(b"a%d: b\r\n" % n for n in range(200))
            + b"\r\n",
            b"431",
        ),
    ],
)
def test_a_head_that_is_none_or_lies_is_refused(request_line, status, port, receiver):
    answer = raw(port, request_line)
    assert answer.split(b" ")[1:2] == [status], answer
    assert b"nonsense" not in answer
    assert b"Python" not in answer
    assert receiver.got == []


def test_a_head_without_end_is_cut_off(port):
    assert b" 200 " not in raw(port, b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 100_000)


@pytest.mark.parametrize("at_once", [HEAD, HEAD[:20]], ids=["body", "head"])
def test_what_drips_is_answered_408_at_the_deadline(at_once, port):
    began = time.monotonic()
    answer = raw(port, at_once, *[b" "] * 12, pause=0.1)
    assert answer.startswith(b"HTTP/1.0 408 ")
    assert time.monotonic() - began < 5


def test_others_are_served_while_some_drip_and_there_is_room_again_afterwards(port):
    slow = [
        threading.Thread(target=raw, args=(port, HEAD)) for _ in range(serving.MOST_AT_ONCE - 1)
    ]
    for each in slow:
        each.start()
    time.sleep(0.1)
    assert ask(port)[0] == 200
    for each in slow:
        each.join()
    assert ask(port)[0] == 200


def test_beyond_so_many_at_once_one_is_told_to_come_again(receiver, port):
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(serving.MOST_AT_ONCE)]
    time.sleep(0.2)
    answer = raw(port, HEAD)
    for each in held:
        each.close()
    assert answer.startswith(b"HTTP/1.0 503 ")


def test_where_a_token_is_asked_for_nobody_else_is_served(receiver):
    with relaying(receiver.url, tokens=(b"0ther-" * 6, TOKEN)) as port:
        assert ask(port)[0] == 401
        assert ask(port, Authorization="Bearer wrong")[0] == 401
        assert ask(port, Authorization=f"Basic {TOKEN.decode()}")[0] == 401
        assert receiver.got == []
        assert ask(port, Authorization=f"Bearer {TOKEN.decode()}")[0] == 200


def test_a_fault_of_its_own_is_told_and_the_next_one_is_served(receiver, monkeypatch):
    told = []
    monkeypatch.setattr(events, "relay_failed", lambda **fields: told.append(fields))
    with relaying(receiver.url) as port:
        with monkeypatch.context() as patch:
            patch.setattr(Forwarder, "forward", lambda *_: 1 / 0)
            with pytest.raises(http.client.RemoteDisconnected):
                ask(port)
        assert told == [{"error": "ZeroDivisionError"}]
        assert ask(port)[0] == 200


LOOPBACK = {
    "127.0.0.1:9": ("127.0.0.1", 9),
    "localhost:0": ("127.0.0.1", 0),
    "[::1]:65535": ("::1", 65535),
    "127.9.9.9:1": ("127.9.9.9", 1),
}


@pytest.mark.parametrize("text, found", LOOPBACK.items())
def test_loopback_addresses_are_taken(text, found):
    assert read_address(text) == found


@pytest.mark.parametrize("text", ["0.0.0.0:1", "[::]:1", "192.0.2.1:80", "10.0.0.1:80"])
def test_an_address_that_others_reach_takes_a_word(text):
    with pytest.raises(AddressError, match="--allow-remote"):
        read_address(text)
    assert read_address(text, allow_remote=True)[1] in (1, 80)


NO_ADDRESSES = [
    "",
    "127.0.0.1",
    ":80",
    "example.org:80",
    "127.0.0.1:x",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
]


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(AddressError):
        read_address(text, allow_remote=True)
