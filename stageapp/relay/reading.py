"""Read one request from a socket within a time and a size, however it arrives."""

import io
import socket
import time
from contextlib import suppress
from typing import Any

HEAD_BYTES = 16_384
_DRAIN_SECONDS = 0.5


class TooMuch(Exception):
    """A request is larger than any that is taken."""


class BoundedReader(io.RawIOBase):
    """What a client sends, until `seconds` are over or `size` bytes have come."""

    def __init__(self, line: socket.socket, seconds: float, size: int) -> None:
        super().__init__()
        self._line, self._left = line, size
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, at least a byte.

        Raises:
            TimeoutError: the time is over, however much has arrived before.
            TooMuch: the size has come, and more is asked for.
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
    """Return a reader of one request with a body of at most so many bytes."""
    return io.BufferedReader(BoundedReader(line, seconds, HEAD_BYTES + body_bytes))


def drain(line: socket.socket, size: int) -> None:
    """Drop what a client still sends, up to `size` bytes: a line closed with bytes unread tears the answer away."""
    rest = bounded(line, _DRAIN_SECONDS, size)
    with suppress(OSError, TooMuch):
        while rest.read1(65_536):
            pass
