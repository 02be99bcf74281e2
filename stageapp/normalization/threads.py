"""A crew: as many threads of this process as the run has shards, each a worker with a connection of
its own.

The work is PostgreSQL's; a thread waits for it most of the time. Celery's workers do the same from
other processes.
"""

import threading
from concurrent.futures import ThreadPoolExecutor, wait

from django.db import connection

from stageapp.models.normalization import Run
from stageapp.normalization import worker
from stageapp.normalization.attempts import Report
from stageapp.normalization.batches import Result
from stageapp.targets.errors import RunBusy


def advance(run: Run, *, report: Report = lambda _: None) -> Run:
    """Work on the run with one thread for each of its shards, until it is over or told to stop.

    Raises:
        RunBusy: other processes hold all there is to do.
        django.db.DatabaseError: a batch failed beyond its retries; the other threads stop after the
            batch in hand.
        KeyboardInterrupt: the same.
    """
    if run.shards == 1:
        return worker.advance(run, report=report)
    over, turn = threading.Event(), threading.Lock()

    def told(result: Result) -> None:
        with turn:
            report(result)

    def work() -> bool:
        try:
            worker.advance(Run.objects.get(pk=run.pk), report=told, stop=over.is_set)
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
            f"Other workers hold run {run.pk}. `normalization status` shows how far they are."
        )
    return run
