"""A database's contents as a few numbers that a restored copy must match."""

import hashlib
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from stageapp.backups.progress import Report
from stageapp.targets.targets import Target

Session = psycopg.Connection[tuple[Any, ...]]
_SHOWN_VALUES = 1000  # of a target; the md5 covers all of them
_SHOWN_LENGTH = 200  # characters

# A row's text depends on these.
_TEXT_RULES = """
SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1;
SET bytea_output = 'hex'; SET xmlbinary = 'base64'
"""

# The order of rows does not matter: each row's md5 is cut into two 64-bit numbers, and each half is
# summed. One statement, one pass, a constant amount of memory, and PostgreSQL may do it with
# several processes.
_SUMMED = """
SELECT count(*), coalesce(sum(('x' || left(h, 16))::bit(64)::bigint), 0),
       coalesce(sum(('x' || right(h, 16))::bit(64)::bigint), 0)
  FROM ({hashes}) AS hashed
"""
_ROW_HASHES = "SELECT md5(({row}.*)::text) AS h FROM ONLY {table} AS {row}"
_VALUE_HASHES = "SELECT md5(({row}.*)::text) AS h FROM ({values} GROUP BY 1) AS {row}"
_VALUES = "SELECT {column}, count(*) FROM {table} WHERE {rows}"
_ROW = sql.Identifier("stage backup row")  # a column of this name is unlikely

_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
 ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

# Columns, constraints, triggers, functions and applied migrations, each as one line of text.
# Conditions are left out: PostgreSQL writes them in other words once they have been through a dump.
_SCHEMA = """
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
)
SELECT line FROM (
    SELECT concat_ws(' ', 'column', n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                     a.attnotnull) AS line
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN ours n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT concat_ws(' ', 'constraint', n.nspname, c.relname, k.conname,
                     CASE WHEN k.contype <> 'c' THEN pg_get_constraintdef(k.oid) END)
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN ours n ON n.oid = c.relnamespace
     WHERE k.contype <> 'n'
    UNION ALL
    SELECT concat_ws(' ', 'trigger', n.nspname, c.relname, t.tgname, t.tgenabled, t.tgtype)
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN ours n ON n.oid = c.relnamespace
     WHERE NOT t.tgisinternal
    UNION ALL
    SELECT concat_ws(' ', 'function', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), md5(p.prosrc))
      FROM pg_proc p JOIN ours n ON n.oid = p.pronamespace
    UNION ALL
    SELECT concat_ws(' ', 'index', schemaname, tablename, split_part(indexdef, ' WHERE ', 1)) FROM pg_indexes
     WHERE schemaname IN (SELECT nspname FROM ours)
    UNION ALL
    SELECT concat_ws(' ', 'migration', app, name) FROM django_migrations
) AS lines ORDER BY line COLLATE "C"
"""

# The newest entry of every row that a run has changed, against the row as it is; and batches whose
# number of changes is not their number of entries (there must be none).
_AUDIT = """
WITH newest AS (
    SELECT DISTINCT ON (u.k) u.k, l.new
      FROM stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id
      JOIN stageapp_run r ON r.id = b.run_id, unnest(l.{array}) AS u(k)
     WHERE r.target = %s ORDER BY u.k, l.id DESC
)
SELECT count(*), count(*) FILTER (WHERE t.{column} = n.new)
  FROM newest n LEFT JOIN {table} t ON t.{key} = n.k
"""
_BATCHES_OFF = """
SELECT count(*) FROM stageapp_batch b
  LEFT JOIN (SELECT batch_id, sum(coalesce(cardinality(keys), cardinality(uuids))) AS entries
               FROM stageapp_normalizationlog GROUP BY 1) l ON l.batch_id = b.id
 WHERE b.changed <> coalesce(l.entries, 0)
"""


@dataclass(frozen=True)
class TableFacts:
    """A table's row count, and an md5 of all rows that does not depend on their order."""

    rows: int
    md5: str


