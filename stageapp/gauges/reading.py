"""One scrape's reading of PostgreSQL and the broker, in bounded time.

A thread of its own reads, so that a store that hangs costs a scrape two seconds and one thread, not a server: while
it hangs, later scrapes wait for the same thread. The watchdog cuts its connection in the end.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from django.db import Error, connection, transaction
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from stageapp import events, metrics
from stageapp.gauges import backups, mode, queues, runs
from stageapp.watchdog import Watchdog

SCRAPE_SECONDS = 2.0
_STATEMENT_TIMEOUT = "1s"

Gauges = Callable[[], Iterator[Metric]]

# What is read, in this order; a part that fails is left out, and the others are told.
PARTS: tuple[Gauges, ...] = (
    mode.stored_mode, mode.registry, runs.newest_runs, runs.all_rows, runs.throttled, runs.drift, backups.ages,
    queues.waiting_rows,
)  # fmt: skip


class StoreCollector(Collector):
    """Collects what PostgreSQL and the broker tell; never fails, and never takes longer than SCRAPE_SECONDS."""

    def collect(self) -> Iterator[Metric]:
        """Yield what could be read in time, and whether the database answered."""
        yield from _reading().result(SCRAPE_SECONDS)


class _Reading:
    """One thread's reading; whoever asks meanwhile gets the same."""

    def __init__(self) -> None:
        self._found: list[Metric] = []
        self._database_seconds: float | None = None
        self._watchdog = Watchdog()
        self._thread = threading.Thread(target=self._read, name="stage-metrics", daemon=True)
        self._thread.start()

    @property
    def under_way(self) -> bool:
        return self._thread.is_alive()

    def result(self, seconds: float) -> list[Metric]:
        """Return what is there when the thread is done, or after so many seconds."""
        self._thread.join(seconds)
        self._watchdog.look()
        took = self._database_seconds
        up = [metrics.DATABASE_UP.value(took is not None), metrics.DATABASE_SECONDS.value(took)]
        return [*up, *self._found]

    def _read(self) -> None:
        began = time.monotonic()
        try:
            self._watchdog.watch_this_thread()
            with self._watchdog.watching("metrics"):
                found = list(from_database())
            self._found, self._database_seconds = found, time.monotonic() - began
        except Exception as error:
            events.gauges_failed(part="database", error=repr(error))
        finally:
            with suppress(Error):
                connection.close()
            self._watchdog.close()
        self._found = [*self._found, *from_broker()]


def from_database() -> Iterator[Metric]:
    """Yield what every part knows, from one transaction on this thread's connection.

    Raises:
        django.db.Error: PostgreSQL does not answer.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [_STATEMENT_TIMEOUT])
        for part in PARTS:
            yield from _read_part(part)


def _read_part(part: Gauges) -> list[Metric]:
    try:
        with transaction.atomic():
            return list(part())
    except Exception as error:
        session = connection.connection
        if session is None or session.closed or session.broken:
            raise
        events.gauges_failed(part=part.__qualname__, error=repr(error))
        return []


def from_broker() -> Iterator[Metric]:
    """Yield whether the broker answers, and how many messages wait."""
    try:
        waiting = queues.waiting_messages()
    except Exception as error:
        events.gauges_failed(part="broker", error=repr(error))
        yield metrics.BROKER_UP.value(0)
    else:
        yield metrics.BROKER_UP.value(1)
        yield metrics.BROKER_MESSAGES.value(waiting)


_lock = threading.Lock()
_latest: _Reading | None = None


def _reading() -> _Reading:
    global _latest
    with _lock:
        if _latest is None or not _latest.under_way:
            _latest = _Reading()
        return _latest


def forget() -> None:
    """Begin anew, in a forked child."""
    global _lock, _latest
    _lock, _latest = threading.Lock(), None


os.register_at_fork(after_in_child=forget)
