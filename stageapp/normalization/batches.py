"""One batch is one short transaction: rows, audit entries and checkpoint commit together or not at all."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from django.db import connection, transaction

from stageapp.models.batches import Direction
from stageapp.models.normalization import State
from stageapp.normalization import audit, claims
from stageapp.normalization.audit import Bounds, Undone, Written
from stageapp.normalization.change import Change
from stageapp.normalization.claims import Lease
from stageapp.normalization.targets import Target

LOCK_TIMEOUT_MS = 150  # a batch that waits holds up others: rather try again later
WHOLE_LOCK_TIMEOUT_MS = 5_000  # a run in one transaction has no later
CAP_SECONDS = 0.23  # ends a statement: with checkpoint and commit no batch holds its rows longer than 0.25 s
REST = 1.3  # a batch to be undone that is so much larger than ours goes in one, rather than leave a small rest
LAST_CAP_SECONDS = 15.0  # for a single row, which cannot be made smaller; ends before a worker takes it for a hang

# The planner may walk the key's index alone: rows are locked in key order whatever the statistics say.
# A commit need not wait for the disk: rows, entries and checkpoint are lost together, or not at all.
_SETTINGS = {
    "enable_seqscan": "off", "enable_bitmapscan": "off", "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
    "synchronous_commit": "off", "idle_in_transaction_session_timeout": "10s", "stageapp.normalizing": "on",
}  # fmt: skip

_PLACE_SQL = """
SELECT r.state, c.sweep, c.position, c.batches + 1, c.lower, c.upper
  FROM stageapp_checkpoint c JOIN stageapp_run r ON r.id = c.run_id
 WHERE c.id = %s AND c.token = %s AND NOT c.finished FOR UPDATE OF c
"""

_SAVE_SQL = f"""
WITH written AS (
    INSERT INTO stageapp_batch (id, run_id, direction, round, shard, sweep, number, last_key, undoes_id, places,
                                scanned, changed, seconds, committed_at)
    SELECT %(batch)s, c.run_id, c.direction, c.round, c.shard, c.sweep, c.batches + 1, %(last)s, %(undoes)s,
           int8range(%(first_place)s, %(last_place)s, '[]'), %(scanned)s, %(changed)s, %(seconds)s, clock_timestamp()
      FROM stageapp_checkpoint c WHERE c.id = %(checkpoint)s AND %(batch)s IS NOT NULL
)
UPDATE stageapp_checkpoint c
   SET position = %(last)s, finished = %(finished)s, batches = batches + %(committed)s, scanned = scanned + %(scanned)s,
       changed = changed + %(changed)s, skipped = skipped + %(skipped)s, quarantined = quarantined + %(quarantined)s,
       updated_at = clock_timestamp(), {claims.RENEWED}
 WHERE c.id = %(checkpoint)s
"""


@dataclass(frozen=True)
class Cursor:
    """Where the next batch begins, within the bounds of its shard."""

    sweep: int = 0
    position: str = ""
    number: int = 1
    shard: Bounds = field(default_factory=Bounds)
    finished: bool = False


@dataclass(frozen=True)
class Result:
    """What one batch did, and where the next one begins. `seconds` is how long its transaction took."""

    cursor: Cursor
    scanned: int = 0
    changed: int = 0
    skipped: int = 0
    quarantined: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Limits:
    """How large a batch may be: rows, and the seconds of its longest statement."""

    size: int
    cap_seconds: float = CAP_SECONDS


class LostClaim(Exception):
    """The run is in another state, or somebody else has the shard; the batch has been rolled back."""


def forward(lease: Lease, target: Target, changes: Sequence[Change], limits: Limits) -> Result:
    """Change the next rows of the shard and commit.

    Raises:
        LostClaim: the run was paused or cancelled, or the shard taken by somebody else.
        django.db.DatabaseError: a lock, statement, connection or data fault; nothing of the batch stays.
    """
    began = time.monotonic()
    with _transaction(lease.run, limits):
        cursor = _claim(lease, State.RUNNING)
        result, batch_id, written = _change(target, changes, cursor, limits)
        _save(lease, result, batch_id, written, began)
    return replace(result, seconds=time.monotonic() - began)


def dry(run: int, target: Target, changes: Sequence[Change], cursor: Cursor, limits: Limits) -> Result:
    """Do what `forward` does from the cursor on, roll it back, and leave no trace.

    Raises:
        django.db.DatabaseError: as `forward`.
    """
    began = time.monotonic()
    with _transaction(run, limits):
        result, _, _ = _change(target, changes, cursor, limits)
        transaction.set_rollback(True)
    return replace(result, seconds=time.monotonic() - began)


def rollback(lease: Lease, target: Target, scope: dict[str, object], limits: Limits, *, again: bool) -> Result:
    """Undo the next rows of the newest forward batch that is not undone yet, within the shard, and commit.

    `again` tells that an earlier rollback may have undone a part.

    Raises: as `forward`.
    """
    began = time.monotonic()
    with _transaction(lease.run, limits):
        cursor = _claim(lease, State.ROLLING_BACK)
        undone = _next_undone(lease, target, cursor, scope, again=again)
        if undone is None:
            result, batch_id, written = Result(replace(cursor, finished=True)), None, Written(0, None, None)
        else:
            result, batch_id, written = _undo(target, undone, cursor, limits)
        _save(lease, result, batch_id, written, began, undoes=undone.batch if undone and batch_id else None)
    return replace(result, seconds=time.monotonic() - began)


def skip_row(lease: Lease, target: Target, error: str) -> Result:
    """Put the row that the next batch begins with into quarantine, and step over it."""
    with _transaction(lease.run, Limits(1)):
        cursor = _claim(lease, State.RUNNING)
        count, key = _window(target, cursor, 1)
        if count:
            _quarantine(lease, target, key, error)
            result = Result(replace(cursor, position=key), scanned=1, quarantined=1)
        else:  # somebody deleted it, and it was the last one
            result = Result(replace(cursor, finished=True))
        _save(lease, result, None, Written(0, None, None), time.monotonic())
    return result


def _quarantine(lease: Lease, target: Target, key: str, error: str) -> None:
    with connection.cursor() as sql:
        sql.execute(
            "INSERT INTO stageapp_quarantinedrow (run_id, direction, shard, row_key, value, error, created_at) "
            f"SELECT %s, %s, %s, %s, left({target.value('t')}, 1000), left(%s, 2000), now() "
            f"FROM {target.table} t WHERE t.{target.key} = %s::{target.key_type}",
            [lease.run, Direction.FORWARD, lease.shard, key, error, key],
        )


@contextmanager
def _transaction(run: int, limits: Limits) -> Iterator[None]:
    """Begin the batch's transaction: bound its waits, hold its plans, and keep the run from moving meanwhile."""
    cap = f"{round(limits.cap_seconds * 1000)}ms"
    waits = f"{LOCK_TIMEOUT_MS if limits.cap_seconds else WHOLE_LOCK_TIMEOUT_MS}ms"
    settings = _SETTINGS | {"lock_timeout": waits, "statement_timeout": cap}
    with transaction.atomic():
        with connection.cursor() as sql:
            calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
            sql.execute(f"SELECT {calls}, pg_advisory_xact_lock_shared(%s, %s)", [claims.MOVE_LOCK, run])
        yield


