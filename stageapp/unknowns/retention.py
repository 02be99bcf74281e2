"""Forget what its retention has passed."""

import datetime

from django.utils import timezone

from stageapp import conf
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import UnknownCount, UnknownEntry


def forget_old() -> dict[str, int]:
    """Delete what its retention has passed: sightings, import counts, and open entries not seen since.

    A decided or ignored entry stays: it is the record of a decision that still holds.
    """
    today = timezone.now().date()
    old_sighting = today - datetime.timedelta(days=conf.sighting_retention_days())
    old_unknown = today - datetime.timedelta(days=conf.unknown_retention_days())
    sightings, _ = ConsumerSighting.objects.filter(day__lt=old_sighting).delete()
    counts, _ = UnknownCount.objects.filter(kind="import", day__lt=old_unknown).delete()
    unseen = UnknownEntry.objects.in_state("open").filter(last_seen__date__lt=old_unknown)
    held = UnknownCount.objects.filter(kind__in=["table", "bypass"]).values("entry")
    gone = UnknownEntry.stored.filter(pk__in=[entry.pk for entry in unseen.exclude(pk__in=held)])
    entries, _ = gone.delete()
    return {"sightings": sightings, "counts": counts, "entries": entries}
