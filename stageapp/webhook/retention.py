"""Forget deliveries whose retention has passed, and read what the counts of the last day say."""

import datetime
from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from stageapp import conf
from stageapp.models.webhook import WebhookCount, WebhookDelivery


def forget_old() -> int:
    """Delete what its retention has passed; return how many deliveries.

    None of them can have a second effect: a signature is no longer fresh, and of a bearer's alerts nothing is left.
    """
    oldest = timezone.now() - datetime.timedelta(days=conf.webhook_retention_days())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL stageapp.prune = 'on'")
        deleted, _ = WebhookDelivery.objects.filter(received_at__lt=oldest).delete()
        cursor.execute("SET LOCAL stageapp.prune = ''")
    WebhookCount.objects.filter(hour__lt=oldest).delete()
    return deleted


def uneventful(hours: int) -> list[Mapping[str, Any]]:
    """Return how many deliveries of the last hours had no effect, by authenticator, result and why; most first."""
    since = timezone.now() - datetime.timedelta(hours=hours)
    found = WebhookCount.objects.filter(hour__gt=since).order_by().values("authenticator", "result", "why")
    return list(found.annotate(total=Sum("deliveries")).order_by("-total"))
