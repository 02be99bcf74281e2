"""The part of a trial that runs in the copy: sample, try, run, verify, roll back, compare."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DatabaseError, connection, transaction
from psycopg import sql

from stageapp.backups import contents
from stageapp.models.normalization import UNFINISHED, Plan, Run, State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, verify, worker
from stageapp.normalization.statements import Change
from stageapp.targets.errors import NormalizationError, PreflightRefused, TooManyQuarantined
from stageapp.targets.targets import Target, resolve
from stageapp.vocabulary import snapshot

# The sample of a trial: all other rows are taken out of the copy, so that the engine itself meets
# the sample alone.
#
# A row is in it by a hash of its key: the same rows each time, and those of 5 % are among those of
# 10 %. The first row of each planned spelling among the target's rows is added, so that a rare
# spelling is tried too.

# Ten thousandths of the 32-bit numbers that keys are hashed to, by a hash that is the same in every
# version.
_TAKEN = "('x' || left(md5(t.{key}::text), 8))::bit(32)::bigint %% 10000 < %s"
# What other tables say of the rows is nothing that a change of the column could break, unless it is
# said of the column.
_POINTING_HERE = """
SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.conrelid::regclass, c.conname)
  FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid = %s::regclass AND c.conparentid = 0
   AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.confrelid AND a.attnum = ANY(c.confkey)
                      AND '"' || a.attname || '"' = %s)
"""


def keep(
    target: Target, percent: float, changes: Sequence[Change], unplanned: Sequence[Change]
) -> int:
    """Delete all rows of the target's table outside the sample; return how many are left.

    `unplanned` are changes that are not in the plan; their rows are not in the sample.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(_POINTING_HERE, [target.table, target.column])
        for (drop,) in cursor.fetchall():
            cursor.execute(drop)
        # Without the table's own triggers: they are there for people's deletions, and are on again
        # afterwards.
        cursor.execute(f"ALTER TABLE {target.table} DISABLE TRIGGER USER")
        cursor.execute(
            f"DELETE FROM {target.table} t WHERE NOT ({_TAKEN.format(key=target.key)}) "
            f"AND t.{target.key} <> ALL(%s::{target.key_type}[])",
            [round(percent * 100), list(first_keys(target, changes).values())],
        )
        condition, olds = target.holds_any([(change.source, change.old) for change in unplanned])
        cursor.execute(f"DELETE FROM {target.table} WHERE {condition}", olds)
        cursor.execute(f"ALTER TABLE {target.table} ENABLE TRIGGER USER")
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {target.table}")
        cursor.execute(f"SELECT count(*) FROM {target.table}")
        return int(cursor.fetchone()[0])


# The sample before and after: values, other columns, and two md5 sums.

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


# Each planned change is tried on one row, to see what triggers and constraints do.

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


def try_each(target: Target, changes: Sequence[Change]) -> tuple[list[dict[str, str]], list[str]]:
    """Try every change on the first row with its spelling; return the errors and the notices."""
    raised, notices = [], list[str]()
    with transaction.atomic(), heard(notices), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        keys = first_keys(target, changes)
        for change in changes:
            key = keys.get((change.source, change.old))
            if key is None:
                continue
            try:
                with transaction.atomic():
                    cursor.execute(
                        f"UPDATE {target.table} SET {target.column} = %s WHERE {target.key} = "
                        f"%s::{target.key_type}",
                        [change.new, key],
                    )
            except DatabaseError as error:
                raised.append(change._asdict() | {"said": str(error).strip()[:_LONGEST]})
        transaction.set_rollback(True)
    return raised, notices


def first_keys(target: Target, changes: Sequence[Change]) -> dict[tuple[str, str], str]:
    """Return the key of the first row with each planned (source, spelling)."""
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


Tell = Callable[[str, int, int], None]
_ACTOR, _REASON = "trial", "trial on a disposable copy"
_SHOWN = 100  # of each kind of difference
_VERIFIABLE = (State.DONE, State.FAILED, State.PAUSED)


