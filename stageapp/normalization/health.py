"""Read the health of the database: one reading per factor, without special privileges.

Readings that the role may not see say so; `pg_monitor` grants them.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import environ
import psycopg
from django.db import DatabaseError, connection, transaction

from stageapp.backups import postgres
from stageapp.infrastructure import words
from stageapp.normalization.factors import FACTORS, Reading

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
                        row = session.execute(_REPLAYED).fetchone()
                        in_recovery, position = row if row else (False, None)
                        if in_recovery and position is not None:
                            self._position, self._problem = int(str(position)), ""
                            self._at = time.monotonic()
                        else:
                            self._problem = "it is not a standby"
                        self._stop.wait(_LOOK_SECONDS)
            except psycopg.Error as error:
                self._problem = (
                    f"it does not answer: {type(error).__name__}"  # its text may quote the URL
                )
                self._stop.wait(2)


LOOK_TIMEOUT = "500ms"  # of one statement
_GRANT = "grant pg_monitor to see them"

# Sessions of the whole server are load; transactions and lock queues of other databases are not
# ours to wait for.
_SESSIONS = """
WITH others AS MATERIALIZED (
    SELECT pid, datname, state, backend_type, xact_start, query = '<insufficient privilege>' AS hidden
      FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usesysid IS NOT NULL
)
SELECT count(*) FILTER (WHERE state = 'active' AND backend_type = 'client backend'),
       count(*) FILTER (WHERE hidden),
       count(*) FILTER (WHERE hidden AND datname = current_database()),
       greatest(
           extract(epoch FROM clock_timestamp() - min(xact_start) FILTER (
               WHERE datname = current_database() AND backend_type = 'client backend')),
           (SELECT extract(epoch FROM clock_timestamp() - min(prepared)) FROM pg_prepared_xacts
             WHERE database = current_database()),
           0),
       (SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN others o USING (pid)
         WHERE NOT l.granted AND o.datname = current_database())
  FROM others
"""
_ARCHIVING = """
SELECT current_setting('archive_mode'), has_function_privilege('pg_ls_archive_statusdir()', 'EXECUTE'),
       (SELECT last_archived_wal FROM pg_stat_archiver), pg_walfile_name(pg_current_wal_lsn()),
       pg_size_bytes(current_setting('wal_segment_size'))
"""
_READY = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
_REPLICATION = """
SELECT application_name, coalesce(host(client_addr), ''), state, replay_lsn - '0/0'::pg_lsn,
       extract(epoch FROM replay_lag)
  FROM pg_stat_replication
"""
_PRIMARY = "SELECT extract(epoch FROM clock_timestamp()), pg_current_wal_lsn() - '0/0'::pg_lsn"
_WAL_NAME = re.compile(r"[0-9A-F]{24}")

Readings = dict[str, Reading]


def read(marks: WalMarks, standbys: Sequence[Standby], disk_paths: Sequence[str]) -> Readings:
    """Return one reading for every factor; a missing value has a note that says why.

    Raises:
        django.db.DatabaseError: PostgreSQL does not answer at all.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # Every statement is bounded; the session's own limit applies again afterwards.
        cursor.execute("SELECT current_setting('statement_timeout'), pg_stat_clear_snapshot()")
        before = cursor.fetchone()[0]
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [LOOK_TIMEOUT])
        readings = {
            **_asked(_sessions, "lock_waiters", "active_sessions", "transaction_age"),
            **_asked(_archiving, "wal_files"),
            **_asked(lambda: _replication(marks, standbys), "replica_lag"),
        }
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])
    return {**readings, "disk_free": _disk(disk_paths)}


def unreadable(why: str) -> Readings:
    """Return readings for a check that failed as a whole."""
    return {name: Reading(None, why) for name in FACTORS}


def _asked(ask: Callable[[], Readings], *names: str) -> Readings:
    """Return the readings, or the database's error under each name."""
    try:
        with transaction.atomic():
            return ask()
    except DatabaseError as error:
        if connection.connection is None or connection.connection.closed:
            raise
        return {name: Reading(None, words.first_line(error)) for name in names}


