"""The column, its table and its key as PostgreSQL has them: a model may say something else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from stageapp.normalization.findings import Finding, blocks, tells, warns
from stageapp.normalization.targets import Target

_TEXT = ("text", "character varying", "character")
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}
_COLUMN = """
SELECT c.oid, a.attnum, c.relkind, format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL),
       greatest(a.atttypmod, t.typtypmod), a.attgenerated <> '', coalesce(l.collisdeterministic, true),
       has_table_privilege(c.oid, 'SELECT') AND has_column_privilege(c.oid, a.attnum, 'UPDATE'),
       row_security_active(c.oid), a.attnum = ANY(coalesce(p.partattrs::int2[], '{}'))
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
    """What identifies the column in PostgreSQL's catalog."""

    table: int
    number: int


def unquoted(name: str) -> str:
    """Return a name as the catalog has it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def find(target: Target) -> tuple[Column | None, tuple[Any, ...]]:
    """Return the column and its facts, None if there is no such table or column."""
    with connection.cursor() as cursor:
        cursor.execute(_COLUMN, [target.table, unquoted(target.column)])
        row = cursor.fetchone()
    return (None, ()) if row is None else (Column(row[0], row[1]), row[2:])


def findings(target: Target, column: Column, facts: tuple[Any, ...], new: Sequence[str]) -> Iterator[Finding]:
    """Yield what the column itself says. `new` are the values that a run would write."""
    kind, type_name, modifier, generated, deterministic, permitted, hidden, partitions = facts
    if kind in _KINDS:
        yield blocks(f"{target.label} is in {_KINDS[kind]}", "a run rewrites rows of a table")
    if type_name not in _TEXT:
        yield blocks(f"The column is of type {type_name}", "a run writes text, and compares it byte for byte")
    longest = max(map(len, new), default=0)
    if type_name.startswith("character") and 0 <= modifier - 4 < longest:
        means = f"a stage of {longest} characters does not fit, and the batch would fail"
        yield blocks(f"The column holds {modifier - 4} characters", means)
    if generated:
        yield blocks("The column is a generated one", "PostgreSQL writes it by itself; change what it is made of")
    if not deterministic:
        yield blocks("The column's collation is not deterministic", "there different spellings are equal to each other")
    if not permitted:
        yield blocks("Our role may not read the table or update the column", "grant it SELECT and UPDATE")
    if hidden:
        yield blocks("Row security hides rows from our role", "a run would leave them as they are, and say it is done")
    if partitions:
        yield warns(
            "The table is partitioned by this column", "a changed row moves, and is refused where no partition fits"
        )
    if not _key_is_unique(target, column):
        yield blocks("No unique index holds the primary key", "batches walk by it, and would miss or repeat rows")


def _key_is_unique(target: Target, column: Column) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_UNIQUE_KEY, [column.table, unquoted(target.key)])
        return bool(cursor.fetchone()[0])


_INDEXES = """
SELECT i.indexrelid::regclass::text, i.indisunique, i.indpred IS NOT NULL
  FROM pg_index i JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
       AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = %s
 WHERE i.indrelid = %s GROUP BY 1, 2, 3 ORDER BY 1
"""
_TRIGGERS = """
SELECT tgname, tgfoid::regproc::text, tgtype & 1 = 1, tgtype & 2 = 2 FROM pg_trigger
 WHERE tgrelid = %s AND NOT tgisinternal AND tgenabled IN ('O', 'A') AND tgtype & 16 = 16
   AND (tgattr::text = '' OR %s = ANY(tgattr::int2[])) ORDER BY 1
"""
_RULES = "SELECT rulename, is_instead FROM pg_rewrite WHERE ev_class = %s AND ev_type = '2'"
_PUBLICATIONS = """
SELECT p.pubname FROM pg_publication_tables t JOIN pg_publication p USING (pubname)
  JOIN pg_class c ON c.relname = t.tablename AND c.relnamespace::regnamespace = quote_ident(t.schemaname)::regnamespace
 WHERE c.oid = %s AND p.pubupdate
"""


def met(column: Column) -> Iterator[Finding]:
    """Yield the indexes, triggers, rules and publications that every changed row meets."""
    for name, unique, partial in _rows(_INDEXES, column.number, column.table):
        if unique:
            means = "two rows whose spellings become one stage collide there, and their batch fails"
            yield warns(f"The unique index {name} holds the column", means)
        else:
            which = "partial index" if partial else "index"
            yield tells(f"The {which} {name} holds the column", "every changed row gets a new entry in it")
    for name, function, per_row, before in _rows(_TRIGGERS, column.table, column.number):
        if per_row:
            means = f"{function}() is called for each changed row" + (", and may change it" if before else "")
            yield warns(f"The trigger {name} fires", means)
        else:
            yield tells(f"The trigger {name} fires", f"{function}() is called once in each batch")
    for name, instead in _rows(_RULES, column.table):
        say = blocks if instead else warns
        yield say(f"The rule {name} rewrites updates", "a run's batch would do something else than it says")
    for (name,) in _rows(_PUBLICATIONS, column.table):
        yield tells(f"The publication {name} sends updates", "every changed row goes to its subscribers")


def _rows(sql: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
