"""The column, its table and its key as in PostgreSQL's catalog, which may differ from the model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import DatabaseError, connection, transaction
from psycopg.errors import LockNotAvailable

from stageapp.targets.errors import TargetError
from stageapp.targets.findings import Finding, blocks, tells, warns
from stageapp.targets.targets import Target

_TEXT = ("text", "character varying")
_LOCK_SECONDS = 2
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
_COLUMN = """
SELECT c.oid, a.attnum, c.relkind, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL),
       greatest(a.atttypmod, t.typtypmod), a.attgenerated <> '', coalesce(l.collisdeterministic, true),
       has_table_privilege(c.oid, 'SELECT') AND has_column_privilege(c.oid, a.attnum, 'UPDATE'),
       row_security_active(c.oid), a.attnum = ANY(coalesce(p.partattrs::int2[], '{}')),
       ARRAY(SELECT i.inhrelid::regclass::text FROM pg_inherits i
              WHERE i.inhparent = c.oid AND c.relkind = 'r' ORDER BY 1)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
  LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
 WHERE c.oid = to_regclass(%s) AND quote_ident(a.attname) = quote_ident(%s)
"""
_UNIQUE_KEY = """
SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL
                  AND a.attname = %s)
"""


@dataclass(frozen=True)
class Column:
    """The column's identity in PostgreSQL's catalog."""

    table: int
    number: int


def unquoted(name: str) -> str:
    """Return a quoted name as it appears in the catalog."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def find(target: Target) -> tuple[Column | None, tuple[Any, ...]]:
    """Return the column and its facts, or None if the table or column does not exist."""
    with connection.cursor() as cursor:
        cursor.execute(_COLUMN, [target.table, unquoted(target.column)])
        row = cursor.fetchone()
    return (None, ()) if row is None else (Column(row[0], row[1]), row[2:])


def require_plain(target: Target) -> None:
    """Require that our statements can read and change the column's rows exactly.

    Raises:
        TargetError: it is in a view or in a table with inheritance children, is padded, does not
            compare byte for byte, or its rows are hidden from us or share a key.
    """
    column, facts = find(target)
    if column is not None and (against := list(_shape(target, column, facts))):
        said = " ".join(f"{one}." for one in against)
        raise TargetError(f"{target.label} cannot be normalized. {said}")


def _shape(target: Target, column: Column, facts: tuple[Any, ...]) -> Iterator[Finding]:
    """Yield what would make a plan or a proof count other rows or values than a run changes."""
    kind, type_name, _, generated, deterministic, _, hidden, _, heirs = facts
    if kind in _KINDS:
        yield blocks(f"{target.label} is in {_KINDS[kind]}", "a run rewrites rows of a table")
    if heirs:
        yield blocks(
            f"Tables inherit from {target.table}: {', '.join(heirs)}",
            "one key may stand in several of them, and rows would be taken for one another; make "
            "them partitions, or end the inheritance (ALTER TABLE … NO INHERIT)",
        )
    if type_name == "character":
        yield blocks(
            "The column is of type character(n)",
            "PostgreSQL pads its values with spaces and ignores those in comparisons; "
            "change it to varchar",
        )
    elif type_name not in _TEXT:
        yield blocks(
            f"The column is of type {type_name}", "a run writes text, and compares it byte for byte"
        )
    if generated:
        yield blocks(
            "The column is generated",
            "PostgreSQL computes it; change the columns it is computed from",
        )
    if not deterministic:
        yield blocks(
            "The column's collation is not deterministic",
            "different spellings compare as equal there",
        )
    if hidden:
        yield blocks(
            "Row-level security hides rows from our role",
            "a run would skip them and still report that it is done",
        )
    if kind not in _KINDS and not _key_is_unique(target, column):
        yield blocks(
            "No unique index covers the primary key",
            "batches iterate over it, and would miss or repeat rows",
        )


def findings(
    target: Target, column: Column, facts: tuple[Any, ...], new: Sequence[str]
) -> Iterator[Finding]:
    """Yield the findings on the column itself. `new` are the values that a run would write."""
    against = list(_shape(target, column, facts))
    yield from against
    _, type_name, modifier, _, _, permitted, _, partitions, _ = facts
    longest = max(map(len, new), default=0)
    if type_name.startswith("character") and 0 <= modifier - 4 < longest:
        means = f"a stage of {longest} characters does not fit, and the batch would fail"
        yield blocks(f"The column is limited to {modifier - 4} characters", means)
    if not permitted:
        yield blocks(
            "Our role may not read the table or update the column", "grant it SELECT and UPDATE"
        )
    if partitions:
        yield warns(
            "The table is partitioned by this column",
            "a changed row moves to another partition, and is refused where none fits",
        )
    if permitted and not against and (said := _refusal_of_any_update(target)):
        yield blocks("PostgreSQL refuses every update of the column", said)


