"""Verifications that a person asks for and a worker makes.

A verification reads and changes nothing, so one whose worker died is simply made anew. What a dead
worker had compared proves nothing: only a verification that has ended is kept.
"""

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from stageapp.models.jobs import JobProgress
from stageapp.models.normalization import Run
from stageapp.models.proofs import VerificationJob
from stageapp.models.recorded import require_reason
from stageapp.normalization import verify
from stageapp.targets.errors import IllegalMove, NormalizationError, RunBusy

MOST_ATTEMPTS = 3


def request(run: Run, *, actor: str, reason: str) -> VerificationJob:
    """Queue a verification; the caller then nudges a worker.

    Raises:
        IllegalMove: the reason is empty.
        RunBusy: a verification of this run is waiting or running.
    """
    why = require_reason(reason, IllegalMove)
    try:
        with transaction.atomic():
            return VerificationJob.objects.create(run=run, actor=actor, reason=why)
    except IntegrityError:
        raise RunBusy(
            f"A verification of run {run.pk} is already in progress. Wait until it has finished."
        ) from None


def work(job_id: int) -> None:
    """Run a verification unless another worker has begun it; errors are recorded in its row."""
    begun = {"attempts": F("attempts") + 1, "rows": 0, "began_at": timezone.now()}
    with VerificationJob.claimed(job_id, **begun) as job:
        if job is None:
            return
        try:
            made, _ = verify.verify(
                job.run,
                actor=job.actor,
                reason=job.reason,
                report=lambda rows: job.beat(rows=rows),
            )
        except Exception as error:
            job.end("failed", str(error) or repr(error))
            if not isinstance(error, NormalizationError):
                raise
        else:
            job.end("done", verification=made, rows=made.found["rows"])


def waiting() -> list[int]:
    """Return the waiting jobs, oldest first; jobs of dead workers are requeued a few times."""
    orphans = VerificationJob.orphans()
    orphans.filter(attempts__gte=MOST_ATTEMPTS).update(
        state="failed",
        ended_at=timezone.now(),
        said=(
            f"Interrupted: its worker died {MOST_ATTEMPTS} times, and nothing was proven. "
            "Find out why, then verify again."
        ),
    )
    orphans.update(state="waiting")
    return VerificationJob.queue()


def newest(run: Run) -> VerificationJob | None:
    return run.verification_jobs.first()


def active(run: Run) -> bool:
    """Whether a verification of the run is waiting or running."""
    return run.verification_jobs.filter(state__in=VerificationJob.ACTIVE).exists()


def progress(job: VerificationJob) -> JobProgress:
    """Return how far a job is, in rows."""
    whole = max(job.run.plan.rows_total, job.rows)  # of the plan: an estimate by now
    seconds = job.seconds_since(job.began_at)
    return JobProgress(job.rows, whole, estimated=True, seconds=seconds)