@dataclass(frozen=True)
class StageFacts:
    """A target's distinct values: `counts` has the most frequent ones, `md5` covers all."""

    distinct: int
    md5: str
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class AuditFacts:
    """How far the audit log and a target's rows agree; rows may have been edited after a run."""

    rows_logged: int
    rows_as_logged: int


@dataclass(frozen=True)
class Contents:
    """A database's contents; `schema` is a sha256 of tables, constraints, functions, migrations."""

    tables: dict[str, TableFacts]
    stages: dict[str, StageFacts]
    audit: dict[str, AuditFacts]
    batches_off: int
    vocabulary_version: int
    schema: str

    @property
    def rows(self) -> int:
        """The number of rows of all tables."""
        return sum(table.rows for table in self.tables.values())


def measure(session: Session, targets: list[Target], report: Report) -> Contents:
    """Measure everything once; in one snapshot transaction the numbers are consistent."""
    session.execute(_TEXT_RULES)
    names = [(str(schema), str(table)) for schema, table in session.execute(_TABLES).fetchall()]
    tables = {}
    for number, name in enumerate(names):
        report("measure", number, len(names))
        tables[".".join(name)] = table_facts(session, sql.Identifier(*name))
    report("measure", len(names), len(names))
    return Contents(
        tables=tables,
        stages={stages_name(target): _stage_facts(session, target) for target in targets},
        audit={target.label: _audit_facts(session, target) for target in targets},
        batches_off=int(_one(session, sql.SQL(_BATCHES_OFF))[0]),
        vocabulary_version=int(
            _one(session, sql.SQL("SELECT max(number) FROM stageapp_vocabularyversion"))[0] or 0
        ),
        schema=schema_of(session),
    )


def stages_name(target: Target) -> str:
    """Return the key for a target's distinct values; it differs for another `where`."""
    return f"{target.label}?where={target.where}" if target.where else target.label


def schema_of(session: Session) -> str:
    """Return the sha256 of the schema; any migration, seal or manual change alters it."""
    digest = hashlib.sha256()
    for (line,) in session.execute(_SCHEMA):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def table_facts(session: Session, table: sql.Composable) -> TableFacts:
    """Return a table's row count and the md5 of its rows."""
    hashes = sql.SQL(_ROW_HASHES).format(row=_ROW, table=table)
    return TableFacts(*summed(session, hashes))


def _stage_facts(session: Session, target: Target) -> StageFacts:
    column = _quoted(target.column)
    values = sql.SQL(_VALUES).format(
        column=column, table=_quoted(target.table), rows=_quoted(target.rows)
    )
    hashes = sql.SQL(_VALUE_HASHES).format(row=_ROW, values=values)
    shown = sql.SQL(
        "{values} AND length({column}) <= {length} GROUP BY 1 ORDER BY 2 DESC, {column} COLLATE "
        '"C" LIMIT {most}'
    ).format(values=values, column=column, length=_SHOWN_LENGTH, most=_SHOWN_VALUES)
    counts = tuple((str(value), int(count)) for value, count in session.execute(shown).fetchall())
    return StageFacts(*summed(session, hashes), counts)


def _audit_facts(session: Session, target: Target) -> AuditFacts:
    query = sql.SQL(_AUDIT).format(
        column=_quoted(target.column),
        table=_quoted(target.table),
        key=_quoted(target.key),
        array=_quoted(target.array),
    )
    return AuditFacts(*session.execute(query, [target.label]).fetchall()[0])


def summed(session: Session, hashes: sql.Composable) -> tuple[int, str]:
    """Return the row count and an md5 of all rows of a query that returns each row's md5 as `h`."""
    count, high, low = _one(session, sql.SQL(_SUMMED).format(hashes=hashes))
    return int(count), f"{int(high) % 2**64:016x}{int(low) % 2**64:016x}"


def _one(session: Session, query: sql.SQL | sql.Composed) -> tuple[Any, ...]:
    return session.execute(query).fetchall()[0]


def _quoted(name: str) -> sql.SQL:
    return sql.SQL(
        name
    )  # a target's names are quoted by the database layer, its `where` is the team's own
