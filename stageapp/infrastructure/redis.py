"""Two Redis clients: a strict one for reads and writes, a resilient one for hints.

Not those of django-redis: it keeps one pool for each URL, whatever the options, so that of two clients
of one server the first would give the other its timeouts, and a project that hosts the application may
have another cache.
"""

import functools
import socket
import time
from typing import Any

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

from stageapp import conf

STRICT_SECONDS = 0.1


class DeadlineSocket(socket.socket):
    """A socket with one timeout per answer, as a slow sender could hold the reader forever."""

    deadline = float("inf")

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send a command; the deadline of its answer starts here."""
        self.deadline = time.monotonic() + STRICT_SECONDS
        super().sendall(data, flags)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive data; raises TimeoutError at the deadline, even if part of it has arrived."""
        usual = self.gettimeout()
        if usual == 0:  # a look whether anything waits
            return super().recv(size, flags)
        left = self.deadline - time.monotonic()
        try:
            self.settimeout(max(0.001, left if usual is None else min(left, usual)))
            return super().recv(size, flags)
        finally:
            self.settimeout(usual)


@functools.cache
def _strict_pool(url: str) -> redis.ConnectionPool:
    pool = redis.ConnectionPool.from_url(
        url,
        socket_connect_timeout=STRICT_SECONDS,
        socket_timeout=STRICT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    pool.connection_class = _with_deadline(pool.connection_class)
    return pool


@functools.cache
def _with_deadline(base: type[Any]) -> type[Any]:
    class Connection(base):  # type: ignore[misc]
        def _connect(self) -> socket.socket:
            made: socket.socket = super()._connect()
            if (
                type(made) is not socket.socket
            ):  # TLS reads in its own way: there the timeout is one per read
                return made
            timeout = made.gettimeout()
            bounded = DeadlineSocket(fileno=made.detach())
            bounded.settimeout(timeout)
            return bounded

    return Connection


def strict() -> redis.Redis:
    """Return the client for the mode's fast copy: one attempt, 100 ms for a whole answer.

    With redis-py's default of ten retries, a call to a stopped server blocks for seconds.
    """
    return redis.Redis(connection_pool=_strict_pool(conf.settings.redis_url))


def resilient() -> redis.Redis:
    """Return the client for pub/sub, which keeps one connection and may be slow to reconnect."""
    return redis.Redis.from_url(
        conf.settings.redis_url,
        socket_connect_timeout=1,
        socket_timeout=1,
        retry=Retry(ExponentialBackoff(cap=1, base=0.1), 1),
        health_check_interval=10,
    )
