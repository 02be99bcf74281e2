"""Backup jobs of the workers: the row is the queue, so no job is lost with a broker or worker."""

import datetime
from contextlib import suppress

from django.db import IntegrityError, transaction
from django.utils import timezone

from stageapp import conf
from stageapp.backups import evidence, keeping
from stageapp.backups.errors import BackupBusy, BackupError
from stageapp.backups.progress import Report
from stageapp.infrastructure import words
from stageapp.models.backups import BackupCheck, BackupJob
from stageapp.models.recorded import require_reason

_REHEARSE_EVERY = datetime.timedelta(hours=24)


def request(verb: str, name: str = "", *, actor: str, reason: str) -> BackupJob:
    """Put a job into the queue; the edge then nudges a worker. `verb` is one of BackupJob.VERBS.

    Raises:
        BackupBusy: the same is waiting or under way.
        BackupError: the reason is empty.
    """
    why = require_reason(reason, BackupError)
    try:
        with transaction.atomic():
            return BackupJob.objects.create(verb=verb, name=name, actor=actor, reason=why)
    except IntegrityError:
        what = f"{verb} {name}".strip()
        raise BackupBusy(
            f"The same job is already in progress ({what}). Wait until it has finished."
        ) from None


def work(job_id: int) -> None:
    """Run a job unless it has already started; errors are stored in its row."""
    with BackupJob.claimed(job_id) as job:
        if job is None:
            return

        def save(phase: str, done: int, whole: int) -> None:
            began = {"phase_began_at": timezone.now()} if phase != job.phase else {}
            job.phase = phase
            job.beat(at_once=bool(began), phase=phase, done=done, whole=whole, **began)

        try:
            said, passed = _perform(job.verb, job, save)
        except Exception as error:
            job.end("failed", str(error) or repr(error), name=job.name[:200])
            if not isinstance(error, BackupError):
                raise
        else:
            job.end("done" if passed else "failed", said, name=job.name[:200])


def waiting() -> list[int]:
    """Return the waiting jobs, oldest first; ends jobs whose worker died."""
    BackupJob.orphans().update(
        state="failed",
        ended_at=timezone.now(),
        said="Its worker died. Its incomplete result does not count.",
    )
    return BackupJob.queue()


def _perform(verb: str, job: BackupJob, report: Report) -> tuple[str, bool]:
    """Do one verb of a job; return what to say of it, and whether it passed."""
    actor, reason = job.actor, job.reason
    match verb:
        case "create":
            backup = keeping.create(actor=actor, reason=reason, report=report)
            job.name = backup.name
            return words.size(backup.bytes), True
        case "verify":
            verdict = keeping.verify(job.name or None, actor=actor, reason=reason, report=report)
            job.name = verdict.name
            return verdict.failures or "good", verdict.passed
        case "rehearse":
            verdict = keeping.rehearse(job.name or None, actor=actor, reason=reason, report=report)
            job.name = verdict.name
            good = f"restored and equal in {words.duration(verdict.seconds)}"
            return verdict.failures or good, verdict.passed
        case "prune":
            removed = keeping.prune(None, actor=actor, reason=reason)
            return f"removed: {', '.join(removed) or 'nothing'}", True
        case "record":
            recorded = keeping.record(actor=actor, reason=reason)
            taken = f"recorded: {', '.join(recorded.taken) or 'nothing new'}"
            return "; ".join([taken, *recorded.refused]), True
    return _perform_schedule(job, report)


def _perform_schedule(job: BackupJob, report: Report) -> tuple[str, bool]:
    """Create a backup, verify it, rehearse it if due, and remove old ones."""
    rehearsed_at = evidence.read().rehearsed_at
    due = rehearsed_at is None or rehearsed_at < timezone.now() - _REHEARSE_EVERY
    for verb in ("create", "verify", "rehearse") if due else ("create", "verify"):
        said, passed = _perform(verb, job, report)
        if not passed:
            return said, False
    if not conf.settings.backup_adapter:
        _perform("prune", job, report)
    return said, True


def measured_restores(limit: int = 100) -> list[BackupCheck]:
    """Return the newest passed rehearsals, oldest first: their `seconds` are the RTO over time."""
    newest = BackupCheck.objects.filter(kind="rehearse", passed=True)[:limit]
    return list(reversed(newest))


# When the next scheduled backup is due, so that the newest verified one is never older than was
# promised.

MARGIN_MINUTES = 9.0  # for beat's own minute, the way to a worker, making and verifying
_RETRY_MINUTES = 2.0  # doubled with each failure in a row, up to the whole interval
_LOOKED_AT = 8  # failures in a row


def due(now: datetime.datetime | None = None) -> BackupJob | None:
    """Request the scheduled backup if scheduling is on and a backup is due.

    A failed backup is retried soon, not an interval later, so that one failure does not skip a
    whole interval.
    """
    minutes = conf.settings.backup_minutes
    last = list(BackupJob.objects.filter(verb="scheduled")[:_LOOKED_AT])
    if not minutes:
        return None
    if last:
        since, wait = last[0].created_at, minutes
        if last[0].state == "failed" and last[0].ended_at is not None:
            states = [job.state for job in last]
            failures = next((n for n, state in enumerate(states) if state != "failed"), len(last))
            since, wait = last[0].ended_at, min(_RETRY_MINUTES * 2 ** (failures - 1), minutes)
        if (now or timezone.now()) < since + datetime.timedelta(minutes=wait):
            return None
    with suppress(BackupBusy):
        return request("scheduled", actor="beat", reason=f"every {minutes:g} minutes")
    return None


def too_slow() -> bool:
    """Whether scheduled backups would sometimes be older than the gate allows."""
    minutes = conf.settings.backup_minutes
    return bool(minutes) and minutes + MARGIN_MINUTES > conf.gates().backup_hours * 60
