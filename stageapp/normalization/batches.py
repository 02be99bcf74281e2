"""A batch is one short transaction: rows, audit entries and checkpoint commit together."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import connection, transaction

from stageapp.audit.log import NO_END, Bounds
from stageapp.infrastructure import locks
from stageapp.infrastructure.locks import Lock
from stageapp.models.batches import Direction
from stageapp.models.normalization import Run, State
from stageapp.normalization import statements
from stageapp.normalization.leases import Lease
from stageapp.normalization.statements import Change
from stageapp.targets.targets import Target

LOCK_TIMEOUT_MS = 150  # a batch that waits holds up others: rather try again later
WHOLE_LOCK_TIMEOUT_MS = 5_000  # a run in one transaction has no later
CAP_SECONDS = (
    0.23  # ends a statement: with checkpoint and commit no batch holds its rows longer than 0.25 s
)
LAST_CAP_SECONDS = (
    15.0  # for a single row, which cannot be made smaller; ends before a worker takes it for a hang
)

# So the planner walks the key's index, and rows are locked in key order. Only in a table of some
# hundred rows, or by statistics that are wrong, it takes another index; then a deadlock with
# another writer costs a second attempt. A commit need not wait for the disk: rows, entries and
# checkpoint are lost together, or not at all.
_SETTINGS = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "synchronous_commit": "off",
    "idle_in_transaction_session_timeout": "10s",
    "stageapp.normalizing": "on",
}
_FORWARD = _SETTINGS | {
    "enable_nestloop": "off"
}  # the map is looked up for a row, not the rows for each pair of it


# Not all of them: our own log refers to the batch, which a dry one does not write.
_DEFERRED = """
SELECT string_agg(DISTINCT format('%%I.%%I', n.nspname, c.conname), ', ')
  FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
 WHERE c.condeferrable AND (c.conrelid = to_regclass(%s) OR c.confrelid = to_regclass(%s))
