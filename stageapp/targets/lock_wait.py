"""Lock a busy table without stalling its writers: short lock waits with pauses between them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.db import OperationalError, ProgrammingError, connection, transaction
from psycopg.errors import DeadlockDetected, InsufficientPrivilege, LockNotAvailable

from stageapp.infrastructure import events
from stageapp.targets.errors import SealRefused
from stageapp.targets.targets import Target

LOCK_SECONDS = 1.0  # of one wait for the table: writers that come meanwhile wait as long
_FIRST_REST_SECONDS = 0.2  # doubled with each attempt
_LONGEST_REST_SECONDS = 5.0

_T = TypeVar("_T")

_HOLDERS_SQL = """
SELECT a.pid, a.usename, coalesce(nullif(a.application_name, ''), a.backend_type), a.state,
       round(extract(epoch FROM clock_timestamp() - a.xact_start))::bigint
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.relation = %s::regclass AND l.granted AND l.pid <> pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
 GROUP BY a.pid, 2, 3, 4, 5 ORDER BY 5 DESC NULLS LAST LIMIT 3
"""


@dataclass(frozen=True)
class LockWait:
    """How long one step may wait for its lock, how often it is tried, and how long rows may be
    read (0: no limit).
    """

    attempts: int
    read_seconds: float


# Of a person at a terminal, and of one whose browser waits.
LONG = LockWait(attempts=12, read_seconds=0.0)
SHORT = LockWait(attempts=4, read_seconds=20.0)


def take(target: Target, step: Callable[[], _T], wait: LockWait) -> _T:
    """Run a step in its own transaction, with a limited number of retries for the table's lock.

    Raises:
        SealRefused: the lock could not be acquired, or the table belongs to another role; the
            step is rolled back.
    """
    for attempt in range(wait.attempts):
        if attempt:
            time.sleep(min(_FIRST_REST_SECONDS * 2 ** (attempt - 1), _LONGEST_REST_SECONDS))
        try:
            with transaction.atomic(durable=True):
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT set_config('lock_timeout', %s, true)",
                        [f"{round(LOCK_SECONDS * 1000)}ms"],
                    )
                return step()
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable | DeadlockDetected):
                raise
            events.table_lock_missed(target=target.label, attempt=attempt + 1)
        except ProgrammingError as error:
            if isinstance(error.__cause__, InsufficientPrivilege):
                raise SealRefused(
                    f"PostgreSQL refused: {error}".strip() + ". The table's owner has to do it."
                ) from None
            raise
    raise SealRefused(
        f"{target.label} was locked at each of {wait.attempts} attempts, "
        f"{LOCK_SECONDS:g} s each. {_holders(target)} Nothing of this step was "
        "changed; try again when that is over."
    )


def _holders(target: Target) -> str:
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS_SQL, [target.table])
        held = [
            f"pid {pid} ({user}, {what}, {state}, {age} s)"
            for pid, user, what, state, age in cursor.fetchall()
        ]
    return (
        f"The lock is held by {', '.join(held)}." if held else "The lock has been released by now."
    )
