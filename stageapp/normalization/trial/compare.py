"""Compare a trial's sample before and after: values, other columns, and two md5 sums."""

from typing import Any

from django.db import connection
from psycopg import sql

from stageapp.backups import contents
from stageapp.targets.targets import Target

_BEFORE = "stage_trial_before"
_CHANGED = """
SELECT {source}, b.{column}, t.{column}, count(*)
  FROM {before} b LEFT JOIN {table} t ON t.{key} = b.{key}
 WHERE b.{column}::text COLLATE "C" IS DISTINCT FROM t.{column}::text COLLATE "C"
 GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2
"""
_COLUMNS = (
    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT "
    "attisdropped"
)


class Before:
    """The original sample, kept in a table of its own."""

    def __init__(self, target: Target) -> None:
        self._target = target
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE UNLOGGED TABLE {_BEFORE} AS SELECT * FROM {target.table}")
            cursor.execute(f"CREATE INDEX ON {_BEFORE} ({target.key})")
            cursor.execute(f"ANALYZE {_BEFORE}")
        self.rows, self.stages_md5 = self._md5(f"md5(row(t.{target.key}, t.{target.column})::text)")
        self.rows_md5 = self._md5("md5(t::text)")[1]

    def md5_now(self) -> tuple[str, str]:
        """Return the current md5 of keys and values, and of whole rows."""
        target = self._target
        return self._md5(f"md5(row(t.{target.key}, t.{target.column})::text)")[1], self._md5(
            "md5(t::text)"
        )[1]

    def changed(self) -> list[dict[str, Any]]:
        """Return changed values by source, old and new, with rows; `new` is None for a lost row."""
        target = self._target
        query = _CHANGED.format(
            source=target.source("b"),
            column=target.column,
            key=target.key,
            table=target.table,
            before=_BEFORE,
        )
        with connection.cursor() as cursor:
            cursor.execute(query)
            return [
                dict(zip(("source", "old", "new", "rows"), row, strict=True))
                for row in cursor.fetchall()
            ]

    def other_columns(self) -> dict[str, int]:
        """Return the number of changed rows for each other column that changed."""
        target = self._target
        with connection.cursor() as cursor:
            cursor.execute(_COLUMNS, [target.table])
            names = [
                quoted
                for (name,) in cursor.fetchall()
                if (quoted := str(connection.ops.quote_name(name))) != target.column
            ]
            counts = ", ".join(
                f"count(*) FILTER (WHERE b.{it}::text IS DISTINCT FROM t.{it}::text)"
                for it in names
            )
            cursor.execute(
                f"SELECT {counts} FROM {_BEFORE} b JOIN {target.table} t ON t.{target.key} = "
                f"b.{target.key}"
            )
            return {
                name.strip('"'): rows
                for name, rows in zip(names, cursor.fetchone(), strict=True)
                if rows
            }

    def _md5(self, hashed: str) -> tuple[int, str]:
        connection.ensure_connection()
        return contents.summed(
            connection.connection, sql.SQL(f"SELECT {hashed} AS h FROM {self._target.table} t")
        )
