"""Read a target's current distinct values within a time limit."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import (
    DataError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)
from psycopg.errors import QueryCanceled

from stageapp.targets.errors import NormalizationError, TargetError
from stageapp.targets.targets import Target

MOST_VALUES = 100_000


class TooSlow(NormalizationError):
    """The table could not be read within its time limit."""


def distinct_values(
    target: Target, *, besides: Sequence[str] = (), seconds: float
) -> list[tuple[str, str, int]]:
    """Return up to MOST_VALUES (source, value, rows) except `besides` and NULL, by frequency.

    Raises:
        TargetError: the target's `where` cannot be evaluated on its rows.
        TooSlow: PostgreSQL takes longer than `seconds`, including lock waits.
    """
    sql = (
        f"SELECT {target.source()}, {target.column}, count(*) FROM {target.table} "
        f"WHERE {target.rows} AND {target.column} IS NOT NULL AND {target.column} <> ALL(%s) "
        f"GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT {MOST_VALUES}"
    )
    return read(target, sql, [list(besides)], seconds=seconds)


def read(
    target: Target, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), *, seconds: float
) -> list[Any]:
    """Return one statement's rows; 0 `seconds` means no limit. Raises as `distinct_values`."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            (before,) = cursor.fetchone()
            cursor.execute(
                "SELECT set_config('statement_timeout', %s, true)", [f"{round(seconds * 1000)}ms"]
            )
            cursor.execute(sql, parameters)
            rows = list(cursor.fetchall())
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])
            return rows
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooSlow(
                f"{target.label} could not be read in {seconds:g} s; its table is large or locked."
            ) from None
        raise
    except (DataError, NotSupportedError, ProgrammingError) as error:
        if not target.where:
            raise
        raise TargetError(
            f"The where={target.where} of {target.label} cannot be evaluated: {error}".strip()
        ) from None


def null_rows(target: Target, *, seconds: float) -> int:
    """Return how many of the target's rows hold NULL; raises as `distinct_values`."""
    sql = f"SELECT count(*) FROM {target.table} WHERE {target.rows} AND {target.column} IS NULL"
    return int(read(target, sql, seconds=seconds)[0][0])


def holds(target: Target, value: str) -> bool:
    """Whether any row of the target has exactly this value."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT FROM {target.table} WHERE {target.rows} AND {target.column} "
            "= %s)",
            [value],
        )
        return bool(cursor.fetchone()[0])
