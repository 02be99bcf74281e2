"""Gauges of what there is to show before a run: a verified backup, a rehearsal."""

from collections.abc import Iterator

from django.utils import timezone
from prometheus_client.core import Metric

from stageapp import conf, metrics
from stageapp.backups import evidence


def ages() -> Iterator[Metric]:
    """Yield the age of the newest verified backup's data and of the newest rehearsal that counts."""
    found, now = evidence.read(), timezone.now()
    for family, at in ((metrics.BACKUP_AGE, found.taken_at), (metrics.REHEARSAL_AGE, found.rehearsed_at)):
        yield family.value((now - at).total_seconds() if at else None)
    yield metrics.BACKUP_REQUIRED.value(conf.backup_required())
