"""The relay: receive notifications on a bounded number of threads, sign them and forward them."""

import io
import ipaddress
import json
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any
from urllib.parse import urlsplit

from stageapp.infrastructure import events
from stageapp.webhook import notification, sending, signatures
from stageapp.webhook.notification import Notification, Unreadable
from stageapp.webhook.secrets import is_bearer
from stageapp.webhook.sending import NotReached

# Read one request from a socket within a time and a size, however it arrives.

HEAD_BYTES = 16_384
_DRAIN_SECONDS = 0.5


class TooMuch(Exception):
    """A request is larger than allowed."""


class BoundedReader(io.RawIOBase):
    """Reads what a client sends, for at most `seconds` and `size` bytes."""

    def __init__(self, line: socket.socket, seconds: float, size: int) -> None:
        super().__init__()
        self._line, self._left = line, size
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, at least one byte.

        Raises:
            TimeoutError: the time is over, however much has arrived before.
            TooMuch: `size` bytes have arrived, and more is requested.
        """
        view = memoryview(buffer)[: self._left]
        if not view:
            raise TooMuch
        if (rest := self._deadline - time.monotonic()) <= 0:
            raise TimeoutError
        self._line.settimeout(rest)
        count = self._line.recv_into(view)
        self._left -= count
        return count


def bounded(line: socket.socket, seconds: float, body_bytes: int) -> io.BufferedReader:
    """Return a reader of one request with a body of at most `body_bytes`."""
    return io.BufferedReader(BoundedReader(line, seconds, HEAD_BYTES + body_bytes))


def drain(line: socket.socket, size: int) -> None:
    """Discard up to `size` bytes: closing with unread bytes would cut off the response."""
    rest = bounded(line, _DRAIN_SECONDS, size)
    with suppress(OSError, TooMuch):
        while rest.read1(65_536):
            pass


# Sign a notification and hand it on, again and again until the receiver has it or the time is over.

SLOT_SECONDS = 300  # a repeat within it is the same delivery
ATTEMPT_SECONDS = 4.0
FIRST_WAIT, LONGEST_WAIT = 0.2, 2.0
UNREACHABLE = 503  # Alertmanager comes again
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


def delivery_id(told: Notification, now: float) -> str:
    """Return a delivery's id, derived from its content so that Alertmanager's repeats share it.

    After SLOT_SECONDS a repeat gets a new id: an alert that still fires after someone has raised
    the mode again must take it back. `now` is in seconds since 1970.
    """
    return f"am_{told.digest(int(now // SLOT_SECONDS))[:40]}"


@dataclass(frozen=True)
class Forwarder:
    """Forwards notifications. `seconds` is how long it tries; `stopping` ends the tries early."""

    url: str
    key: bytes
    seconds: float
    stopping: threading.Event
    clock: Callable[[], float] = time.time

    def forward(self, body: bytes, told: Notification) -> int:
        """Return the receiver's last status, UNREACHABLE if the last try got no response.

        Each try has a fresh timestamp and the same id.
        """
        id, wait, attempts = delivery_id(told, self.clock()), FIRST_WAIT, 0
        deadline = time.monotonic() + self.seconds
        while True:
            attempts += 1
            headers = signatures.signed_headers(self.key, id, int(self.clock()), body)
            seconds = max(0.1, min(ATTEMPT_SECONDS, deadline - time.monotonic()))
            try:
                status = sending.post(self.url, body, headers, seconds)
            except NotReached as error:
                events.receiver_away(id=id, error=str(error))
                status = UNREACHABLE
            left = deadline - time.monotonic()
            if status not in _TRANSIENT or left <= wait or self.stopping.wait(wait):
                break
            wait = min(wait * 2, LONGEST_WAIT)
        events.notification_forwarded(
            id=id, status=status, attempts=attempts, alerts=told.names[:20]
        )
        return status


# Serve one request: a notification to hand on, or the question whether the process lives.

READ_SECONDS = 10.0
BODY_BYTES = 262_144  # as much as the receiver takes by default
_ANSWER_SECONDS = 5.0
_DRAINED_BYTES = 1_000_000


class Refused(Exception):
    """A request that is not forwarded, with the status that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """Limits of one request: `read_seconds` to arrive, `body_bytes`, `tokens` (one is required)."""

    read_seconds: float = READ_SECONDS
    body_bytes: int = BODY_BYTES
    tokens: tuple[bytes, ...] = ()


