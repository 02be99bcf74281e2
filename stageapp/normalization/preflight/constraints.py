"""Check the constraints on a column against the values that a run would write."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from django.db import DatabaseError, connection, transaction

from stageapp.targets.columns import Column
from stageapp.targets.findings import Finding, blocks, tells, warns
from stageapp.targets.targets import Target

_CONSTRAINTS = """
SELECT c.conname, c.contype, c.conrelid = %(table)s, c.conkey::int2[] = ARRAY[%(number)s]::int2[], c.confupdtype,
       pg_get_expr(c.conbin, c.conrelid), c.conrelid::regclass::text, c.confrelid::regclass::text,
       (SELECT quote_ident(a.attname) FROM pg_attribute a
         WHERE a.attrelid = c.confrelid AND a.attnum = c.confkey[array_position(c.conkey, %(number)s::int2)])
  FROM pg_constraint c
 WHERE (c.conrelid = %(table)s AND %(number)s = ANY(c.conkey) AND c.contype IN ('c', 'f', 'x'))
    OR (c.confrelid = %(table)s AND %(number)s = ANY(c.confkey) AND c.contype = 'f')
 ORDER BY c.conname
"""


_DOMAIN = """
SELECT t.oid::regtype::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = %s AND a.attnum = %s AND t.typtype = 'd'
"""


def findings(target: Target, column: Column, new: Sequence[str]) -> Iterator[Finding]:
    """Yield what each constraint on the column does with the values that a run would write."""
    yield from _domain(column, new)
    with connection.cursor() as cursor:
        cursor.execute(_CONSTRAINTS, {"table": column.table, "number": column.number})
        rows = list(cursor.fetchall())
    for (
        name,
        kind,
        ours,
        alone,
        on_update,
        expression,
        table,
        referenced,
        referenced_column,
    ) in rows:
        if kind == "c":
            yield (
                _check(target, name, expression, new)
                if alone
                else warns(
                    f"CHECK {name} covers the column together with others",
                    "it cannot be tested in advance: review it",
                )
            )
        elif kind == "x":
            yield warns(
                f"The exclusion constraint {name} covers the column",
                "changed rows may conflict with it",
            )
        elif ours:
            yield _reference(name, referenced, referenced_column, new)
        else:
            yield _referenced(name, table, on_update)


def _domain(column: Column, new: Sequence[str]) -> Iterator[Finding]:
    """Yield what the column's domain and its base domains do with each value."""
    with connection.cursor() as cursor:
        cursor.execute(_DOMAIN, [column.table, column.number])
        row = cursor.fetchone()
    if row is None:
        return
    refused: dict[str, list[str]] = {}
    for value in new:
        try:
            _values(f"SELECT (unnest(%s::text[])::{_escaped(row[0])})::text", [value])
        except DatabaseError as error:
            if not isinstance(error.__cause__, psycopg.Error) or error.__cause__.sqlstate is None:
                raise
            refused.setdefault(error.__cause__.diag.constraint_name or "", []).append(value)
    for name, values in refused.items():
        what = f"CHECK {name} of the domain {row[0]}" if name else f"The domain {row[0]}"
        yield blocks(f"{what} refuses {', '.join(values)}", "no row can take that value")
    if not refused:
        means = "it allows every value that the run would write"
        yield tells(f"The column is of the domain {row[0]}", means)


def _check(target: Target, name: str, expression: str, new: Sequence[str]) -> Finding:
    sql = (
        f"SELECT {target.column} FROM unnest(%s::text[]) AS t ({target.column}) WHERE NOT "
        f"({_escaped(expression)})"
    )
    try:
        refused = _values(sql, list(new))
    except DatabaseError as error:
        return warns(
            f"CHECK {name} cannot be tested in advance", str(error).strip().partition("\n")[0]
        )
    if refused:
        return blocks(
            f"CHECK {name} refuses {', '.join(refused)}", "the batch that writes it would fail"
        )
    return tells(
        f"CHECK {name} covers the column", "it allows every value that the run would write"
    )


def _reference(name: str, table: str, column: str, new: Sequence[str]) -> Finding:
    sql = (
        f"SELECT v FROM unnest(%s::text[]) AS v "
        f"WHERE NOT EXISTS (SELECT FROM {_escaped(table)} WHERE {_escaped(column)}::text = v)"
    )
    if missing := _values(sql, list(new)):
        return blocks(
            f"The foreign key {name} refuses {', '.join(missing)}", f"{table} has no such row"
        )
    return tells(
        f"The foreign key {name} references {table}",
        "it contains every value that the run would write",
    )


def _referenced(name: str, table: str, on_update: str) -> Finding:
    what = f"{table} references the column (foreign key {name})"
    if on_update == "c":
        return warns(what, "each changed row also changes rows there, outside the audit log")
    return blocks(what, "changing a referenced value is refused, and the batch would fail")


def _escaped(expression: str) -> str:
    return expression.replace("%", "%%")


def _values(sql: str, values: list[Any]) -> list[str]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, [values])
        return [value for (value,) in cursor.fetchall()]
