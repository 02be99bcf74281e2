"""Verify: what the audit log says against what the rows hold."""

from typing import Any

from django.db import connection

from stageapp.models.normalization import Run, State
from stageapp.normalization import plan as plans
from stageapp.normalization.errors import IllegalMove
from stageapp.normalization.targets import Target, resolve

# The newest forward entry of every row, joined with the row as it is now.
_COMPARE_SQL = """
WITH newest AS (
    SELECT DISTINCT ON (l.row_key) l.row_key::{key_type} AS k, l.old, l.new
      FROM stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id
     WHERE b.run_id = %s AND b.direction = 'forward'
     ORDER BY l.row_key, l.id DESC
)
SELECT n.old, n.new, count(*),
       count(*) FILTER (WHERE t.{column} = n.new),
       count(*) FILTER (WHERE t.{key} IS NOT NULL AND t.{column} IS DISTINCT FROM n.new),
       count(*) FILTER (WHERE t.{key} IS NULL)
  FROM newest n LEFT JOIN {table} t ON t.{key} = n.k
 GROUP BY 1, 2 ORDER BY 3 DESC, 1
"""

_TOTALS_SQL = """
SELECT (SELECT count(*) FROM stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id
         WHERE b.run_id = %s AND b.direction = 'forward'),
       (SELECT coalesce(sum(changed), 0) FROM stageapp_batch WHERE run_id = %s AND direction = 'forward')
"""

_VERIFIABLE = (
    State.RUNNING, State.PAUSING, State.PAUSED, State.VERIFYING, State.DONE, State.FAILED, State.CANCELLED,
)  # fmt: skip


def verify(run: Run) -> dict[str, Any]:
    """Compare rows and audit log, and return the result with its verdict under `ok`.

    It is not ok when entries and batches disagree in number, or when rows still hold a spelling of the plan.
    Rows that somebody changed or deleted after the run are counted, and are no fault.

    Raises:
        IllegalMove: the run has changed nothing yet, or is undone.
    """
    if run.state not in _VERIFIABLE:
        raise IllegalMove(f"Run {run.pk} is {run.state}; there is nothing to verify.")
    target = resolve(run.plan.target)
    left = _rows_left(run, target)
    by_pair = _compare(run, target)
    logged, recorded = _entries_and_changes(run)
    return {
        "ok": left == 0 and logged == recorded,
        "rows_left": left,
        "entries": logged,
        "changed_by_batches": recorded,
        "rows_as_written": sum(pair["as_written"] for pair in by_pair),
        "rows_changed_since": sum(pair["changed_since"] for pair in by_pair),
        "rows_deleted_since": sum(pair["deleted_since"] for pair in by_pair),
        "pairs": by_pair,
    }


def _rows_left(run: Run, target: Target) -> int:
    condition, olds = target.holds_any([(change.source, change.old) for change in plans.changes(run.plan)])
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {target.table} WHERE {condition}", olds)
        return int(cursor.fetchone()[0])


def _compare(run: Run, target: Target) -> list[dict[str, Any]]:
    names = ("old", "new", "rows", "as_written", "changed_since", "deleted_since")
    sql = _COMPARE_SQL.format(key=target.key, key_type=target.key_type, column=target.column, table=target.table)
    with connection.cursor() as cursor:
        cursor.execute(sql, [run.pk])
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _entries_and_changes(run: Run) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS_SQL, [run.pk, run.pk])  # one statement, so that a batch is in both or in neither
        entries, changes = cursor.fetchone()
    return entries, changes
