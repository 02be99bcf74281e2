"""A gthread worker that bounds the time for receiving a request and sending its response.

Gunicorn's own timeouts are per read: a client that sends a byte now and then holds a thread
forever. Here the socket itself knows the deadline of the request.
"""

import contextlib
import errno
import socket
import time
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from stageapp import conf

WRITE_SECONDS = 30.0
TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class DeadlineSocket(socket.socket):
    """A connection with one deadline for all reads."""

    deadline = float("inf")
    expired = False

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive data; raises TimeoutError at the deadline, even if part of it has arrived."""
        rest, usual = self.deadline - time.monotonic(), self.gettimeout()
        try:
            self.settimeout(max(0.001, rest if usual is None else min(rest, usual)))
            return super().recv(size, flags)
        except TimeoutError as error:
            self.expired = True
            # As if the client had gone: gunicorn logs no traceback for this number.
            raise TimeoutError(errno.ECONNRESET, "the request took too long to arrive") from error
        finally:
            self.settimeout(usual)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all the data; raises TimeoutError if the client is too slow to read it."""
        usual = self.gettimeout()
        try:
            self.settimeout(WRITE_SECONDS)
            super().sendall(data, flags)
        except TimeoutError as error:
            raise TimeoutError(errno.EPIPE, "the client took too long to read") from error
        finally:
            self.settimeout(usual)


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A worker whose threads are never held longer than a request may take to arrive."""

    def handle(self, conn: TConn) -> Any:
        """Read and answer one request; the deadline starts here, so queueing does not count."""
        if not isinstance(conn.sock, DeadlineSocket):
            conn.sock = DeadlineSocket(fileno=conn.sock.detach())
        conn.sock.deadline = time.monotonic() + conf.settings.read_seconds
        conn.answering = False
        outcome = super().handle(conn)
        if conn.sock.expired and not conn.answering:
            with contextlib.suppress(OSError):
                conn.sock.sendall(TIMED_OUT)
        conn.sock.deadline = float("inf")  # what closing the connection reads has limits of its own
        return outcome

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Pass the request to the application, which itself answers 408 if the body is late."""
        conn.answering = True
        return super().handle_request(req, conn)
