"""The system's advisory locks, by name; nothing else takes one.

A lock is a pair of numbers in PostgreSQL, as pg_locks shows them (classid, objid): the lock, and
its object. No two locks share the first number, so nobody waits for an unrelated lock.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Any

import psycopg
from django.db import DatabaseError, connection

Session = psycopg.Connection[tuple[Any, ...]]


class Lock(Enum):
    """The locks: each one's number in pg_locks, and what it protects."""

    MODE = 7301, "One change of the mode at a time."
    VOCABULARY = 7302, "One new vocabulary version at a time."
    DELIVERY = 7303, "A webhook delivery is accepted once, however often it is sent."
    RUN = 7304, "A state change of a run waits for the batches in flight, which share this lock."
    SHARD = 7305, "One worker at a time searches for a free shard of a run."
    SEAL = 7306, "One session at a time seals or unseals a target."
    BACKUP_JOB = 7307, "Held by a backup job's worker: a silent worker is not a dead one."
    DISPOSABLE = 7308, "One restore at a time creates and drops disposable copies."
    VERIFICATION_JOB = (
        7309,
        "Held by a verification job's worker: a silent worker is not a dead one.",
    )

    def __init__(self, number: int, protects: str) -> None:
        self.number, self.protects = number, protects


def wait(lock: Lock, of: int | str = 0) -> None:
    """Take the lock and keep it until the transaction ends.

    Raises:
        django.db.OperationalError: it was not acquired within the transaction's `lock_timeout`.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [lock.number, _key(of)])


def share(lock: Lock, of: int) -> str:
    """Return the SQL that takes the lock in shared mode until the transaction ends."""
    return f"pg_advisory_xact_lock_shared({lock.number}, {_key(of)})"


@contextmanager
def attempt(lock: Lock, of: int | str = 0) -> Iterator[bool]:
    """Try to hold the lock for the block without waiting; yield whether it was acquired.

    The lock ends with the session, however the process dies.
    """
    key = [lock.number, _key(of)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        free = bool(cursor.fetchone()[0])
    try:
        yield free
    finally:
        if free:
            with suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


def attempt_in(session: Session, lock: Lock, of: int | str = 0) -> bool:
    """Try to take the lock in a separate session until it ends; return whether it was acquired."""
    key = (lock.number, _key(of))
    row = session.execute("SELECT pg_try_advisory_lock(%s, %s)", key).fetchone()
    return row is not None and bool(row[0])


def held(lock: Lock) -> list[int]:
    """Return the objects whose lock is currently held in this database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = %s "
            "AND objsubid = 2 AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [lock.number],
        )
        return [int(row[0]) for row in cursor.fetchall()]


def _key(of: int | str) -> int:
    """Return the second number; two texts may share one, and then simply wait for each other."""
    return of if isinstance(of, int) else zlib.crc32(of.encode()) - 2**31
