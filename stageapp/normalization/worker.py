"""Advance a run: batch after batch, until it is over, told to stop, or out of time.

Foreground commands and Celery tasks both come here.
"""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

from django.db import DatabaseError, OperationalError, connection

from stageapp import conf, events
from stageapp.models.normalization import Direction, Run, State
from stageapp.normalization import batches, runs, targets, verify
from stageapp.normalization import plan as plans
from stageapp.normalization.batches import Cursor, LostClaim, Result
from stageapp.normalization.claims import Claim
from stageapp.normalization.errors import IllegalMove
from stageapp.normalization.pacing import Pace
from stageapp.normalization.throttle import WAIT_SECONDS, Throttle

MAX_ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.2  # doubled with each attempt

_T = TypeVar("_T")
Report = Callable[[Result], None]


def advance(run: Run, *, budget_seconds: float | None = None, report: Report = lambda _: None) -> Run:
    """Work on the run until nothing is left to do, or for about `budget_seconds`; return it as it stands.

    Raises:
        RunBusy: another worker holds the run.
        django.db.DatabaseError: a batch failed beyond its retries, or the database stayed away through them.
    """
    work = _Work(run, report)
    deadline = time.monotonic() + budget_seconds if budget_seconds is not None else None
    try:
        while _step(work) and (deadline is None or time.monotonic() < deadline):
            time.sleep(conf.batch_pause_seconds())
    except DatabaseError as error:
        _give_up(run, error)
        raise
    finally:
        work.throttle.close()
        work.claim.release()
    return run


def dry_run(run: Run, *, report: Report = lambda _: None) -> dict[str, int]:
    """Do what a run would do, each batch rolled back; return the rows scanned and the rows that would change.

    Raises:
        django.db.DatabaseError: a batch failed beyond its retries.
    """
    work = _Work(run, report)
    total = {"scanned": 0, "would_change": 0}
    cursor = Cursor()
    while not cursor.finished:
        result = work.batch(partial(_dry_batch, work, cursor))
        cursor = result.cursor
        total["scanned"] += result.scanned
        total["would_change"] += result.changed
    return total


def name() -> str:
    """Return what a run shows as its worker."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass
class _Work:
    """A run in a worker's hands. Target and map are read once: a plan is frozen."""

    run: Run
    report: Report

    def __post_init__(self) -> None:
        self.claim = Claim(self.run)
        self.pace = Pace(conf.batch_seconds())
        self.throttle = Throttle(self.run)

    @cached_property
    def target(self) -> targets.Target:
        return targets.resolve(self.run.target)

    @cached_property
    def changes(self) -> list[plans.Change]:
        return plans.changes(self.run.plan)

    def batch(self, write: Callable[[], Result]) -> Result:
        """Commit one batch, learn its size from it, and report it."""
        result = _with_retries(self, write)
        self.pace.after(result.seconds, result.scanned)
        self.report(result)
        return result

    def held(self, write: Callable[[], Result]) -> Result:
        """Commit one batch under the claim; a retry on a new connection takes the claim anew."""

        def attempt() -> Result:
            self.claim.hold()
            return write()

        return self.batch(attempt)


def _step(work: _Work) -> bool:
    """Do one thing the run's state asks for; return whether there may be more to do."""
    _with_retries(work, lambda: _look(work))
    try:
        match State(work.run.state):
            case State.RUNNING | State.ROLLING_BACK if _held_back(work):
                return True  # the next step sees at once whether a person pauses or cancels it meanwhile
            case State.RUNNING:
                return _forward(work)
            case State.ROLLING_BACK:
                return _backward(work)
            case State.PAUSING:
                runs.move(work.run, State.PAUSED, actor=name(), reason="the batch in hand is done")
            case State.VERIFYING:
                _verify(work.run)
    except (LostClaim, IllegalMove):
        return True  # a person moved it meanwhile; the next step sees where
    return False


def _dry_batch(work: _Work, cursor: Cursor) -> Result:
    return batches.forward(work.run, work.target, work.changes, work.pace.size, dry=cursor)


def _look(work: _Work) -> None:
    work.claim.hold()
    work.run.refresh_from_db()


def _held_back(work: _Work) -> bool:
    """Wait a moment if the database is not well; return whether that was so."""
    hold = work.throttle.look()
    if hold is None:
        return False
    began = time.monotonic()
    _with_retries(work, lambda: runs.beat(work.run, State(work.run.state), name()))
    time.sleep(WAIT_SECONDS)
    work.throttle.waited(hold, time.monotonic() - began)
    return True


def _forward(work: _Work) -> bool:
    run = work.run
    result = work.held(lambda: batches.forward(run, work.target, work.changes, work.pace.size, worker=name()))
    if result.cursor.finished:
        runs.move(run, State.VERIFYING, actor=name(), reason="the sweep found nothing more to change")
    return True


def _backward(work: _Work) -> bool:
    run = work.run
    if not work.held(lambda: batches.rollback(run, work.target, worker=name())).cursor.finished:
        return True
    skipped = run.checkpoints.get(direction=Direction.ROLLBACK).skipped
    runs.move(run, State.ROLLED_BACK, actor=name(), reason=f"undone; {skipped} rows changed since were left")
    return False


def _verify(run: Run) -> None:
    run.verification = verify.verify(run)
    run.save(update_fields=["verification"])
    if run.verification["ok"]:
        runs.move(run, State.DONE, actor=name(), reason="rows and audit log agree")
    else:
        runs.fail(run, _why_not(run.verification), actor=name())


def _why_not(found: dict[str, Any]) -> str:
    if found["entries"] == found["changed_by_batches"]:
        return f"{found['rows_left']} rows hold spellings of the plan again; run it again to sweep them."
    return (
        f"The audit log has {found['entries']} entries, the batches say {found['changed_by_batches']}. "
        "Do not run anything further on this target until that is understood."
    )


def _with_retries(work: _Work, attempt: Callable[[], _T]) -> _T:
    """Call until it succeeds; after a fault that may pass wait, and begin again with a smaller batch.

    Raises:
        django.db.OperationalError: it was there at every attempt.
        django.db.DatabaseError: the database refuses the data itself, which another attempt would not change.
    """
    for number in range(1, MAX_ATTEMPTS):
        session = connection.connection
        try:
            return attempt()
        except OperationalError as error:
            events.batch_retried(run=work.run.pk, error=str(error), attempt=number, batch_rows=work.pace.size)
            _drop_dead_connection()
            if connection.connection is session:  # a database that was away does not mean that the batch was too large
                work.pace.after_fault()
            time.sleep(FIRST_WAIT_SECONDS * 2 ** (number - 1))
    return attempt()


def _drop_dead_connection() -> None:
    session = connection.connection
    if session is None or session.broken or session.closed:
        connection.close()


def _give_up(run: Run, error: DatabaseError) -> None:
    """Record the failure, unless the database is away: then whoever finds the run forgotten goes on."""
    with suppress(DatabaseError, IllegalMove):
        _drop_dead_connection()
        runs.fail(run, f"gave up: {error}".strip(), actor=name())
