"""Advance a run, batch after batch, until it is over, told to stop, or out of time.

Foreground commands and Celery tasks both use it.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from django.db import DatabaseError, connection, transaction

from stageapp.infrastructure import words
from stageapp.models.batches import Direction
from stageapp.models.normalization import Run, State
from stageapp.normalization import (
    batches,
    leases,
    refusals,
    runs,
    shards,
    verify,
)
from stageapp.normalization.batches import Cursor, LeaseLost, Result
from stageapp.normalization.leases import name
from stageapp.normalization.work import Report, Work, give_up
from stageapp.targets.errors import (
    IllegalMove,
    NormalizationError,
    RunBusy,
    TargetError,
    TooManyQuarantined,
)

SINGLE_TRANSACTION_ROWS = 10_000  # of a table whose run may hold its locks to the end

Stop = Callable[[], bool]


def advance(
    run: Run,
    *,
    budget_seconds: float | None = None,
    report: Report = lambda _: None,
    stop: Stop = lambda: False,
) -> Run:
    """Work on the run, shard by shard, until nothing is left or for about `budget_seconds`.

    Returns the reloaded run. `stop` is called between batches.

    Raises:
        RunBusy: other workers have leased all remaining work.
        TooManyQuarantined: the database rejects more rows than allowed.
        TargetError: the target or its table can no longer be used by a run.
        django.db.DatabaseError: a batch failed after its retries, or the database stayed away
            throughout.
    """
    work = Work(run, report)
    deadline = time.monotonic() + budget_seconds if budget_seconds is not None else None
    with work.watched():
        try:
            while _step(work) and not stop() and (deadline is None or time.monotonic() < deadline):
                work.rest()
        except (DatabaseError, TargetError, TooManyQuarantined) as error:
            give_up(work, error)
            raise
        finally:
            work.let_go()
            work.throttle.close()
    return run


def run_at_once(
    run: Run, *, actor: str, reason: str, override: str = "", report: Report = lambda _: None
) -> Run:
    """Start the run and do all of it in one transaction, or nothing. For tables that are small.

    Raises:
        NormalizationError: as `runs.start`; or the table has more rows than
            SINGLE_TRANSACTION_ROWS, the run has begun in batches, or its verification found
            something.
        django.db.DatabaseError: it failed; nothing stays.
    """
    if run.plan.rows_total > SINGLE_TRANSACTION_ROWS:
        raise NormalizationError(
            f"{run.plan.rows_total:,} rows are too many for one transaction: its locks would "
            f"hold up writers. At most {SINGLE_TRANSACTION_ROWS:,} are allowed; leave "
            "--single-transaction out."
        )
    if run.state not in (State.PLANNED, State.APPROVED):
        raise NormalizationError(
            f"Run {run.pk} is {run.stands}: it was started in batches and has to continue "
            "in batches."
        )
    work = Work(run, report, whole=True)
    with transaction.atomic():
        runs.start(run, actor=actor, reason=reason, override=override, workers=1)
        while _step(work):
            pass
        work.let_go()
        if run.state != State.DONE:
            raise NormalizationError(f"Nothing was kept: {run.last_error}")
    return run


def dry_run(run: Run, *, report: Report = lambda _: None) -> dict[str, Any]:
    """Do what a run would do, rolling back each batch.

    Return the rows `scanned`, how many `would_change`, and in `quarantined` the key, value and
    database error of each rejected row.

    Raises:
        TooManyQuarantined: the database rejects more rows than allowed.
        TargetError: a run cannot use the target or its table.
        django.db.DatabaseError: a batch failed after its retries.
    """
    work = Work(run, report)
    scanned, would_change, apart = 0, 0, list[dict[str, str | None]]()
    cursor = Cursor()

    def skip(error: str) -> Result:
        result, key, value = batches.next_row(work.target, cursor)
        if key is not None:
            apart.append({"row": key, "value": value, "error": error})
        refusals.require_few(len(apart), scanned, error)
        return result

    while not cursor.finished:
        result = work.batch(partial(batches.dry, run.pk, work.target, work.changes, cursor), skip)
        # If neither, a smaller batch begins at the same place.
        if result.scanned or result.cursor.finished:
            cursor = result.cursor
        scanned += result.scanned
        would_change += result.changed
    return {"scanned": scanned, "would_change": would_change, "quarantined": apart}


def _step(work: Work) -> bool:
    """Do one step for the run's state; return whether there may be more to do."""
    work.look_again()
    try:
        match State(work.run.state):
            case State.RUNNING | State.ROLLING_BACK if not work.whole and work.hold_back():
                # the next step sees at once whether a person pauses or cancels it meanwhile
                return True
            case State.RUNNING:
                if not work.take_next():
                    return _close(work)
                work.forward()
                return True
            case State.ROLLING_BACK:
                plan = work.rollback
                if not work.take_next():
                    if shards.unfinished(work.run, Direction.ROLLBACK, round=plan.round):
                        return _leave(work)
                    if work.set_kept_undone_rows_apart():
                        return True
                    runs.end_rollback(work.run, actor=name())
                    return False
                work.undo()
                return True
            case State.PAUSING:
                work.let_go()
                if not leases.is_held(work.run):
                    runs.move(
                        work.run,
                        State.PAUSED,
                        actor=name(),
                        reason="the batches in flight are finished",
                    )
            case State.VERIFYING:
                _verify(work)
    except (LeaseLost, IllegalMove):
        work.let_go()
        # a person moved it meanwhile, or another worker was faster; the next step sees where
        return True
    return False


