"""One worker holds a run at a time, by an advisory lock of its database session.

The lock goes away with the session, however the process dies, so there is nothing to clean up.
"""

from contextlib import suppress

from django.db import DatabaseError, connection

from stageapp.models.normalization import Run
from stageapp.normalization.errors import RunBusy

_LOCK_CLASS = 7306  # first half of the lock's key; the run's id is the second


class Claim:
    """The advisory lock of one run, taken anew after every reconnect."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._session: object = None

    def hold(self) -> None:
        """Take the lock unless this very session has it.

        Raises:
            RunBusy: another session has it.
        """
        connection.ensure_connection()
        if self._session is connection.connection:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK_CLASS, self._run.pk])
            if not cursor.fetchone()[0]:
                raise RunBusy(f"Another worker holds run {self._run.pk}. `normalization status` shows who.")
        self._session = connection.connection

    def release(self) -> None:
        """Give the lock back; a session that is gone has given it back already."""
        if self._session is None or self._session is not connection.connection:
            return
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK_CLASS, self._run.pk])
        self._session = None


def is_held(run: Run) -> bool:
    """Tell whether any session holds the run."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
            [_LOCK_CLASS, run.pk],
        )
        return bool(cursor.fetchone()[0])