def carry_out(
    label: str, percent: float, changes: Sequence[Change], entries: list[dict[str, Any]], tell: Tell
) -> dict[str, Any]:
    """Run a trial in this process's database, which must be a copy; return the result.

    Raises:
        NormalizationError: the copy was taken while a run was active.
    """
    if busy := Run.objects.filter(target=label, state__in=UNFINISHED).first():
        raise NormalizationError(
            f"The backup was taken while run {busy.pk} was {busy.stands}. When that run "
            "is over, make and verify a new backup, and try again."
        )
    target = resolve(label)
    tell("sample", 0, 4)
    copied = plans.make_plan(label, actor="trial")
    differences = _differences(copied, entries)
    unplanned = sorted(set(plans.changes(copied)) - set(changes))
    sampled = keep(target, percent, changes, unplanned)
    tell("try", 1, 4)
    raised, notices = try_each(target, changes)
    tell("run", 2, 4)
    before = Before(target)
    result = _run(label, target, changes, before, notices)
    tell("run", 4, 4)
    good = (
        result["run"] == "done"
        and result["verified"]
        and result["restored"]
        and not result["unexpected"]
    )
    return {
        "passed": good and not raised and not result["rows_left"],
        "rows": sampled,
        **result,
        "differences": differences,
        "raised": raised[:_SHOWN],
        "notices": counted(notices)[:_SHOWN],
        "met": met_by(target),
    }


def _run(
    label: str, target: Target, changes: Sequence[Change], before: Before, notices: list[str]
) -> dict[str, Any]:
    """Run, verify and roll back the sample with the engine, comparing after each direction."""
    run = plans.make_plan(label, actor="trial").run
    began = time.monotonic()
    try:
        runs.start(run, actor=_ACTOR, reason=_REASON)
    except PreflightRefused as refused:
        return _not_begun(str(refused), before, _left(target, changes))
    with heard(notices):
        error = _advance(run)
    seconds = time.monotonic() - began
    run.refresh_from_db()
    changed, other = before.changed(), before.other_columns()
    planned = {tuple(change) for change in changes}
    result = {
        "run": str(run.state),
        "error": error or run.last_error,
        "seconds": round(seconds, 3),
        "rate": round(before.rows / seconds, 1) if before.rows and seconds else None,
        "verified": run.state in _VERIFIABLE
        and bool(verify.compare(run, target, snapshot.load())["ok"]),
        "changed": [one for one in changed if _pair(one) in planned],
        "unexpected": [one for one in changed if _pair(one) not in planned][:_SHOWN],
        "rows_left": _left(target, changes),
        "other_columns": other,
    }
    began = time.monotonic()
    error = _advance(runs.request_rollback(run, actor=_ACTOR, reason=_REASON))
    run.refresh_from_db()
    stages_md5, rows_md5 = before.md5_now()
    return result | {
        "rollback": str(run.state),
        "rollback_error": error,
        "rollback_seconds": round(time.monotonic() - began, 3),
        "md5_before": before.stages_md5,
        "md5_after": stages_md5,
        "restored": stages_md5 == before.stages_md5,
        "rows_restored": rows_md5 == before.rows_md5,
        "other_columns_after": before.other_columns(),
    }


def _not_begun(error: str, before: Before, left: int) -> dict[str, Any]:
    """Return the result for a run that the preflight would not let start."""
    other = before.other_columns()
    return {
        "run": "refused",
        "error": error,
        "seconds": 0.0,
        "rate": None,
        "verified": False,
        "changed": [],
        "unexpected": [],
        "rows_left": left,
        "other_columns": other,
        "rollback": "not needed",
        "rollback_error": "",
        "rollback_seconds": 0.0,
        "md5_before": before.stages_md5,
        "md5_after": before.stages_md5,
        "restored": True,
        "rows_restored": True,
        "other_columns_after": other,
    }


def _advance(run: Run) -> str:
    """Run to the end; return the database's error, if any."""
    try:
        worker.advance(run)
    except (DatabaseError, TooManyQuarantined) as error:
        return str(error).strip()
    return ""


def _pair(one: dict[str, Any]) -> tuple[str, str, str]:
    return one["source"], one["old"], one["new"]


def _left(target: Target, changes: Sequence[Change]) -> int:
    condition, olds = target.holds_any([(change.source, change.old) for change in changes])
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {target.table} WHERE {condition}", olds)
        return int(cursor.fetchone()[0])


def _differences(copied: Plan, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how the copy's distinct values differ from the plan's, made at another time."""
    names = ("source", "raw", "stage", "reason", "rows")
    copy = {
        (entry.source, entry.raw): {name: getattr(entry, name) for name in names}
        for entry in copied.entries.all()
    }
    plan = {(entry["source"], entry["raw"]): entry for entry in entries}
    off = [
        {"source": key[0], "raw": key[1], "plan": plan[key]["rows"], "copy": copy[key]["rows"]}
        for key in plan.keys() & copy.keys()
        if plan[key]["rows"] != copy[key]["rows"]
    ]
    return {
        "only_in_copy": [copy[key] for key in sorted(copy.keys() - plan.keys())][:_SHOWN],
        "only_in_plan": [plan[key] for key in sorted(plan.keys() - copy.keys())][:_SHOWN],
        "other_counts": sorted(off, key=lambda one: (one["source"], one["raw"]))[:_SHOWN],
    }
