"""Verify a run: compare rows with the audit log, and the column with the vocabulary.

It proceeds by key range, so that no statement is long and progress is visible. A finished
verification is stored with its inputs; `proof` decides whether it still proves anything.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.utils import timezone

from stageapp.audit import log, proof
from stageapp.audit.log import Bounds
from stageapp.models.batches import Batch, Direction
from stageapp.models.normalization import Run
from stageapp.models.proofs import Verification
from stageapp.models.recorded import require_reason
from stageapp.normalization import plan as plans
from stageapp.targets import columns
from stageapp.targets.errors import IllegalMove
from stageapp.targets.targets import Target, resolve
from stageapp.vocabulary import snapshot
from stageapp.vocabulary.snapshot import Snapshot

RANGE_ROWS = 200_000  # rows of a range: short statements, which hold back no vacuum
LISTED = 1_000  # keys of rows that changed since, in a full comparison

Report = Callable[[int], object]  # takes the rows of the column that were compared so far

# What the run wrote last into each row of a range, by a batch or by the rollback of one.
_NEWEST = """
WITH newest AS (
    SELECT DISTINCT ON (u._k) u._k, b.direction AS _way, l.old AS _old, l.new AS _new
      FROM stageapp_batch b JOIN stageapp_normalizationlog l ON l.batch_id = b.id,
           unnest(l.{array}) AS u(_k)
     WHERE b.run_id = %s AND b.places && int8range({first}, {last}, '[]') AND {bounds}
     ORDER BY u._k, l.id DESC
)
"""
_COMPARE_SQL = (
    _NEWEST
    + """
SELECT n._way, n._old, n._new, {source}, count(*), count(*) FILTER (WHERE t.{key} IS NOT NULL AND {value} = n._new),
       count(*) FILTER (WHERE t.{key} IS NULL),
       count(*) FILTER (WHERE {value} = n._new AND t.{key} IS NOT NULL AND {rows})
  FROM newest n LEFT JOIN {table} t ON t.{key} = n._k
 GROUP BY 1, 2, 3, 4
"""
)
_DIFFERENT_SQL = (
    _NEWEST
    + """
SELECT n._k::text, n._new, t.{column} FROM newest n JOIN {table} t ON t.{key} = n._k
 WHERE n._way = 'forward' AND {value} IS DISTINCT FROM n._new ORDER BY n._k LIMIT %s
"""
)
_HELD_SQL = (
    "SELECT {source}, t.{column}, count(*) FROM {table} t WHERE {rows} AND {bounds} GROUP BY 1, 2"
)

_TOTALS_SQL = """
SELECT (SELECT coalesce(sum(coalesce(cardinality(l.keys), cardinality(l.uuids))), 0)
          FROM stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id
         WHERE b.run_id = %(run)s AND b.direction = %(way)s),
       (SELECT coalesce(sum(changed), 0) FROM stageapp_batch WHERE run_id = %(run)s AND direction = %(way)s),
       (SELECT coalesce(sum(changed), 0) FROM stageapp_checkpoint WHERE run_id = %(run)s AND direction = %(way)s)
