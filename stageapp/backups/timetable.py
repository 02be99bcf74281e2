"""When the next scheduled backup is due, so that the newest verified one is never older than was promised."""

import datetime
from collections.abc import Sequence
from contextlib import suppress

from django.utils import timezone

from stageapp import conf, thresholds
from stageapp.backups import jobs
from stageapp.backups.errors import BackupBusy
from stageapp.models.backups import BackupJob

MARGIN_MINUTES = 9.0  # for beat's own minute, the way to a worker, making and verifying
_RETRY_MINUTES = 2.0  # doubled with each failure in a row, up to the whole interval
_LOOKED_AT = 8  # failures in a row


def due(now: datetime.datetime | None = None) -> BackupJob | None:
    """Request the scheduled backup if it is switched on and it is time for it.

    One that failed is tried again soon, not an interval later: else one failure would cost the hour.
    """
    minutes = conf.backup_minutes()
    last = list(BackupJob.objects.filter(verb="scheduled")[:_LOOKED_AT])
    if not minutes or (last and (now or timezone.now()) < _next(last, minutes)):
        return None
    with suppress(BackupBusy):
        return jobs.request("scheduled", actor="beat", reason=f"every {minutes:g} minutes")
    return None


def _next(last: Sequence[BackupJob], minutes: float) -> datetime.datetime:
    """Return when the next one is due, of the last ones, newest first; one under way is no matter of the clock."""
    newest = last[0]
    if newest.state != "failed" or newest.ended_at is None:
        return newest.created_at + datetime.timedelta(minutes=minutes)
    failures = next((place for place, job in enumerate(last) if job.state != "failed"), len(last))
    return newest.ended_at + datetime.timedelta(minutes=min(_RETRY_MINUTES * 2 ** (failures - 1), minutes))


def too_slow() -> bool:
    """Tell whether backups by the clock would be older than the gate asks, for a part of the time."""
    minutes = conf.backup_minutes()
    return bool(minutes) and minutes + MARGIN_MINUTES > thresholds.gates().backup_hours * 60
