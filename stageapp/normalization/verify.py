"""Verify: what the audit log says against what the rows hold, range by range."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.db import connection

from stageapp.models.batches import Batch, Direction
from stageapp.models.normalization import Run, State
from stageapp.normalization import audit
from stageapp.normalization import plan as plans
from stageapp.normalization.audit import Bounds
from stageapp.normalization.errors import IllegalMove
from stageapp.normalization.targets import Target, resolve

RANGE_ROWS = 200_000  # rows of a range: short statements, which hold back no vacuum
LISTED = 1_000  # keys of rows that changed since, in a full comparison

# The newest forward entry of every row in a range, joined with the row as it is now.
_NEWEST = """
WITH newest AS (
    SELECT DISTINCT ON (u.k) u.k, l.old, l.new
      FROM stageapp_batch b JOIN stageapp_normalizationlog l ON l.batch_id = b.id, unnest(l.{array}) AS u(k)
     WHERE b.run_id = %s AND b.direction = 'forward' AND b.places && int8range({first}, {last}, '[]') AND {bounds}
     ORDER BY u.k, l.id DESC
)
"""
_COMPARE_SQL = (
    _NEWEST
    + """
SELECT n.old, n.new, count(*), count(*) FILTER (WHERE {value} = n.new), count(*) FILTER (WHERE t.{key} IS NULL)
  FROM newest n LEFT JOIN {table} t ON t.{key} = n.k
 GROUP BY 1, 2
"""
)
_DIFFERENT_SQL = (
    _NEWEST
    + """
SELECT n.k::text, n.new, t.{column} FROM newest n JOIN {table} t ON t.{key} = n.k
 WHERE {value} IS DISTINCT FROM n.new ORDER BY n.k LIMIT %s