"""


@dataclass
class _Tally:
    """Running totals over all ranges."""

    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    as_written: Counter[tuple[str, str]] = field(default_factory=Counter)
    deleted: Counter[tuple[str, str]] = field(default_factory=Counter)
    given_back: Counter[tuple[str, str]] = field(
        default_factory=Counter
    )  # (source, value), held now
    undone: int = 0  # rows to which a rollback was the last to write
    held: Counter[tuple[str, str | None]] = field(default_factory=Counter)  # (source, value)


def verify(
    run: Run,
    *,
    actor: str,
    reason: str,
    by_run: bool = False,
    full: bool = False,
    report: Report = lambda rows: None,
) -> tuple[Verification, list[dict[str, Any]]]:
    """Compare, and keep what was found; return it with the first rows that changed since, if
    `full`.

    Raises:
        IllegalMove: the reason is empty.
        TargetError: the target is not there any more, or its rows are not what we take them for.
    """
    why = require_reason(reason, IllegalMove)
    target = resolve(run.target)
    columns.require_plain(target)
    seen = proof.see(target)  # before the rows: what is committed meanwhile withdraws it
    began, meaning_of = timezone.now(), snapshot.load()
    results = compare(run, target, meaning_of, report)
    different: list[dict[str, Any]] = []
    for bounds in _ranges(run) if full else ():
        rows = _query(_DIFFERENT_SQL, run, target, bounds, LISTED - len(different))
        different += [{"row": key, "written": new, "now": now} for key, new, now in rows]
    kept = Verification.objects.create(
        run=run,
        by_run=by_run,
        actor=actor,
        reason=why,
        started_at=began,
        ended_at=timezone.now(),
        vocabulary_version=meaning_of.version,
        options=proof.options(target),
        last_batch=seen.last_batch,
        batches=seen.batches,
        writes=seen.writes,
        ok=results["ok"],
        found=results,
    )
    return kept, different


def compare(
    run: Run, target: Target, meaning_of: Snapshot, report: Report = lambda rows: None
) -> dict[str, Any]:
    """Compare rows, audit log and vocabulary for a run in any state; the verdict is under `ok`.

    It is not ok if the numbers of entries, batches and checkpoints differ (then `agrees` is False
    too), or if rows still have a known spelling: one of the plan (`rows_left`), one that is not in
    the plan (`rows_unplanned`), or one restored by a rollback (`rows_given_back`). Rows changed or
    deleted after the run are counted, but are not an error. Quarantined rows are counted
    separately while they have a known spelling.
    """
    tally = _Tally()
    for bounds in _ranges(run):
        _count(tally, run, target, bounds)
        report(sum(tally.held.values()))
    entries, by_batches, by_checkpoints = _totals(run, Direction.FORWARD)
    back = _totals(run, Direction.ROLLBACK)
    agrees = entries == by_batches == by_checkpoints and len(set(back)) == 1
    known = _known(run, target, meaning_of, tally)
    rows = sum(tally.held.values())
    return {
        "ok": agrees
        and not (known["rows_left"] or known["rows_unplanned"] or known["rows_given_back"]),
        "agrees": agrees,
        "rows": rows,
        "rows_arrived": max(0, rows - run.plan.rows_total),
        **known,
        "entries": entries,
        "changed_by_batches": by_batches,
        "undone": back[0],
        "rows_undone": tally.undone,
        "rows_as_written": sum(tally.as_written.values()),
        "rows_changed_since": sum((tally.pairs - tally.as_written - tally.deleted).values()),
        "rows_deleted_since": sum(tally.deleted.values()),
        "pairs": [
            {
                "old": pair[0],
                "new": pair[1],
                "rows": changed,
                "as_written": tally.as_written[pair],
                "deleted_since": tally.deleted[pair],
                "changed_since": changed - tally.as_written[pair] - tally.deleted[pair],
            }
            for pair, changed in tally.pairs.most_common()
        ],
    }


def rows_left(run: Run, target: Target) -> int:
    """Return how many rows still have a spelling of the plan, except quarantined ones."""
    condition, parameters = _left(run, target)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {target.table} WHERE {condition}", parameters)
        return int(cursor.fetchone()[0])


def first_left(run: Run, target: Target, *, limit: int) -> list[tuple[str, str, str]]:
    """Return (key, source, value) of the first rows left."""
    condition, parameters = _left(run, target)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {target.key}::text, {target.source()}, {target.column} FROM {target.table} "
            f"WHERE {condition} ORDER BY {target.table}.{target.key} LIMIT %s",
            [*parameters, limit],
        )
        return list(cursor.fetchall())


def set_apart(run: Run) -> list[str]:
    """Return the keys of the quarantined rows."""
    apart = run.quarantine.filter(direction=Direction.FORWARD)
    return list(apart.values_list("row_key", flat=True))


def _left(run: Run, target: Target) -> tuple[str, list[Any]]:
    condition, olds = target.holds_any(
        [(change.source, change.old) for change in plans.changes(run.plan)]
    )
    return f"{condition} AND {target.key} <> ALL(%s::{target.stored_key}[])", [
        *olds,
        set_apart(run),
    ]


def _count(tally: _Tally, run: Run, target: Target, bounds: Bounds) -> None:
    for way, old, new, source, rows, as_written, deleted, held in _query(
        _COMPARE_SQL, run, target, bounds
    ):
        if way == Direction.FORWARD:
            tally.pairs[old, new] += rows
            tally.as_written[old, new] += as_written
            tally.deleted[old, new] += deleted
        else:
            tally.undone += rows
            tally.given_back[source, new] += held
    where, ends = bounds.sql(f"t.{target.key}", target.key_type)
    sql = _HELD_SQL.format(
        source=target.source("t"),
        column=target.column,
        table=target.table,
        rows=target.rows_of("t"),
        bounds=where,
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, ends)
        for source, value, rows in cursor.fetchall():
            tally.held[source, value] += rows


def _known(run: Run, target: Target, meaning_of: Snapshot, tally: _Tally) -> dict[str, int]:
    """Return row counts by reason: remaining known spellings, unknown values and NULL."""
    canonical = set(target.canonical(meaning_of.labels))
    planned = {(change.source, change.old) for change in plans.changes(run.plan)}
    apart = Counter[tuple[str, str]]()
    if keys := set_apart(run):
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {target.source('t')}, t.{target.column}, count(*) FROM {target.table} t "
                f"WHERE {target.rows_of('t')} AND t.{target.key} = ANY(%s::{target.stored_key}[]) "
                "GROUP BY 1, 2",
                [keys],
            )
            apart.update({(source, value): rows for source, value, rows in cursor.fetchall()})
    counts = Counter[str]()
    for (source, value), rows in tally.held.items():
        if value is None:
            counts["rows_null"] += rows
        elif value not in canonical and meaning_of.normalize(value, source).stage is None:
            counts["rows_unknown"] += rows
        elif value not in canonical:
            back = min(rows, tally.given_back[source, value])
            kept = min(rows - back, apart[source, value])
            counts["rows_given_back"] += back
            counts["quarantined"] += kept
            counts["rows_left" if (source, value) in planned else "rows_unplanned"] += (
                rows - back - kept
            )
    names = (
        "rows_left",
        "rows_unplanned",
        "rows_given_back",
        "quarantined",
        "rows_unknown",
        "rows_null",
    )
    return {name: counts[name] for name in names}


def _query(sql: str, run: Run, target: Target, bounds: Bounds, *more: Any) -> list[tuple[Any, ...]]:
    where, ends = bounds.sql("u._k", target.stored_key)
    place = f"stageapp_place(%s::{target.stored_key})"
    lowest, highest = (
        ([bounds.above] if bounds.above else []),
        ([bounds.up_to] if bounds.up_to else []),
    )
    statement = sql.format(
        array=target.array,
        bounds=where,
        table=target.table,
        key=target.key,
        column=target.column,
        rows=target.rows_of("t"),
        source=target.source("t"),
        value=target.logged("t"),
        first=place if lowest else "NULL",
        last=place if highest else "NULL",
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [run.pk, *lowest, *highest, *ends, *more])
        return list(cursor.fetchall())


def _ranges(run: Run) -> Iterator[Bounds]:
    """Yield key ranges that cover the table, split at the ends of main-pass batches."""
    batches = Batch.objects.filter(run=run, direction=Direction.FORWARD, sweep=0).order_by(
        "shard", "number"
    )
    rows, last = 0, ""
    starts = {
        shard.shard: shard.lower for shard in run.checkpoints.filter(direction=Direction.FORWARD)
    }
    edges: list[str] = [lower for lower in starts.values() if lower]
    for key, scanned in batches.values_list("last_key", "scanned").iterator():
        rows += scanned
        if rows >= RANGE_ROWS:
            edges.append(key)
            rows = 0
    for edge in sorted(set(edges), key=log.order):
        yield Bounds(last, edge)
        last = edge
    yield Bounds(last, "")


def _totals(run: Run, way: Direction) -> tuple[int, int, int]:
    """Return the changes by log, batches and checkpoints, from one statement for consistency."""
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS_SQL, {"run": run.pk, "way": way})
        entries, batches, checkpoints = cursor.fetchone()
    return int(entries), int(batches), int(checkpoints)
