"""Wait for PostgreSQL no longer than a sender waits for us: a server that hangs is told as one that is away.

A stopped backend, or a network that swallows everything, answers nothing and runs no statement_timeout. So another
thread cuts the connection, and the one that waits gets an error.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import connection, transaction

from stageapp import events

SECONDS = 3.0  # and at most connect_timeout (5 s) more, to find out that a new connection is not to be had either


@contextmanager
def short_transaction(job: str, seconds: float | None = None) -> Iterator[None]:
    """Run the block in one transaction that ends in time; a commit that is cut off may have happened or not.

    Raises:
        django.db.Error: PostgreSQL is away, hangs, or another transaction holds what this one needs.
    """
    bound = SECONDS if seconds is None else seconds
    connection.ensure_connection()
    with _cut_after(bound, job), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{int(bound * 1000 / 2)}ms"])
        yield


@contextmanager
def _cut_after(seconds: float, job: str) -> Iterator[None]:
    line = socket.socket(fileno=os.dup(_server().socket))  # a handle of our own: a number may name another file then
    timer = threading.Timer(seconds, _cut, [line, job, seconds])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # else it could cut while the handle is closed
        line.close()


def _server() -> Any:
    assert connection.connection is not None
    return connection.connection.pgconn


def _cut(line: socket.socket, job: str, seconds: float) -> None:
    events.connection_cut(job=job, seconds=seconds)
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