def _claim(lease: Lease, state: State) -> Cursor:
    """Lock the checkpoint, if it is still this worker's and the run in this state, and return where it stands.

    The position comes from the database, never from memory: after a cut connection only the database knows
    whether the last batch was committed.
    """
    with connection.cursor() as sql:
        sql.execute(_PLACE_SQL, [lease.checkpoint, lease.token])
        row = sql.fetchone()
    if row is None or row[0] != state:
        raise LostClaim
    return Cursor(row[1], row[2], row[3], Bounds(row[4], row[5]))


def _change(
    target: Target, changes: Sequence[Change], cursor: Cursor, limits: Limits
) -> tuple[Result, int | None, Written]:
    count, last = _window(target, cursor, limits.size)
    if not count:
        return Result(replace(cursor, finished=True)), None, Written(0, None, None)
    batch_id = audit.next_batch_id()
    bounds = Bounds(cursor.position or cursor.shard.above, last)
    written = audit.write_map(target, changes, batch_id=batch_id, bounds=bounds)
    after = replace(cursor, position=last, number=cursor.number + 1)
    return Result(after, count, written.changed), batch_id, written


def _window(target: Target, cursor: Cursor, size: int) -> tuple[int, str]:
    """Return how many rows the next batch looks at, and the last key among them."""
    bounds = Bounds(cursor.position or cursor.shard.above, cursor.shard.up_to)
    where, ends = bounds.sql(f"t.{target.key}", target.key_type)
    keys = f"SELECT t.{target.key} AS k FROM {target.table} t WHERE {where} ORDER BY t.{target.key}"
    with connection.cursor() as sql:
        sql.execute(f"SELECT k::text FROM ({keys} LIMIT 1 OFFSET %s) AS last_of_batch", [*ends, size - 1])
        if (row := sql.fetchone()) is not None:
            return size, str(row[0])
        sql.execute(
            f"SELECT count(*), (array_agg(k ORDER BY k DESC))[1]::text FROM ({keys} LIMIT %s) AS rest", [*ends, size]
        )
        count, last = sql.fetchone()
    return count, last or ""


def _next_undone(
    lease: Lease, target: Target, cursor: Cursor, scope: dict[str, object], *, again: bool
) -> Undone | None:
    """Return what to undo next: the rest of the batch in hand, or the next older one."""
    batch, _, key = cursor.position.partition(":")
    value = scope.get("value")
    bounds = Bounds(key or cursor.shard.above, cursor.shard.up_to)
    rows = 0
    if not key:
        found = audit.newest_to_undo(lease.run, target, cursor.shard, before=batch, scope=scope)
        if found is None:
            return None
        batch, rows = str(found.pk), found.changed
    return Undone(int(batch), bounds, value if isinstance(value, str) else None, again, rows)


def _undo(target: Target, undone: Undone, cursor: Cursor, limits: Limits) -> tuple[Result, int | None, Written]:
    limit = limits.size if undone.rows > REST * limits.size else max(limits.size, undone.rows + 1)
    batch_id = audit.next_batch_id()
    written, count, last = audit.write_undo(target, undone, batch_id=batch_id, limit=limit)
    if not count:  # all of this batch that is in the shard is undone
        return Result(replace(cursor, position=str(undone.batch))), None, written
    whole = count < limit
    after = replace(cursor, position=str(undone.batch) if whole else f"{undone.batch}:{last}", number=cursor.number + 1)
    return Result(after, count, written.changed, count - written.changed), batch_id, written


def _save(
    lease: Lease, result: Result, batch: int | None, written: Written, began: float, *, undoes: int | None = None
) -> None:
    """Write the batch and the checkpoint; the caller's transaction holds its lock."""
    values = {
        "checkpoint": lease.checkpoint, "batch": batch, "last": result.cursor.position, "undoes": undoes,
        "first_place": written.first, "last_place": written.last, "scanned": result.scanned, "changed": result.changed,
        "skipped": result.skipped, "quarantined": result.quarantined, "seconds": time.monotonic() - began,
        "finished": result.cursor.finished, "committed": int(batch is not None),
    }  # fmt: skip
    with connection.cursor() as sql:
        sql.execute(_SAVE_SQL, values)