"""


@dataclass(frozen=True)
class Cursor:
    """The position of the next batch within its shard."""

    sweep: int = 0
    position: str = ""
    number: int = 1
    shard: Bounds = field(default_factory=Bounds)
    finished: bool = False


@dataclass(frozen=True)
class Result:
    """What one batch did, and where the next one starts. `seconds` is its transaction time."""

    cursor: Cursor
    scanned: int = 0
    changed: int = 0
    skipped: int = 0
    quarantined: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Limits:
    """Limits of a batch: rows, and seconds per statement."""

    size: int
    cap_seconds: float = CAP_SECONDS


class LeaseLost(Exception):
    """The run is in another state, or somebody else has the shard; the batch has been rolled
    back.
    """


def forward(
    lease: Lease,
    target: Target,
    changes: Sequence[Change],
    limits: Limits,
    apart: Sequence[str] = (),
) -> Result:
    """Change the next rows of the shard and commit, but those whose keys are in `apart`.

    Raises:
        LeaseLost: the run was paused or cancelled, or the shard taken by somebody else.
        django.db.DatabaseError: a lock, statement, connection or data fault; nothing of the batch
            stays.
    """
    parameters = _map(changes, apart)
    return _commit(
        lease, State.RUNNING, statements.forward(target), limits, parameters, settings=_FORWARD
    )


def dry(
    run: int, target: Target, changes: Sequence[Change], cursor: Cursor, limits: Limits
) -> Result:
    """Do what `forward` does from the cursor on, then roll it back without a trace.

    Raises:
        django.db.DatabaseError: as `forward`.
    """
    began = time.monotonic()
    with transaction.atomic():
        parameters = _place(cursor) | _map(changes)
        result = _exchange(run, statements.dry(target), limits, parameters, _FORWARD)
        # Do now what the target's deferred constraints and triggers do at a commit.
        with connection.cursor() as sql:
            sql.execute(_DEFERRED, [target.table, target.table])
            (names,) = sql.fetchone()
            if names:
                sql.execute(f"SET CONSTRAINTS {names} IMMEDIATE")
        transaction.set_rollback(True)
    assert result is not None
    return replace(result, seconds=time.monotonic() - began)


def try_no_row(run: int, target: Target) -> None:
    """Run a batch on zero rows and roll it back: an error here is not caused by a row.

    Raises: as `forward`.
    """
    dry(run, target, [], Cursor(), Limits(0))


def next_row(target: Target, cursor: Cursor) -> tuple[Result, str | None, str | None]:
    """Return the step over the first row at the cursor, with its key and its value."""
    with connection.cursor() as sql:
        sql.execute(statements.next_row(target), _place(cursor) | {"size": 1})
        *step, key, value = sql.fetchone()
    result = _result(step)
    return replace(result, quarantined=result.scanned), key, value


def _place(cursor: Cursor) -> dict[str, Any]:
    return {
        "sweep": cursor.sweep,
        "position": cursor.position,
        "number": cursor.number,
        "lower": cursor.shard.above,
        "upper": cursor.shard.up_to,
    }


def rollback(
    lease: Lease, target: Target, scope: dict[str, object], limits: Limits, *, again: bool
) -> Result:
    """Undo and commit the next rows of the shard's newest forward batch that is not undone yet.

    `again` means that an earlier rollback may have undone some of them.

    Raises: as `forward`.
    """
    statement = statements.rollback(target, again=again)
    return _commit(lease, State.ROLLING_BACK, statement, limits, _scoped(lease, scope))


def skip_row(lease: Lease, target: Target, error: str) -> Result:
    """Quarantine the first row of the next batch, and skip it.

    The shard is finished if that row was the last one and has been deleted.

    Raises: as `forward`.
    """
    result = _commit(lease, State.RUNNING, statements.skip_row(target), Limits(1), {"error": error})
    return replace(result, quarantined=result.scanned)


def skip_undoing(
    lease: Lease,
    target: Target,
    scope: dict[str, object],
    error: str,
    *,
    again: bool,
) -> Result:
    """Quarantine the first row of the next rollback batch, and skip it.

    Raises: as `forward`.
    """
    statement = statements.skip_undoing(target, again=again)
    parameters = _scoped(lease, scope) | {"error": error}
    result = _commit(lease, State.ROLLING_BACK, statement, Limits(1), parameters)
    return replace(result, quarantined=result.scanned)


def _scoped(lease: Lease, scope: dict[str, object]) -> dict[str, object]:
    batches = scope.get("batches")
    first, until = batches if isinstance(batches, list) else (0, NO_END)
    return {"run": lease.run, "first": first, "until": until, "value": scope.get("value")}


def keeps_its_value(target: Target, key: str, held: str, wanted: str) -> bool:
    """Whether the row keeps its value after our own write of another one; changes nothing.

    Raises: as `forward`.
    """
    with transaction.atomic(), connection.cursor() as sql:
        settings = _FORWARD | {
            "lock_timeout": f"{LOCK_TIMEOUT_MS}ms",
            "statement_timeout": f"{round(LAST_CAP_SECONDS * 1000)}ms",
        }
        sql.execute(f"SELECT {_calls(settings)}")
        this = f"t.{target.key} = %s::{target.key_type} AND {target.logged('t')} = %s"
        sql.execute(
            f"SELECT FROM {target.table} t WHERE {this} FOR UPDATE SKIP LOCKED", [key, held]
        )
        ours = bool(sql.rowcount)
        touch = f", {target.touched} = now()" if target.touched else ""
        sql.execute(
            f"UPDATE {target.table} AS t SET {target.column} = %s{touch} WHERE {this}",
            [wanted, key, held],
        )
        sql.execute(f"SELECT FROM {target.table} t WHERE {this}", [key, held])
        kept = bool(sql.rowcount)
        transaction.set_rollback(True)
    return ours and kept


def set_apart(
    run: Run,
    target: Target,
    direction: Direction,
    round: int,
    row: tuple[str, str],
    error: str,
) -> bool:
    """Quarantine a row (key, value) that no lease covers; return whether it is new there."""
    with transaction.atomic(), connection.cursor() as sql:
        # Of two workers the second sees what the first has put there.
        Run.objects.select_for_update().get(pk=run.pk)
        sql.execute(
            statements.set_apart(target),
            {
                "run": run.pk,
                "direction": direction,
                "round": round,
                "state": run.state,
                "key": row[0],
                "value": row[1],
                "error": error,
            },
        )
        return bool(sql.rowcount)


def _map(changes: Sequence[Change], apart: Sequence[str] = ()) -> dict[str, list[str]]:
    sources, olds, news = ([change[i] for change in changes] for i in range(3))
    return {"sources": sources, "olds": olds, "news": news, "apart": list(apart)}


def _commit(
    lease: Lease,
    state: State,
    statement: str,
    limits: Limits,
    parameters: Mapping[str, Any],
    *,
    settings: Mapping[str, str] = _SETTINGS,
) -> Result:
    began = time.monotonic()
    held = {"checkpoint": lease.checkpoint, "token": lease.token, "state": state}
    result = _exchange(lease.run, statement, limits, {**parameters, **held}, settings)
    if result is None:
        raise LeaseLost
    return replace(result, seconds=time.monotonic() - began)


def _exchange(
    run: int,
    statement: str,
    limits: Limits,
    parameters: Mapping[str, Any],
    settings: Mapping[str, str],
) -> Result | None:
    """Send a batch as one message and return its result; None if this worker lost the shard.

    Outside a transaction, PostgreSQL treats the message as one: an error undoes all of it. The
    first statement bounds the second one's waits, pins its plans, and blocks changes of the run's
    state.
    """
    cap = f"{round(limits.cap_seconds * 1000)}ms"
    waits = f"{LOCK_TIMEOUT_MS if limits.cap_seconds else WHOLE_LOCK_TIMEOUT_MS}ms"
    bounded = {**settings, "lock_timeout": waits, "statement_timeout": cap}
    with connection.cursor() as sql:
        sql.execute(
            f"SELECT {_calls(bounded)}, {locks.share(Lock.RUN, run)};\n{statement}",
            {**parameters, "size": limits.size},
        )
        sql.nextset()
        row = sql.fetchone()
    return None if row is None else _result(row)


def _result(row: Sequence[Any]) -> Result:
    sweep, position, number, above, up_to, finished, scanned, changed, skipped = row
    return Result(
        Cursor(sweep, position, number, Bounds(above, up_to), finished), scanned, changed, skipped
    )


def _calls(settings: Mapping[str, str]) -> str:
    """Return the SQL that applies the settings until the transaction ends."""
    return ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


# How large the next batch is: towards a time target, growing slowly and shrinking at once.

LEAST_SECONDS, MOST_SECONDS = 0.005, 0.2  # of a time target: a batch's statements end at 0.23 s
SMALLEST = 50
LARGEST = 20_000
LARGEST_SWEEP = 200_000
GROWTH = 1.2
SHRINK = 0.75


@dataclass
class Pace:
    """The batch size in rows. `target_seconds` is the intended duration of one transaction."""

    target_seconds: float
    size: int = 2000
    largest: int = LARGEST

    def after(self, seconds: float, rows: int) -> None:
        """Adapt the size after a committed batch."""
        if rows < self.size or seconds <= 0:
            return  # a short batch at the end of a pass says nothing
        factor = min(GROWTH, self.target_seconds / seconds)
        self.size = max(SMALLEST, min(self.largest, int(self.size * factor)))

    def after_timeout(self) -> None:
        """Shrink after a batch that timed out, because the next one of this size would too."""
        self.size = max(SMALLEST, int(self.size * SHRINK))

    def after_fault(self) -> None:
        """Halve after a batch that failed."""
        self.size = max(1, self.size // 2)