def _row(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()


def _sessions() -> Readings:
    active, hidden, hidden_here, age, waiters = _row(_SESSIONS)
    return {
        "lock_waiters": Reading(waiters),
        "active_sessions": _of_those_seen(active, hidden),
        "transaction_age": _of_those_seen(float(age), hidden_here),
    }


def _of_those_seen(value: float, hidden: int) -> Reading:
    note = f"{hidden} sessions of other roles are hidden: {_GRANT}" if hidden else ""
    return Reading(value, note, partial=hidden > 0)


def _archiving() -> Readings:
    mode, may_list, last, current, segment_bytes = _row(_ARCHIVING)
    if mode == "off":
        return {"wal_files": Reading(None, "archive_mode is off", absent=True)}
    if may_list:
        return {"wal_files": Reading(_row(_READY)[0])}
    if not last or not _WAL_NAME.fullmatch(last):
        return {
            "wal_files": Reading(
                None, f"no archived file is known, and the archive status is hidden: {_GRANT}"
            )
        }
    waiting = _segment(current, segment_bytes) - _segment(last, segment_bytes) - 1
    return {"wal_files": Reading(max(0, waiting), "from the name of the last archived file")}


def _segment(name: str, segment_bytes: int) -> int:
    """Return a WAL file's sequence number; its name is timeline, log and segment in hexadecimal."""
    return int(name[8:16], 16) * (2**32 // segment_bytes) + int(name[16:24], 16)


def _replication(marks: WalMarks, standbys: Sequence[Standby]) -> Readings:
    at_a_url = [
        standby.replay() for standby in standbys
    ]  # before the primary's position, never after
    with connection.cursor() as cursor:
        cursor.execute(_REPLICATION)
        rows = cursor.fetchall()
    connected = []
    for name, host, state, position, lag_told in rows:
        shown = f"{name} {host}".strip()
        if state is None:
            connected.append(Replay("a standby", None, problem=f"it is hidden: {_GRANT}"))
        elif position is not None:  # a base backup replays nothing
            connected.append(
                Replay(shown, int(position), None if lag_told is None else float(lag_told))
            )
    now, written = (float(value) for value in _row(_PRIMARY))
    marks.note(now, int(written))
    return {"replica_lag": lag([*connected, *at_a_url], marks, now)}


def lag(replays: Sequence[Replay], marks: WalMarks, now: float) -> Reading:
    """Return the lag of the slowest standby. `now` is the primary's clock, in epoch seconds."""
    if not replays:
        return Reading(
            None, "no standby is connected, and STAGE_STANDBY_URLS lists none", absent=True
        )
    problems = "; ".join(f"{one.name}: {one.problem}" for one in replays if one.position is None)
    lags: dict[str, float] = {}
    for one in replays:
        if one.position is None:
            continue
        caught_up = not marks.marks or one.position >= marks.marks[-1][1]
        lags[one.name] = 0.0 if caught_up else max(marks.behind(one.position, now), one.lag or 0.0)
    if not lags:
        return Reading(None, problems)
    worst = max(lags, key=lambda name: lags[name])
    return Reading(lags[worst], "; ".join(filter(None, [worst, problems])), partial=bool(problems))


def _disk(paths: Sequence[str]) -> Reading:
    """Return the free percentage of the fullest listed disk; PostgreSQL does not report it."""
    if not paths:
        return Reading(None, "STAGE_DISK_PATHS lists no folder", absent=True)
    free: dict[str, float] = {}
    problems = []
    for path in paths:
        try:
            usage = os.statvfs(path)
            free[path] = 100 * usage.f_bavail / usage.f_blocks
        except (OSError, ZeroDivisionError) as error:
            problems.append(f"{path}: {error}")
    if not free:
        return Reading(None, "; ".join(problems))
    fullest = min(free, key=lambda path: free[path])
    return Reading(free[fullest], "; ".join([fullest, *problems]), partial=bool(problems))
