"""One batch is one short transaction: rows, audit entries and checkpoint commit together or not at all."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import connection, transaction

from stageapp import locks
from stageapp.locks import Lock
from stageapp.models.normalization import State
from stageapp.normalization import statements
from stageapp.normalization.audit import NO_END, Bounds
from stageapp.normalization.change import Change
from stageapp.normalization.claims import Lease
from stageapp.normalization.targets import Target

LOCK_TIMEOUT_MS = 150  # a batch that waits holds up others: rather try again later
WHOLE_LOCK_TIMEOUT_MS = 5_000  # a run in one transaction has no later
CAP_SECONDS = 0.23  # ends a statement: with checkpoint and commit no batch holds its rows longer than 0.25 s
LAST_CAP_SECONDS = 15.0  # for a single row, which cannot be made smaller; ends before a worker takes it for a hang

# So the planner walks the key's index, and rows are locked in key order. Only in a table of some hundred rows, or by
# statistics that are wrong, it takes another index; then a deadlock with another writer costs a second attempt.
# A commit need not wait for the disk: rows, entries and checkpoint are lost together, or not at all.
_SETTINGS = {
    "enable_seqscan": "off", "enable_bitmapscan": "off", "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0", "jit": "off",
    "synchronous_commit": "off", "idle_in_transaction_session_timeout": "10s", "stageapp.normalizing": "on",
}  # fmt: skip
_FORWARD = _SETTINGS | {"enable_nestloop": "off"}  # the map is looked up for a row, not the rows for each pair of it


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
    return _commit(lease, State.RUNNING, statements.forward(target), limits, _map(changes), settings=_FORWARD)


def dry(run: int, target: Target, changes: Sequence[Change], cursor: Cursor, limits: Limits) -> Result:
    """Do what `forward` does from the cursor on, roll it back, and leave no trace.

    Raises:
        django.db.DatabaseError: as `forward`.
    """
    place = {
        "sweep": cursor.sweep, "position": cursor.position, "number": cursor.number, "lower": cursor.shard.above,
        "upper": cursor.shard.up_to,
    }  # fmt: skip
    began = time.monotonic()
    with transaction.atomic():
        result = _exchange(run, statements.dry(target), limits, place | _map(changes), _FORWARD)
        transaction.set_rollback(True)
    assert result is not None
    return replace(result, seconds=time.monotonic() - began)


def rollback(lease: Lease, target: Target, scope: dict[str, object], limits: Limits, *, again: bool) -> Result:
    """Undo the next rows of the newest forward batch that is not undone yet, within the shard, and commit.

    `again` tells that an earlier rollback may have undone a part.

    Raises: as `forward`.
    """
    batches = scope.get("batches")
    first, until = batches if isinstance(batches, list) else (0, NO_END)
    scoped = {"run": lease.run, "first": first, "until": until, "value": scope.get("value")}
    return _commit(lease, State.ROLLING_BACK, statements.rollback(target, again=again), limits, scoped)


def skip_row(lease: Lease, target: Target, error: str) -> Result:
    """Put the row that the next batch begins with into quarantine, and step over it.

    The shard is finished if somebody deleted that row meanwhile, and it was the last one.

    Raises: as `forward`.
    """
    result = _commit(lease, State.RUNNING, statements.skip_row(target), Limits(1), {"error": error})
    return replace(result, quarantined=result.scanned)


def _map(changes: Sequence[Change]) -> dict[str, list[str]]:
    sources, olds, news = ([change[i] for change in changes] for i in range(3))
    return {"sources": sources, "olds": olds, "news": news}


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
        raise LostClaim
    return replace(result, seconds=time.monotonic() - began)


def _exchange(
    run: int, statement: str, limits: Limits, parameters: Mapping[str, Any], settings: Mapping[str, str]
) -> Result | None:
    """Send a batch in one message, and return what it did; None if the shard is not this worker's any more.

    Outside of a transaction PostgreSQL makes one of the message: an error undoes all of it. The first statement bounds
    the waits of the second, holds its plans, and keeps the run from moving meanwhile.
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
    if row is None:
        return None
    sweep, position, number, above, up_to, finished, scanned, changed, skipped = row
    return Result(Cursor(sweep, position, number, Bounds(above, up_to), finished), scanned, changed, skipped)


def _calls(settings: Mapping[str, str]) -> str:
    """Return the SQL that sets each of them until the transaction ends."""
    return ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
