"""Celery tasks: a message is only a nudge; all state is in PostgreSQL."""

from celery import shared_task
from django.core.management import call_command
from django.utils import timezone

from stageapp import workers
from stageapp.backups import jobs
from stageapp.consumers import contacts
from stageapp.models import Run
from stageapp.models.normalization import ACTIVE
from stageapp.normalization import drain, runs, verification_jobs, worker
from stageapp.rollout import auto_downgrade, schedule
from stageapp.sealing import guard
from stageapp.targets.errors import RunBusy
from stageapp.traffic import history
from stageapp.unknowns import drift
from stageapp.unknowns.records import forget_old
from stageapp.webhook import tally

# Far below the broker's visibility timeout (300 s), so that a message is never delivered twice for
# being slow.
BUDGET_SECONDS = 20.0


@shared_task  # type: ignore[untyped-decorator]
def advance_run(run_id: int) -> None:
    """Work on a run for a while, and queue another task if there is more to do."""
    if drain.draining():
        return  # beat nudges again when workers may take up runs
    try:
        run = worker.advance(
            Run.objects.get(pk=run_id), budget_seconds=BUDGET_SECONDS, stop=_should_stop
        )
    except RunBusy:
        return  # other workers hold it and go on
    if run.state in ACTIVE:
        advance_run.delay(run_id)


def _should_stop() -> bool:
    return workers.ending() or drain.draining()


def nudge(run: Run) -> None:
    """Request as many workers as the run may have."""
    for _ in range(run.shards):
        advance_run.delay(run.pk)


@shared_task  # type: ignore[untyped-decorator]
def nudge_forgotten_runs() -> None:
    """Nudge runs and verifications without a worker (lost message, killed worker)."""
    for run in runs.forgotten():
        advance_run.delay(run.pk)
    for job_id in verification_jobs.waiting():
        work_on_verification.delay(job_id)


@shared_task(acks_late=False)  # type: ignore[untyped-decorator]
def work_on_verification(job_id: int) -> None:
    """Verify a run. Acknowledged early, because it may outlast the visibility timeout."""
    verification_jobs.work(job_id)


@shared_task  # type: ignore[untyped-decorator]
def watch_drift() -> None:
    """Run the drift check: find writes to normalized columns that bypassed the API."""
    drift.watch()


@shared_task  # type: ignore[untyped-decorator]
def forget_old_sightings() -> None:
    """Delete sightings, contacts, unknowns and webhook deliveries past their retention."""
    forget_old()
    contacts.forget_old()
    tally.forget_old()


@shared_task  # type: ignore[untyped-decorator]
def roll_up_traffic() -> None:
    """Roll up old windows into hours, and delete hours past their retention."""
    history.roll_up(timezone.now())
    history.forget_old(timezone.now())


@shared_task  # type: ignore[untyped-decorator]
def count_guarded() -> None:
    """Roll up the guards' counts, and delete those past their retention."""
    guard.roll_up()
    guard.forget_old()


@shared_task  # type: ignore[untyped-decorator]
def watch_enforcement() -> None:
    """Take `enforce` back when too many requests are rejected."""
    auto_downgrade.watch()


@shared_task  # type: ignore[untyped-decorator]
def take_planned_steps() -> None:
    """Enlarge the enforced share as planned, while the gates pass."""
    schedule.take_next()


@shared_task(acks_late=False)  # type: ignore[untyped-decorator]
def work_on_backup(job_id: int) -> None:
    """Run one backup job. Acknowledged early, because it may outlast the visibility timeout."""
    jobs.work(job_id)


@shared_task  # type: ignore[untyped-decorator]
def keep_backups() -> None:
    """Request the scheduled backup when it is due, and nudge every waiting job."""
    jobs.due()
    for job_id in jobs.waiting():
        work_on_backup.delay(job_id)


@shared_task  # type: ignore[untyped-decorator]
def clear_sessions() -> None:
    """Delete the sessions that have expired."""
    call_command("clearsessions")