def _key_is_unique(target: Target, column: Column) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_UNIQUE_KEY, [column.table, unquoted(target.key)])
        return bool(cursor.fetchone()[0])


def _refusal_of_any_update(target: Target) -> str:
    """Return PostgreSQL's error for an UPDATE that it only explains; empty if it accepts it.

    This covers what the catalog does not state directly, such as a published table without replica
    identity.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
            update = f"UPDATE {target.table} SET {target.column} = NULL WHERE {target.key} IS NULL"
            cursor.execute(f"EXPLAIN {update}")
            transaction.set_rollback(True)  # and the time limit with it
    except DatabaseError as error:
        if not isinstance(error.__cause__, psycopg.Error) or error.__cause__.sqlstate is None:
            raise  # the session is gone
        if isinstance(error.__cause__, LockNotAvailable):
            return ""  # a table that somebody holds is not one that refuses
        said = error.__cause__.diag
        parts = filter(None, (said.message_primary, said.message_hint))
        return ". ".join(part.rstrip(".") for part in parts)
    return ""


# The index of a constraint depends on the constraint, not on the column: so both its list of
# columns and what its expressions and its condition depend on are read.
_INDEXES = """
SELECT i.indexrelid::regclass::text, i.indisunique AND (held.among_keys OR held.in_words),
       i.indpred IS NOT NULL,
       EXISTS (SELECT FROM pg_constraint c
                WHERE c.conindid = i.indexrelid AND c.conrelid = i.indrelid AND c.contype = 'u')
  FROM pg_index i CROSS JOIN LATERAL (
       SELECT %(number)s = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS among_keys,
              %(number)s = ANY(i.indkey::int2[]) AS among_columns,
              (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) AND EXISTS (
               SELECT FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid
                  AND d.refobjsubid = %(number)s) AS in_words) AS held
 WHERE i.indrelid = %(table)s AND (held.among_columns OR held.in_words) ORDER BY 1
"""
_GENERATED = """
SELECT a.attname
  FROM pg_attrdef g JOIN pg_attribute a ON a.attrelid = g.adrelid AND a.attnum = g.adnum
 WHERE g.adrelid = %(table)s AND a.attgenerated <> '' AND EXISTS (
       SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = g.adrelid
          AND d.refobjsubid = %(number)s
          AND ((d.classid = 'pg_attrdef'::regclass AND d.objid = g.oid)
               OR (d.classid = 'pg_class'::regclass AND d.objid = g.adrelid
                   AND d.objsubid = a.attnum)))
 ORDER BY a.attnum
"""
_TRIGGERS = """
SELECT tgname, tgfoid::regproc::text, tgtype & 1 = 1, tgtype & 2 = 2 FROM pg_trigger
 WHERE tgrelid = %(table)s AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype & 16 = 16
   AND (tgattr::text = '' OR %(number)s = ANY(tgattr::int2[])) ORDER BY 1
"""
_RULES = "SELECT rulename, is_instead FROM pg_rewrite WHERE ev_class = %(table)s AND ev_type = '2'"
_PUBLICATIONS = """
SELECT p.pubname FROM pg_publication_tables t JOIN pg_publication p USING (pubname)
  JOIN pg_class c ON c.relname = t.tablename AND c.relnamespace::regnamespace = quote_ident(t.schemaname)::regnamespace
 WHERE c.oid = %(table)s AND p.pubupdate
"""


def met(column: Column) -> Iterator[Finding]:
    """Yield each index, trigger, rule, generated column and publication that a change involves."""
    for name, unique, partial, constraint in _rows(_INDEXES, column):
        if unique:
            means = (
                "where the spellings of two rows become the same stage, the later row goes "
                "into quarantine"
            )
            kind = "constraint" if constraint else "index"
            yield warns(f"The unique {kind} {name} covers the column", means)
        else:
            which = "partial index" if partial else "index"
            yield tells(
                f"The {which} {name} covers the column", "every changed row gets a new entry in it"
            )
    for name, function, per_row, before in _rows(_TRIGGERS, column):
        if per_row:
            means = f"{function}() is called for each changed row" + (
                ", and may change it" if before else ""
            )
            yield warns(f"The trigger {name} fires", means)
        else:
            yield tells(f"The trigger {name} fires", f"{function}() is called once in each batch")
    for name, instead in _rows(_RULES, column):
        say = blocks if instead else warns
        yield say(
            f"The rule {name} rewrites updates",
            "a run's batch would do something other than intended",
        )
    for (name,) in _rows(_GENERATED, column):
        yield warns(
            f"The generated column {name} reads the column",
            "it is recomputed for each changed row; check what uses it",
        )
    for (name,) in _rows(_PUBLICATIONS, column):
        yield tells(
            f"The publication {name} sends updates", "every changed row is sent to its subscribers"
        )


def _rows(sql: str, column: Column) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"table": column.table, "number": column.number})
        return list(cursor.fetchall())
