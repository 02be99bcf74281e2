"""Serve one request: a notification to hand on, or the question whether the process lives."""

import hmac
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase

from stageapp.relay import reading
from stageapp.relay.forwarding import Forwarder
from stageapp.webhook import notification
from stageapp.webhook.notification import Unreadable

READ_SECONDS = 10.0
BODY_BYTES = 262_144  # as much as the receiver takes by default
_ANSWER_SECONDS = 5.0
_DRAINED_BYTES = 1_000_000


class Refused(Exception):
    """A request that is not handed on, with the status that says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Limits:
    """What one request may take: `read_seconds` to arrive, `body_bytes`; `tokens`, of which it has to bring one."""

    read_seconds: float = READ_SECONDS
    body_bytes: int = BODY_BYTES
    tokens: tuple[bytes, ...] = ()


def read_body(headers: Message, source: BufferedIOBase, limits: Limits) -> bytes:
    """Return the body of a POST; raises Refused.

    Only application/json and no Origin: a browser on the same machine can send neither without asking first.
    """
    if limits.tokens and not _brings(headers, limits.tokens):
        raise Refused(401, "bring the bearer token")
    if headers.get_content_type() != "application/json" or "Origin" in headers:
        raise Refused(415, "send application/json, and not from a browser")
    lengths = headers.get_all("Content-Length", [])
    if "Transfer-Encoding" in headers or len(lengths) != 1 or not _is_number(lengths[0]):
        raise Refused(411, "send one Content-Length, and no chunks")
    length = int(lengths[0])
    if length > limits.body_bytes:
        raise Refused(413, f"the body is larger than {limits.body_bytes} bytes")
    body = source.read(length)
    if len(body) != length:
        raise Refused(400, "the body ended early")
    return body


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 12


def _brings(headers: Message, tokens: tuple[bytes, ...]) -> bool:
    scheme, _, token = str(headers.get("Authorization", "")).partition(" ")
    given = token.strip(" ").encode("utf-8", "backslashreplace")
    agreed = [hmac.compare_digest(given, own) for own in tokens]
    return scheme.lower() == "bearer" and any(agreed)


class Handler(BaseHTTPRequestHandler):
    """One connection with one request. Subclasses name the forwarder and the limits."""

    forwarder: Forwarder
    limits: Limits
    server_version, sys_version = "stage-relay", ""
    default_request_version = request_version = "HTTP/1.0"
    requestline = command = ""

    def setup(self) -> None:
        """Read within the limits."""
        super().setup()
        self.rfile.close()
        self.rfile = reading.bounded(self.connection, self.limits.read_seconds, self.limits.body_bytes)

    def handle(self) -> None:
        """Read, serve and answer; a client that goes away in the middle is not answered."""
        with suppress(ConnectionError):
            try:
                self.raw_requestline = self.rfile.readline(reading.HEAD_BYTES)
                if self.raw_requestline and self.parse_request():
                    self._answer(*self._serve())
            except TimeoutError:
                self._refuse(Refused(408, "the request took too long to arrive"))
            except reading.TooMuch:
                self._refuse(Refused(431, "the head of the request is too large"))
            except Refused as refusal:
                self._refuse(refusal)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what Python's own parser refuses, without repeating what was sent."""
        self._answer(code, {"error": HTTPStatus(code).phrase})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what is handed on has an event."""

    def _serve(self) -> tuple[int, Mapping[str, object]]:
        path = self.path.partition("?")[0]
        if path == "/healthz" and self.command in ("GET", "HEAD"):
            return 200, {"status": "ok"}
        if path != "/":
            raise Refused(404, "there are / and /healthz")
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
        reading.drain(self.connection, _DRAINED_BYTES)

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
