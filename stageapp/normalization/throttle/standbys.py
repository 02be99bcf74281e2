"""Replication lag of standbys, in seconds.

`replay_lag` of pg_stat_replication keeps its last value while replay stands still, and is NULL
when idle. So positions are compared: a standby that has not reached the primary's position of 7 s
ago is 7 s behind, whatever it reports.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import environ
import psycopg

from stageapp.backups import postgres

_MOST_MARKS = 64
_LOOK_SECONDS = 0.5
_STALE_SECONDS = 5.0  # a standby that has not answered for so long is not measured
_REPLAYED = "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() - '0/0'::pg_lsn"
_LIMITS = {
    "connect_timeout": "2",
    "tcp_user_timeout": "3000",
    "options": "-c statement_timeout=1000",
}


class WalMarks:
    """WAL positions of the primary over time; also stored, because a run can change processes."""

    def __init__(self, marks: Sequence[tuple[float, int]] = ()) -> None:
        self.marks = [(float(at), int(position)) for at, position in marks]

    def note(self, at: float, position: int) -> None:
        """Remember the position. Times are the primary's, in epoch seconds."""
        self.marks = [
            mark for mark in self.marks if mark[1] <= position and mark[0] <= at
        ]  # else a failover
        if not self.marks or self.marks[-1][1] < position:
            self.marks.append((at, position))
        if len(self.marks) > _MOST_MARKS:  # the older, the sparser
            half = _MOST_MARKS // 2
            self.marks = [*self.marks[:half:2], *self.marks[half:]]

    def behind(self, replayed: int, now: float) -> float:
        """Return the minimum age in seconds of the WAL that is not yet replayed."""
        return next((max(0.0, now - at) for at, position in self.marks if position > replayed), 0.0)


def is_url(url: str) -> bool:
    """Whether it is a PostgreSQL URL."""
    if not url.startswith(("postgres://", "postgresql://")):
        return False
    try:
        return bool(environ.Env.db_url_config(url)["NAME"])
    except (ValueError, KeyError):
        return False


@dataclass(frozen=True)
class Replay:
    """One standby's replay position and self-reported lag in seconds; None if unknown."""

    name: str
    position: int | None
    lag: float | None = None
    problem: str = ""


class Standby:
    """Watches one standby by URL in its own thread, so that a hung one never blocks the worker."""

    def __init__(self, url: str) -> None:
        readable = is_url(url)
        self._parameters = postgres.of_settings(environ.Env.db_url_config(url)) if readable else {}
        self.name = (
            f"{self._parameters.get('host', 'localhost')}:{self._parameters.get('port', '5432')}"
        )
        self._stop = threading.Event()
        self._at, self._position = 0.0, 0
        self._problem = "it has not answered yet" if readable else "its URL cannot be read"
        self._thread = threading.Thread(
            target=self._watch, name=f"standby {self.name}", daemon=True
        )
        if readable:
            self._thread.start()

    def replay(self) -> Replay:
        """Return its last answer, or a problem if that is too old."""
        silent = time.monotonic() - self._at
        if self._problem or silent > _STALE_SECONDS:
            return Replay(
                self.name, None, problem=self._problem or f"it has not answered for {silent:.0f} s"
            )
        return Replay(self.name, self._position)

    def close(self) -> None:
        """Let the thread end; a hung one ends with the process."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(autocommit=True, **(self._parameters | _LIMITS)) as session:  # type: ignore[arg-type]
                    while not self._stop.is_set():
                        self._ask(session)
                        self._stop.wait(_LOOK_SECONDS)
            except psycopg.Error as error:
                self._problem = (
                    f"it does not answer: {type(error).__name__}"  # its text may quote the URL
                )
                self._stop.wait(2)

    def _ask(self, session: psycopg.Connection[tuple[object, ...]]) -> None:
        row = session.execute(_REPLAYED).fetchone()
        in_recovery, position = row if row else (False, None)
        if not in_recovery or position is None:
            self._problem = "it is not a standby"
            return
        self._at, self._position, self._problem = time.monotonic(), int(str(position)), ""