def read_body(headers: Message, source: BufferedIOBase, limits: Limits) -> bytes:
    """Return the body of a POST; raises Refused.

    Requires application/json and no Origin: a browser on the same machine can send neither without
    asking first.
    """
    given = str(headers.get("Authorization", ""))
    if limits.tokens and not is_bearer(given, limits.tokens):
        raise Refused(401, "send the bearer token")
    if headers.get_content_type() != "application/json" or "Origin" in headers:
        raise Refused(415, "send application/json, and not from a browser")
    lengths = headers.get_all("Content-Length", [])
    if (
        "Transfer-Encoding" in headers
        or len(lengths) != 1
        or not re.fullmatch(r"[0-9]{1,12}", lengths[0])
    ):
        raise Refused(411, "send one Content-Length, and no chunks")
    length = int(lengths[0])
    if length > limits.body_bytes:
        raise Refused(413, f"the body is larger than {limits.body_bytes} bytes")
    body = source.read(length)
    if len(body) != length:
        raise Refused(400, "the body ended early")
    return body


class Handler(BaseHTTPRequestHandler):
    """One connection with one request; subclasses set the forwarder and the limits."""

    forwarder: Forwarder
    limits: Limits
    server_version, sys_version = "stage-relay", ""
    default_request_version = request_version = "HTTP/1.0"
    requestline = command = ""

    def setup(self) -> None:
        """Bound the reads by the limits."""
        super().setup()
        self.rfile.close()
        self.rfile = bounded(self.connection, self.limits.read_seconds, self.limits.body_bytes)

    def handle(self) -> None:
        """Read, serve and respond; a client that disconnects gets no response."""
        with suppress(ConnectionError):
            try:
                self.raw_requestline = self.rfile.readline(HEAD_BYTES)
                if self.raw_requestline and self.parse_request():
                    self._answer(*self._serve())
            except TimeoutError:
                self._refuse(Refused(408, "the request took too long to arrive"))
            except TooMuch:
                self._refuse(Refused(431, "the head of the request is too large"))
            except Refused as refusal:
                self._refuse(refusal)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer errors from Python's own parser without repeating what was sent."""
        self._answer(code, {"error": HTTPStatus(code).phrase})

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a forwarded notification has its own event."""

    def _serve(self) -> tuple[int, Mapping[str, object]]:
        path = self.path.partition("?")[0]
        if path == "/healthz" and self.command in ("GET", "HEAD"):
            return 200, {"status": "ok"}
        if path != "/":
            raise Refused(404, "only / and /healthz exist")
        if self.command != "POST":
            raise Refused(405, "send a POST")
        body = read_body(self.headers, self.rfile, self.limits)
        try:
            told = notification.read(body)
        except Unreadable as error:
            raise Refused(400, str(error)) from None
        status = self.forwarder.forward(body, told)
        return status, {"status": status}

    def _refuse(self, refusal: Refused) -> None:
        self._answer(refusal.status, {"error": str(refusal)})
        drain(self.connection, _DRAINED_BYTES)

    def _answer(self, status: int, said: Mapping[str, object]) -> None:
        body = json.dumps(said).encode()
        self.connection.settimeout(_ANSWER_SECONDS)
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


MOST_AT_ONCE = 16
_FULL = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Relay(ThreadingHTTPServer):
    """The server; closing it waits for its threads, each of which ends by its own deadlines."""

    daemon_threads = False
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], forwarder: Forwarder, limits: Limits) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._forwarder, self._room = forwarder, threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(
            address, type("BoundHandler", (Handler,), {"forwarder": forwarder, "limits": limits})
        )

    def server_bind(self) -> None:
        """Bind without asking a name server for our own name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = (
            str(self.server_address[0]),
            int(self.server_address[1]),
        )

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread; if there are too many, tell the client to come back."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.settimeout(0.1)
            request.sendall(_FULL)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, then free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Record the error; the client's connection is closed."""
        events.relay_failed(error=type(sys.exc_info()[1]).__name__)

    def run_until(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then finish the requests in flight."""
        serving = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="stage-relay"
        )
        serving.start()
        stop.wait()
        self._forwarder.stopping.set()
        self.shutdown()
        serving.join()
        self.server_close()


# Where the relay listens, and where it sends.


class AddressError(ValueError):
    """A listen address that is invalid, or that others could reach."""


def read_address(text: str, *, allow_remote: bool = False) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[HOST]:PORT`; the host is an IP or localhost.

    Raises:
        AddressError: it is invalid, or it is not loopback and `allow_remote` is not set.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        ip, number = ipaddress.ip_address(host), int(port)
    except ValueError:
        raise AddressError(
            f"{text!r} is not HOST:PORT; write 127.0.0.1:9096 or [::1]:9096."
        ) from None
    if not 0 <= number <= 65_535:
        raise AddressError(f"{number} is not a port.")
    if not (ip.is_loopback or allow_remote):
        raise AddressError(
            f"{host} can be reached from other machines. Listen on 127.0.0.1, or add "
            "--allow-remote."
        )
    return host, number


def read_url(text: str) -> str:
    """Return an http or https URL unchanged; raises AddressError."""
    address = urlsplit(text)
    if (
        address.scheme not in ("http", "https")
        or not address.hostname
        or address.username
        or address.fragment
    ):
        raise AddressError(f"{text!r} is not an http or https URL.")
    return text
