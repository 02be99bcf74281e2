"""Run a plan in threads: one worker thread per shard, each with its own connection.

PostgreSQL does the work; a thread mostly waits. Celery workers do the same in other processes.
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
    """Advance the run with one thread per shard until it is over or told to stop.

    Raises:
        RunBusy: other processes have leased all remaining work.
        django.db.DatabaseError: a batch failed after its retries; the other threads stop after
            their current batch.
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
            f"Run {run.pk} is leased to other workers. `normalization status` shows their progress."
        )
    return run
