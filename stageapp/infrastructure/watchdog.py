"""A watchdog that frees a thread waiting for a PostgreSQL that neither answers nor hangs up.

A stopped backend, or a network that drops everything, does not enforce statement_timeout; only the
client can end the wait.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.signals import connection_created

from stageapp.infrastructure import events

HUNG_SECONDS = (
    8.0  # a job's work is milliseconds; with a look every 4 s it is free again after 12 s
)


class Watchdog:
    """Watches a thread's jobs; another thread calls `look`, which cuts a hung job's connection.

    The abandoned backend may wake up later and finish its statement, overwriting newer data. So
    the next connection terminates it first: either it dies before it reads on, or it holds its
    locks and so comes first.
    """

    def __init__(
        self, called: str = "stage-refresher", *, hung_seconds: float | None = None
    ) -> None:
        self._hung_seconds = hung_seconds
        self._name = (
            f"{called} {uuid.uuid4().hex[:12]}"  # application_name: a pid alone may be anybody's
        )
        self._thread = 0
        self._job: tuple[str, float] | None = None
        self._line: socket.socket | None = (
            None  # a handle of our own: a number may name another file by now
        )
        self._backend = 0
        self._left_behind: list[int] = []

    def watch_this_thread(self) -> None:
        """Track every connection this thread opens from now on."""
        self._thread = threading.get_ident()
        connection_created.connect(self._connected, dispatch_uid=self._name)
        if connections[DEFAULT_DB_ALIAS].connection is not None:
            self._connected(connection=connections[DEFAULT_DB_ALIAS])

    @contextmanager
    def watching(self, job: str) -> Iterator[None]:
        """Watch the named job, which this thread runs in the block."""
        self._job = (job, time.monotonic())
        try:
            yield
        finally:
            self._job = None

    def look(self) -> None:
        """Cut the thread's connection if its job takes too long."""
        job, line = self._job, self._line
        bound = HUNG_SECONDS if self._hung_seconds is None else self._hung_seconds
        if job is None or line is None or (took := time.monotonic() - job[1]) < bound:
            return
        self._left_behind.append(self._backend)
        self._line = None
        events.connection_cut(job=job[0], seconds=round(took, 1))
        with suppress(OSError), line:
            line.shutdown(socket.SHUT_RDWR)  # the waiting thread gets an error now

    def close(self) -> None:
        """Stop watching the thread."""
        connection_created.disconnect(dispatch_uid=self._name)
        if self._line is not None:
            self._line.close()
            self._line = None

    def _connected(self, *, connection: Any, **_: Any) -> None:
        if threading.get_ident() != self._thread or connection.alias != DEFAULT_DB_ALIAS:
            return
        if self._line is not None:
            self._line.close()
        server = connection.connection.pgconn
        self._line, self._backend = socket.socket(fileno=os.dup(server.socket)), server.backend_pid
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", [self._name])
            if self._left_behind:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY(%s) AND "
                    "application_name = %s AND pid <> pg_backend_pid()",
                    [self._left_behind, self._name],
                )
                self._left_behind.clear()
