"""Try each planned change on one row of the copy, to see what triggers and constraints do."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DatabaseError, connection, transaction

from stageapp.normalization.statements import Change
from stageapp.targets.targets import Target

_LONGEST = 300  # characters of what was raised
_FIRST = """
SELECT DISTINCT ON (w._source, w._old) w._source, w._old, t.{key}::text
  FROM {table} t JOIN unnest(%s::text[], %s::text[]) AS w(_source, _old)
    ON t.{column} = w._old AND {source} = w._source AND {rows}
 ORDER BY w._source, w._old, t.{key}
"""
_TRIGGERS = """
SELECT tgname FROM pg_trigger
 WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 16 <> 0 ORDER BY 1
"""
_CONSTRAINTS = (
    "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype IN ('c', "
    "'u', 'x') ORDER BY 1"
)


def each(target: Target, changes: Sequence[Change]) -> tuple[list[dict[str, str]], list[str]]:
    """Try every change on the first row with its spelling; return the errors and the notices."""
    raised, notices = [], list[str]()
    with transaction.atomic(), heard(notices), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        keys = _first_keys(target, changes)
        for change in changes:
            key = keys.get((change.source, change.old))
            if key and (said := _try(target, change, key)):
                raised.append(
                    {"source": change.source, "old": change.old, "new": change.new, "said": said}
                )
        transaction.set_rollback(True)
    return raised, notices


def _first_keys(target: Target, changes: Sequence[Change]) -> dict[tuple[str, str], str]:
    query = _FIRST.format(
        key=target.key,
        table=target.table,
        column=target.column,
        source=target.source("t"),
        rows=target.rows_of("t"),
    )
    with connection.cursor() as cursor:
        cursor.execute(
            query, [[change.source for change in changes], [change.old for change in changes]]
        )
        return {(source, old): key for source, old, key in cursor.fetchall()}


def _try(target: Target, change: Change, key: str) -> str:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {target.table} SET {target.column} = %s WHERE {target.key} = "
                f"%s::{target.key_type}",
                [change.new, key],
            )
    except DatabaseError as error:
        return str(error).strip()[:_LONGEST]
    return ""


@contextmanager
def heard(notices: list[str]) -> Iterator[None]:
    """Collect the database's notices and warnings during the block."""

    def hear(said: psycopg.errors.Diagnostic) -> None:
        notices.append(
            f"{said.severity_nonlocalized or said.severity}: {said.message_primary}"[:_LONGEST]
        )

    connection.ensure_connection()
    session = connection.connection
    session.add_notice_handler(hear)
    try:
        yield
    finally:
        session.remove_notice_handler(hear)


def counted(notices: list[str]) -> list[dict[str, Any]]:
    """Return the distinct notices with their counts, the most frequent first."""
    return [{"said": said, "times": times} for said, times in Counter(notices).most_common()]


def met_by(target: Target) -> dict[str, list[str]]:
    """Return the names of the triggers and constraints that the changes involve."""
    refusals = {}
    with connection.cursor() as cursor:
        for kind, query in (("triggers", _TRIGGERS), ("constraints", _CONSTRAINTS)):
            cursor.execute(query, [target.table])
            refusals[kind] = [str(name) for (name,) in cursor.fetchall()]
    return refusals