def _close(work: Work) -> bool:
    """Start verification if no row matches the plan any more; otherwise start another sweep.

    Raises:
        RunBusy: other workers are not done yet, and this one has nothing to do.
    """
    run = work.run
    if shards.unfinished(run, Direction.FORWARD):
        return _leave(work)
    left = verify.rows_left(run, work.target)
    gets_on = run.sweeps_left and shards.newest_sweep_changed(run)
    if left and not gets_on and work.set_kept_rows_apart():
        return True
    if run.sweeps_left and left:
        with transaction.atomic():
            if Run.objects.filter(pk=run.pk, sweeps_left=run.sweeps_left).update(
                sweeps_left=run.sweeps_left - 1
            ):
                shards.reopen(run)
        return True
    why = "no row matches the plan any more" if run.sweeps_left else "the last sweep is over"
    runs.move(run, State.VERIFYING, actor=name(), reason=why)
    return True


def _leave(work: Work) -> bool:
    """Leave the rest to the workers that have leased it.

    Raises:
        RunBusy: this worker has done nothing.
    """
    if work.batches:
        return False
    held = (
        ", ".join(sorted(set(leases.held(work.run)))) or "a worker whose lease has not expired yet"
    )
    raise RunBusy(
        f"Run {work.run.pk} is leased to other workers: {held}. `normalization status` "
        "shows their progress."
    )


def _verify(work: Work) -> None:
    run = work.run
    run.checkpoints.get_or_create(direction=Direction.VERIFY, defaults={"run": run})
    if not work.take(Direction.VERIFY):
        raise RunBusy(f"Another worker is verifying run {run.pk}.")

    def compared(rows: int) -> None:
        work.keep()
        run.checkpoints.filter(direction=Direction.VERIFY).update(scanned=rows)

    made, _ = verify.verify(
        run, actor=name(), reason="the run has ended", by_run=True, report=compared
    )
    results = made.found
    if not results["agrees"]:
        why_not = (
            f"The audit log has {results['entries']} entries, but the batches recorded "
            f"{results['changed_by_batches']}. Run nothing further on this target until the "
            "cause is known."
        )
        runs.fail(run, why_not, actor=name())
    elif results["rows_left"]:
        why_not = (
            f"{words.count(results['rows_left'], 'row contains', 'rows contain')} planned spellings "
            "again; run it again to sweep what is left."
        )
        runs.fail(run, why_not, actor=name())
    else:
        said = ["rows and audit log agree"]
        if apart := results["quarantined"]:
            said.append(f"{words.count(apart, 'row is', 'rows are')} in quarantine")
        if unplanned := results["rows_unplanned"]:
            contain = words.count(unplanned, "row contains", "rows contain")
            said.append(f"{contain} known spellings that are not in the plan")
        runs.move(run, State.DONE, actor=name(), reason="; ".join(said))


def advance_in_threads(run: Run, *, report: Report = lambda _: None) -> Run:
    """Advance the run with one thread per shard until it is over or told to stop.

    Raises:
        RunBusy: other processes have leased all remaining work.
        django.db.DatabaseError: a batch failed after its retries; the other threads stop after
            their current batch.
        KeyboardInterrupt: the same.
    """
    if run.shards == 1:
        return advance(run, report=report)
    over, turn = threading.Event(), threading.Lock()

    def told(result: Result) -> None:
        with turn:
            report(result)

    def work() -> bool:
        try:
            advance(Run.objects.get(pk=run.pk), report=told, stop=over.is_set)
        except RunBusy:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(run.shards, thread_name_prefix=f"run-{run.pk}") as pool:
        tasks = [pool.submit(work) for _ in range(run.shards)]
        try:
            wait(tasks)
        finally:
            over.set()
    worked = [task.result() for task in tasks]
    run.refresh_from_db()
    if not any(worked):
        raise RunBusy(
            f"Run {run.pk} is leased to other workers. `normalization status` shows their progress."
        )
    return run
