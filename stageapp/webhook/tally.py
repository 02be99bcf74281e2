"""Count deliveries without effect (not trusted, duplicate, unreadable); keep some as rows.

Anyone can send as much as the line carries, so nothing is written while such a delivery is
answered: counting does no I/O. The refresher adds the counts to PostgreSQL every few seconds; only
so many per hour become rows of the log.
"""

import datetime
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Sum
from django.utils import timezone

from stageapp.infrastructure import events, metrics
from stageapp.infrastructure.buffers import Buffer
from stageapp.models.webhook import WebhookCount, WebhookDelivery

RETENTION_DAYS = 30
ROWS_AN_HOUR = 50  # of each result
# deliveries that one process keeps apart between two flushes, and rows that it makes of them
MOST_PENDING = 10
UNEVENTFUL = ("duplicate", "unreadable", "refused")


@dataclass(frozen=True)
class Uneventful:
    """A delivery without effect. `why` is from a closed set, the rest is what it claimed."""

    authenticator: str
    result: str
    why: str = ""
    webhook_id: str = ""
    alerts: tuple[str, ...] = ()
    remote: str = ""


_Key = tuple[datetime.datetime, Uneventful]  # hour, delivery
_Kind = tuple[datetime.datetime, str, str, str]  # hour, authenticator, result, why


@dataclass
class _Count:
    """How often a delivery arrived."""

    deliveries: int = 0

    def __add__(self, other: "_Count") -> "_Count":
        return _Count(self.deliveries + other.deliveries)


class TallyBuffer(Buffer[_Key, _Count]):
    """Deliveries without effect that this process has not written yet."""

    most = MOST_PENDING

    def new(self) -> _Count:
        return _Count()

    def beyond(self, key: _Key) -> _Key:
        """Return its kind, without what the delivery claimed."""
        hour, delivery = key
        return hour, Uneventful(delivery.authenticator, delivery.result, delivery.why)

    def write(self, taken: dict[_Key, _Count]) -> None:
        counts: Counter[_Kind] = Counter()
        for (hour, delivery), count in taken.items():
            kind = (hour, delivery.authenticator, delivery.result, delivery.why)
            counts[kind] += count.deliveries
        with transaction.atomic():
            for (hour, authenticator, result, why), deliveries in sorted(counts.items()):
                WebhookCount.objects.update_or_create(
                    defaults={"deliveries": F("deliveries") + deliveries},
                    create_defaults={"deliveries": deliveries},
                    hour=hour,
                    authenticator=authenticator,
                    result=result,
                    why=why,
                )
            # Every delivery once, then those again that arrived more than once.
            again = (repeat(key[1], count.deliveries - 1) for key, count in taken.items())
            rows = chain((delivery for _, delivery in taken), *again)
            _write(list(islice(rows, MOST_PENDING)))
        for (_, authenticator, result, why), deliveries in counts.items():
            events.webhook_uneventful(
                authenticator=authenticator, result=result, why=why, deliveries=deliveries
            )


buffer = TallyBuffer()
flush = buffer.flush


def note(delivery: Uneventful) -> None:
    """Count one delivery. No I/O."""
    metrics.webhook_delivered(authenticator=delivery.authenticator, outcome=delivery.result)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    with buffer.lock:
        buffer.at((hour, delivery)).deliveries += 1


def _write(rows: list[Uneventful]) -> None:
    since = timezone.now() - datetime.timedelta(hours=1)
    for result in UNEVENTFUL:
        there = WebhookDelivery.objects.filter(result=result, received_at__gt=since)[
            :ROWS_AN_HOUR
        ].count()
        kept = [row for row in rows if row.result == result][: ROWS_AN_HOUR - there]
        WebhookDelivery.objects.bulk_create(
            WebhookDelivery(
                authenticator=row.authenticator,
                result=row.result,
                webhook_id=row.webhook_id,
                alerts=list(row.alerts),
                remote=row.remote,
                detail=row.why,
            )
            for row in kept
        )


# Forget deliveries whose retention has passed, and read what the counts of the last day say.


def forget_old() -> int:
    """Delete deliveries past their retention; return how many.

    None of them can have a second effect: the signatures are no longer fresh, and nothing is left
    of a bearer's alerts.
    """
    oldest = timezone.now() - datetime.timedelta(days=RETENTION_DAYS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL stageapp.prune = 'on'")
        deleted, _ = WebhookDelivery.objects.filter(received_at__lt=oldest).delete()
        cursor.execute("SET LOCAL stageapp.prune = ''")
    WebhookCount.objects.filter(hour__lt=oldest).delete()
    return deleted


def uneventful(hours: int) -> list[Mapping[str, Any]]:
    """Count recent deliveries without effect by authenticator, result and why, most first."""
    since = timezone.now() - datetime.timedelta(hours=hours)
    counts = (
        WebhookCount.objects.filter(hour__gt=since)
        .order_by()
        .values("authenticator", "result", "why")
    )
    return list(counts.annotate(total=Sum("deliveries")).order_by("-total"))
