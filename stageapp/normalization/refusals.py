"""Classify PostgreSQL's errors: caused by a row, by the whole run, or transient."""

import psycopg
from django.db import DatabaseError, OperationalError
from psycopg.errors import QueryCanceled

from stageapp.targets.errors import TooManyQuarantined

QUARANTINE_FREE = 10  # so many rows may be in quarantine whatever their share
QUARANTINE_SHARE = 0.01

# By class or code what passes by itself: connection, serialization and deadlocks, resources, an
# operator, the system, an object in use, a lock. Whatever else PostgreSQL says may be said of a
# row, and a smaller batch finds which.
_OF_THE_MOMENT = ("08", "40", "53", "57", "58", "55006", "55P03")
_OF_THE_SESSION = ("25",)  # read-only, or no transaction to write in


def may_pass(error: DatabaseError) -> bool:
    """Whether another attempt may succeed; an error without a code is a lost session."""
    state = _sqlstate(error)
    if state is None:
        return isinstance(error, OperationalError)
    canceled = isinstance(error.__cause__, QueryCanceled)
    return state.startswith(_OF_THE_MOMENT) and not canceled and not is_raised(error)


def may_be_of_a_row(error: DatabaseError) -> bool:
    """Whether a smaller batch may isolate the row that is rejected."""
    state = _sqlstate(error)
    if state is None:
        return False
    return is_raised(error) or not state.startswith((*_OF_THE_MOMENT, *_OF_THE_SESSION))


def is_raised(error: DatabaseError) -> bool:
    """Whether PL/pgSQL's RAISE caused the error, whatever code its author chose."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.diag.source_function == "exec_stmt_raise"


def require_few(quarantined: int, scanned: int, error: str) -> None:
    """Require that single rows can explain this number of quarantined rows.

    Raises:
        TooManyQuarantined: the cause is not a single row.
    """
    if quarantined > max(QUARANTINE_FREE, QUARANTINE_SHARE * scanned):
        raise TooManyQuarantined(
            f"{quarantined} of {scanned} rows could not be changed: too many for faults "
            f"in single rows. The last error: {error}"
        )


def _sqlstate(error: DatabaseError) -> str | None:
    return error.__cause__.sqlstate if isinstance(error.__cause__, psycopg.Error) else None
