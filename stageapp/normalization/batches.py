"""One batch is one short transaction: rows, audit entries and checkpoint commit together or not at all."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db import connection, transaction

from stageapp.models.normalization import Batch, Checkpoint, Direction, Run, State
from stageapp.normalization import audit, runs
from stageapp.normalization.plan import Change
from stageapp.normalization.targets import Target

MAX_SWEEPS = 20  # against a writer that dirties rows faster than the sweep finds them; verify reports what is left

# A waiting batch must not hold up others, and a stuck one must give its locks back. A target's guard lets the engine's
# own writes pass as they are: a rollback brings old spellings back.
_TIMEOUTS = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '30s'; SET LOCAL stageapp.normalizing = 'on'"


@dataclass(frozen=True)
class Cursor:
    """Where the next batch begins."""

    sweep: int = 0
    position: str = ""
    number: int = 1
    changed_in_sweep: bool = False
    finished: bool = False


@dataclass(frozen=True)
class Result:
    """What one batch did, and where the next one begins."""

    cursor: Cursor
    scanned: int = 0
    changed: int = 0
    skipped: int = 0
    seconds: float = 0.0


class LostClaim(Exception):
    """The run is no longer in the state the worker was working in; the batch has been rolled back."""


def forward(
    run: Run,
    target: Target,
    changes: Sequence[Change],
    size: int,
    *,
    worker: str = "",
    dry: Cursor | None = None,
) -> Result:
    """Change the next `size` rows and commit; with `dry`, begin there, roll back, and leave no trace.

    Raises:
        LostClaim: the run was paused or cancelled.
        django.db.OperationalError: a lock, statement or connection fault; nothing of the batch stays.
    """
    began = time.monotonic()
    with transaction.atomic():
        _bound_waits()
        cursor = dry or _claim(run, State.RUNNING, Direction.FORWARD, worker)
        count, last = _window(target, changes, cursor, size)
        if not count:
            result = Result(_next_sweep(cursor, dry=dry is not None))
        else:
            batch_id = audit.next_batch_id()
            changed = audit.write_map(target, changes, batch_id=batch_id, after=cursor.position, up_to=last)
            after = replace(
                cursor,
                position=last,
                number=cursor.number + 1,
                changed_in_sweep=True,
            )
            result = Result(after, count, changed, 0, time.monotonic() - began)
            if dry is None:  # its numbers may be those of batches that an interrupted run has committed
                _record(run, Direction.FORWARD, batch_id, cursor, last, result)
        if dry is None:
            _save(run, Direction.FORWARD, result)
        else:
            transaction.set_rollback(True)
    return replace(result, seconds=time.monotonic() - began)


def rollback(run: Run, target: Target, *, worker: str) -> Result:
    """Undo the newest forward batch that is not undone yet, and commit.

    Raises: as `forward`.
    """
    began = time.monotonic()
    with transaction.atomic():
        _bound_waits()
        cursor = _claim(run, State.ROLLING_BACK, Direction.ROLLBACK, worker)
        undone = _newest_before(run, cursor.position)
        if undone is None:
            result = Result(replace(cursor, finished=True))
        else:
            batch_id = audit.next_batch_id()
            changed = audit.write_undo(target, undone, batch_id=batch_id)
            after = replace(cursor, position=str(undone.number), number=cursor.number + 1)
            skipped = undone.changed - changed
            result = Result(after, undone.changed, changed, skipped, time.monotonic() - began)
            _record(run, Direction.ROLLBACK, batch_id, cursor, after.position, result)
        _save(run, Direction.ROLLBACK, result)
    return replace(result, seconds=time.monotonic() - began)


def _bound_waits() -> None:
    with connection.cursor() as sql:
        sql.execute(_TIMEOUTS)


def _claim(run: Run, state: State, direction: Direction, worker: str) -> Cursor:
    """Hold the run in its state, lock its checkpoint, and return where it stands.

    The position comes from the database, never from memory: after a cut connection only the database knows
    whether the last batch was committed.
    """
    if not runs.beat(run, state, worker):
        raise LostClaim
    saved, _ = Checkpoint.objects.select_for_update().get_or_create(run=run, direction=direction, shard=0)
    if saved.finished and direction == Direction.FORWARD:  # run again after a verification that failed
        return Cursor(saved.sweep + 1, number=saved.batches + 1)
    return Cursor(saved.sweep, saved.position, saved.batches + 1, saved.changed_in_sweep, saved.finished)


def _window(target: Target, changes: Sequence[Change], cursor: Cursor, size: int) -> tuple[int, str]:
    """Return how many rows the next batch looks at, and the last key among them.

    The main pass walks all rows; a later sweep walks only those that still hold an old value.
    """
    conditions: list[str] = []
    parameters: list[str | list[str]] = []
    if cursor.position:
        conditions.append(f"{target.key} > %s::{target.key_type}")
        parameters.append(cursor.position)
    if cursor.sweep:
        condition, olds = target.holds_any([(change.source, change.old) for change in changes])
        conditions.append(condition)
        parameters += olds
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    with connection.cursor() as sql:
        sql.execute(
            f"""SELECT count(*), (array_agg(k ORDER BY k DESC))[1]::text
                  FROM (SELECT {target.key} AS k FROM {target.table} {where}
                         ORDER BY {target.key} LIMIT %s) AS batch_window""",
            [*parameters, size],
        )
        count, last = sql.fetchone()
    return count, last or ""


def _next_sweep(cursor: Cursor, *, dry: bool) -> Cursor:
    """Return the cursor after a pass that reached the end: another sweep, or the end."""
    over = dry or (cursor.sweep > 0 and not cursor.changed_in_sweep) or cursor.sweep >= MAX_SWEEPS
    if over:
        return replace(cursor, finished=True)
    return Cursor(sweep=cursor.sweep + 1, number=cursor.number)


def _newest_before(run: Run, position: str) -> Batch | None:
    batches = run.batches.filter(direction=Direction.FORWARD, changed__gt=0)
    if position:
        batches = batches.filter(number__lt=int(position))
    return batches.order_by("-number").first()


def _record(run: Run, direction: Direction, batch_id: int, cursor: Cursor, last: str, result: Result) -> None:
    Batch.objects.create(
        id=batch_id, run=run, direction=direction, sweep=cursor.sweep, number=cursor.number, last_key=last,
        scanned=result.scanned, changed=result.changed, seconds=result.seconds,
    )  # fmt: skip


def _save(run: Run, direction: Direction, result: Result) -> None:
    """Write the checkpoint; the caller's transaction holds its lock."""
    saved = Checkpoint.objects.get(run=run, direction=direction, shard=0)
    cursor = result.cursor
    saved.sweep, saved.position, saved.finished = cursor.sweep, cursor.position, cursor.finished
    saved.changed_in_sweep = cursor.changed_in_sweep
    saved.batches = cursor.number - 1
    saved.scanned += result.scanned
    saved.changed += result.changed
    saved.skipped += result.skipped
    saved.save()
