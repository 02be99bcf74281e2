"""What workers do with backups: the row is the queue, so losing the broker or a worker loses nothing silently."""

import datetime
import time

from django.db.models import Q
from django.utils import timezone

from stageapp import conf
from stageapp.backups import evidence, keeping
from stageapp.backups.errors import BackupError
from stageapp.backups.reports import Report
from stageapp.models.backups import BackupCheck, BackupJob

_SAVE_EVERY = 1.0  # seconds
# A phase may be silent for long (one huge table is one step); a dead worker is noticed after this.
_DEAD_AFTER = datetime.timedelta(minutes=30)
_REHEARSE_EVERY = datetime.timedelta(hours=24)
_ACTIVE = Q(state__in=["waiting", "working"])


def request(verb: str, name: str = "", *, actor: str, reason: str) -> BackupJob:
    """Put a job into the queue; the edge then nudges a worker. `verb` is create, verify, rehearse or scheduled."""
    return BackupJob.objects.create(verb=verb, name=name, actor=actor, reason=reason)


def work(job_id: int) -> None:
    """Do a job, unless somebody has begun it; what goes wrong is said in its row."""
    claimed = BackupJob.objects.filter(pk=job_id, state="waiting")
    if claimed.update(state="working", heartbeat_at=timezone.now()) != 1:
        return
    job = BackupJob.objects.get(pk=job_id)
    try:
        said, passed = _WORK[job.verb](job, _saver(job))
    except Exception as error:
        _end(job, "failed", str(error) or repr(error))
        if not isinstance(error, BackupError):
            raise
    else:
        _end(job, "done" if passed else "failed", said)


def due() -> BackupJob | None:
    """Request the scheduled backup if it is time for it and it is switched on."""
    minutes = conf.backup_minutes()
    if not minutes or BackupJob.objects.filter(_ACTIVE, verb="scheduled").exists():
        return None
    since = timezone.now() - datetime.timedelta(minutes=minutes)
    if BackupJob.objects.filter(verb="scheduled", created_at__gt=since).exists():
        return None
    return request("scheduled", actor="beat", reason=f"every {minutes:g} minutes")


def waiting() -> list[int]:
    """Return the jobs that wait for a worker, oldest first; those whose worker died are ended."""
    dead = BackupJob.objects.filter(state="working", heartbeat_at__lt=timezone.now() - _DEAD_AFTER)
    dead.update(state="failed", ended_at=timezone.now(), said="Its worker died. What was half-made does not count.")
    return list(BackupJob.objects.filter(state="waiting").order_by("id").values_list("id", flat=True))


def _create(job: BackupJob, report: Report) -> tuple[str, bool]:
    backup = keeping.create(actor=job.actor, reason=job.reason, report=report)
    job.name = backup.name
    return f"{backup.bytes:,} bytes", True


def _verify(job: BackupJob, report: Report) -> tuple[str, bool]:
    verdict = keeping.verify(job.name or None, actor=job.actor, reason=job.reason, report=report)
    job.name = verdict.name
    return verdict.failures or "good", verdict.passed


def _rehearse(job: BackupJob, report: Report) -> tuple[str, bool]:
    verdict = keeping.rehearse(job.name or None, actor=job.actor, reason=job.reason, report=report)
    job.name = verdict.name
    return verdict.failures or f"restored and equal in {verdict.seconds:.1f} s", verdict.passed


def _scheduled(job: BackupJob, report: Report) -> tuple[str, bool]:
    """Make a backup, verify it, rehearse it where that is due, and remove old ones."""
    steps = [_create, _verify, *([_rehearse] if _rehearsal_due() else [])]
    for step in steps:
        said, passed = step(job, report)
        if not passed:
            return said, False
    if not conf.backup_adapter():
        keeping.prune(None, actor=job.actor, reason=job.reason)
    return said, True


def _rehearsal_due() -> bool:
    lately = timezone.now() - _REHEARSE_EVERY
    found = evidence.read().rehearsed_at
    return found is None or found < lately


def _saver(job: BackupJob) -> Report:
    """Return a report that writes the progress to the job's row, at most once a second."""
    last = {"at": 0.0}

    def report(phase: str, done: int, whole: int) -> None:
        if time.monotonic() - last["at"] < _SAVE_EVERY:
            return
        last["at"] = time.monotonic()
        BackupJob.objects.filter(pk=job.pk).update(phase=phase, done=done, whole=whole, heartbeat_at=timezone.now())

    return report


def _end(job: BackupJob, state: str, said: str) -> None:
    BackupJob.objects.filter(pk=job.pk).update(state=state, said=said, name=job.name[:200], ended_at=timezone.now())


_WORK = {"create": _create, "verify": _verify, "rehearse": _rehearse, "scheduled": _scheduled}


def measured_restores(limit: int = 100) -> list[BackupCheck]:
    """Return the newest passed rehearsals, oldest first: their `seconds` are the RTO over time."""
    newest = BackupCheck.objects.filter(kind="rehearse", passed=True)[:limit]
    return list(reversed(newest))
