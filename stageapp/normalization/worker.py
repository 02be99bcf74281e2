"""Advance a run: batch after batch, until it is over, told to stop, or out of time.

Foreground commands and Celery tasks both come here. One worker holds a run at a time, by an advisory lock of
its database session, which goes away with the process however it dies.
"""

import os
import socket
import time
from collections.abc import Callable
from typing import Any

from django.db import OperationalError, connection

from stageapp import conf, events
from stageapp.models.normalization import Direction, Run, State
from stageapp.normalization import batches, runs, verify
from stageapp.normalization import plan as plans
from stageapp.normalization.batches import Cursor, LostClaim, Result
from stageapp.normalization.errors import RunBusy
from stageapp.normalization.pacing import Pace
from stageapp.normalization.targets import resolve

MAX_ATTEMPTS = 6
FIRST_WAIT_SECONDS = 0.2  # doubled with each attempt
_LOCK_CLASS = 7306  # first half of the advisory lock's key; the run's id is the second

Report = Callable[[Result], None]


def advance(run: Run, *, budget_seconds: float | None = None, report: Report = lambda _: None) -> Run:
    """Work on the run until nothing is left to do, or for about `budget_seconds`; return it as it stands.

    Raises:
        RunBusy: another worker holds the run.
        django.db.OperationalError: the database stayed away through all attempts.
    """
    holder = _Holder(run)
    deadline = time.monotonic() + budget_seconds if budget_seconds is not None else None
    pace = Pace(conf.batch_seconds())
    try:
        while _step(run, holder, pace, report) and (deadline is None or time.monotonic() < deadline):
            time.sleep(conf.batch_pause_seconds())
    finally:
        holder.release()
    return run


def dry_run(run: Run, *, report: Report = lambda _: None) -> dict[str, int]:
    """Do what a run would do, each batch rolled back; return the rows scanned and the rows that would change."""
    target, pairs, pace = resolve(run.target), plans.changes(run.plan), Pace(conf.batch_seconds())
    total = {"scanned": 0, "would_change": 0}
    cursor = Cursor()
    while not cursor.finished:
        result = batches.forward(run, target, pairs, pace.size, worker="dry run", dry=cursor)
        pace.after(result.seconds, result.scanned)
        cursor = result.cursor
        total["scanned"] += result.scanned
        total["would_change"] += result.changed
        report(result)
    return total


def name() -> str:
    """Return what a run shows as its worker."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _step(run: Run, holder: "_Holder", pace: Pace, report: Report) -> bool:
    """Do one thing the run's state asks for; return whether there may be more to do."""
    _with_retries(run, lambda: _look(run, holder), pace)
    match State(run.state):
        case State.RUNNING:
            return _batch(run, pace, report, _forward)
        case State.ROLLING_BACK:
            return _batch(run, pace, report, _backward)
        case State.PAUSING:
            runs.move(run, State.PAUSED, actor=name(), reason="the batch in hand is done")
        case State.VERIFYING:
            _verify(run)
    return False


def _look(run: Run, holder: "_Holder") -> None:
    holder.hold()
    run.refresh_from_db()


def _batch(run: Run, pace: Pace, report: Report, step: Callable[[Run, Pace], Result]) -> bool:
    try:
        result = _with_retries(run, lambda: step(run, pace), pace)
    except LostClaim:
        return True  # somebody paused or cancelled it; the next step sees which
    pace.after(result.seconds, result.scanned)
    report(result)
    if not result.cursor.finished:
        return True
    if run.state == State.ROLLING_BACK:
        skipped = run.checkpoints.get(direction=Direction.ROLLBACK).skipped
        runs.move(run, State.ROLLED_BACK, actor=name(), reason=f"undone; {skipped} rows changed since were left")
        return False
    runs.move(run, State.VERIFYING, actor=name(), reason="the sweep found nothing more to change")
    return True


def _forward(run: Run, pace: Pace) -> Result:
    return batches.forward(run, resolve(run.target), plans.changes(run.plan), pace.size, worker=name())


def _backward(run: Run, pace: Pace) -> Result:
    return batches.rollback(run, resolve(run.target), worker=name())


def _verify(run: Run) -> None:
    run.verification = verify.verify(run)
    run.save(update_fields=["verification"])
    if run.verification["ok"]:
        runs.move(run, State.DONE, actor=name(), reason="rows and audit log agree")
    else:
        runs.fail(run, _why_not(run.verification), actor=name())


def _why_not(found: dict[str, Any]) -> str:
    if found["rows_left"]:
        return f"{found['rows_left']} rows hold spellings of the plan again; run it again to sweep them."
    return (
        f"The audit log has {found['entries']} entries, the batches say {found['changed_by_batches']}. "
        "Do not run anything further on this target until that is understood."
    )


def _with_retries(run: Run, attempt: Callable[[], Any], pace: Pace) -> Any:
    """Call until it succeeds; after a database fault wait, halve the batch, and begin again from the checkpoint."""
    wait = FIRST_WAIT_SECONDS
    for number in range(1, MAX_ATTEMPTS + 1):
        try:
            return attempt()
        except OperationalError as error:
            events.batch_retried(run=run.pk, error=str(error), attempt=number, batch_rows=pace.size)
            pace.after_fault()
            if connection.connection is None or connection.connection.broken or connection.connection.closed:
                connection.close()
            if number == MAX_ATTEMPTS:
                _give_up(run, error)
                raise
            time.sleep(wait)
            wait *= 2
    raise AssertionError("the loop returns or raises")


def _give_up(run: Run, error: Exception) -> None:
    try:
        runs.fail(run, f"gave up after {MAX_ATTEMPTS} attempts: {error}", actor=name())
    except OperationalError:
        return  # the database is away: the run stays as it is, and whoever finds it forgotten goes on


class _Holder:
    """Holds the run's advisory lock, anew after every reconnect."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._session: Any = None

    def hold(self) -> None:
        """Take the lock unless this very session has it.

        Raises:
            RunBusy: another session has it.
        """
        connection.ensure_connection()
        if self._session is connection.connection:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK_CLASS, self._run.pk])
            if not cursor.fetchone()[0]:
                raise RunBusy(f"Another worker holds run {self._run.pk}. `normalization status` shows who.")
        self._session = connection.connection

    def release(self) -> None:
        """Give the lock back, if the session still lives."""
        if self._session is None or self._session is not connection.connection or self._session.closed:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK_CLASS, self._run.pk])