"""
)

_VERIFIABLE = (
    State.RUNNING, State.PAUSING, State.PAUSED, State.VERIFYING, State.DONE, State.FAILED, State.CANCELLED,
)  # fmt: skip


def verify(run: Run, *, full: bool = False) -> dict[str, Any]:
    """Compare rows and audit log, and return the result with its verdict under `ok`.

    It is not ok when entries, batches and checkpoints disagree in number, or when rows still hold a spelling of the
    plan. Rows that somebody changed or deleted after the run are counted, and are no fault; `full` lists them. Rows in
    quarantine are counted apart.

    Raises:
        IllegalMove: the run has changed nothing yet, or is undone.
    """
    if run.state not in _VERIFIABLE:
        raise IllegalMove(f"Run {run.pk} is {run.state}; there is nothing to verify.")
    target = resolve(run.plan.target)
    left = rows_left(run, target)
    by_pair = _compare(run, target)
    logged, recorded, checkpoints = _totals(run)
    found = {
        "ok": left == 0 and logged == recorded == checkpoints,
        "rows_left": left,
        "entries": logged,
        "changed_by_batches": recorded,
        "rows_as_written": sum(pair["as_written"] for pair in by_pair),
        "rows_changed_since": sum(pair["changed_since"] for pair in by_pair),
        "rows_deleted_since": sum(pair["deleted_since"] for pair in by_pair),
        "quarantined": run.quarantine.filter(direction=Direction.FORWARD).count(),
        "pairs": by_pair,
    }
    return found | ({"different": list(_different(run, target))} if full else {})


def rows_left(run: Run, target: Target) -> int:
    """Return how many rows still hold a spelling of the plan, besides those in quarantine."""
    condition, parameters = _left(run, target)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {target.table} WHERE {condition}", parameters)
        return int(cursor.fetchone()[0])


def first_left(run: Run, target: Target, *, limit: int) -> list[tuple[str, str, str]]:
    """Return the (key, source, value) of the first of them."""
    condition, parameters = _left(run, target)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {target.key}::text, {target.source()}, {target.column} FROM {target.table} "
            f"WHERE {condition} ORDER BY {target.table}.{target.key} LIMIT %s",
            [*parameters, limit],
        )
        return list(cursor.fetchall())


def set_apart(run: Run) -> list[str]:
    """Return the keys of the rows that the run could not change."""
    apart = run.quarantine.filter(direction=Direction.FORWARD)
    return list(apart.values_list("row_key", flat=True))


def _left(run: Run, target: Target) -> tuple[str, list[Any]]:
    condition, olds = target.holds_any([(change.source, change.old) for change in plans.changes(run.plan)])
    return f"{condition} AND {target.key} <> ALL(%s::{target.stored_key}[])", [*olds, set_apart(run)]


def _compare(run: Run, target: Target) -> list[dict[str, Any]]:
    rows, written, gone = Counter[Any](), Counter[Any](), Counter[Any]()
    for bounds in _ranges(run):
        for old, new, number, as_written, deleted in _query(_COMPARE_SQL, run, target, bounds):
            rows[old, new] += number
            written[old, new] += as_written
            gone[old, new] += deleted
    return [
        {
            "old": pair[0], "new": pair[1], "rows": number, "as_written": written[pair], "deleted_since": gone[pair],
            "changed_since": number - written[pair] - gone[pair],
        }
        for pair, number in rows.most_common()
    ]  # fmt: skip


def _different(run: Run, target: Target) -> Iterator[dict[str, Any]]:
    """Yield the first rows that hold something else than was written."""
    listed = 0
    for bounds in _ranges(run):
        for key, new, now in _query(_DIFFERENT_SQL, run, target, bounds, LISTED - listed):
            listed += 1
            yield {"row": key, "written": new, "now": now}


def _query(sql: str, run: Run, target: Target, bounds: Bounds, *more: Any) -> list[tuple[Any, ...]]:
    where, ends = bounds.sql("u.k", target.stored_key)
    place = f"stageapp_place(%s::{target.stored_key})"
    lowest, highest = ([bounds.above] if bounds.above else []), ([bounds.up_to] if bounds.up_to else [])
    with connection.cursor() as cursor:
        cursor.execute(
            sql.format(
                array=target.array, bounds=where, table=target.table, key=target.key, column=target.column,
                value=target.value("t"), first=place if lowest else "NULL", last=place if highest else "NULL",
            ),
            [run.pk, *lowest, *highest, *ends, *more],
        )  # fmt: skip
        return list(cursor.fetchall())


def _ranges(run: Run) -> Iterator[Bounds]:
    """Yield ranges of keys that cover all, at the ends of batches of the main pass."""
    batches = Batch.objects.filter(run=run, direction=Direction.FORWARD, sweep=0).order_by("shard", "number")
    rows, last = 0, ""
    starts = {shard.shard: shard.lower for shard in run.checkpoints.filter(direction=Direction.FORWARD)}
    edges: list[str] = [lower for lower in starts.values() if lower]
    for key, scanned in batches.values_list("last_key", "scanned").iterator():
        rows += scanned
        if rows >= RANGE_ROWS:
            edges.append(key)
            rows = 0
    for edge in sorted(set(edges), key=audit.order):
        yield Bounds(last, edge)
        last = edge
    yield Bounds(last, "")


def _totals(run: Run) -> tuple[int, int, int]:
    """Return the changes by log, by batches and by checkpoints: one statement, so that a batch is in all or in none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT coalesce(sum(coalesce(cardinality(l.keys), cardinality(l.uuids))), 0) FROM "
            "stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id "
            "WHERE b.run_id = %s AND b.direction = 'forward'), "
            "(SELECT coalesce(sum(changed), 0) FROM stageapp_batch WHERE run_id = %s AND direction = 'forward'), "
            "(SELECT coalesce(sum(changed), 0) FROM stageapp_checkpoint WHERE run_id = %s AND direction = 'forward')",
            [run.pk] * 3,
        )
        entries, batches, checkpoints = cursor.fetchone()
    return int(entries), int(batches), int(checkpoints)
