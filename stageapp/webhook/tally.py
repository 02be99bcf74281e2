"""Count what had no effect (not believed, told before, not readable) without I/O, and keep some of
it as rows.

Whoever has no secret can send as much as a line carries, so nothing is written while such a
delivery is answered. The refresher adds the counts to PostgreSQL every few seconds; of each hour
only so many become rows of the log.
"""

import datetime
import os
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import Error, connection, transaction
from django.db.models import F, Sum
from django.utils import timezone

from stageapp import conf
from stageapp.infrastructure import events, metrics
from stageapp.infrastructure.refresher import refresher
from stageapp.models.webhook import WebhookCount, WebhookDelivery

ROWS_AN_HOUR = 50  # of each result
MOST_PENDING = 10  # rows that one process keeps between two flushes
UNEVENTFUL = ("duplicate", "unreadable", "refused")

_Key = tuple[datetime.datetime, str, str, str]


@dataclass(frozen=True)
class Uneventful:
    """A delivery without effect. `why` is one of a closed set, everything else what it said of
    itself.
    """

    authenticator: str
    result: str
    why: str = ""
    webhook_id: str = ""
    alerts: tuple[str, ...] = ()
    remote: str = ""


class _Process:
    """This process's deliveries since the last flush; a forked child begins its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: Counter[_Key] = Counter()
        self.rows: list[Uneventful] = []


_process = _Process()


def _begin_anew() -> None:
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=_begin_anew)


def note(delivery: Uneventful) -> None:
    """Note one delivery. No I/O."""
    metrics.webhook_delivered(authenticator=delivery.authenticator, outcome=delivery.result)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    with _process.lock:
        _process.counts[hour, delivery.authenticator, delivery.result, delivery.why] += 1
        if len(_process.rows) < MOST_PENDING:
            _process.rows.append(delivery)


@refresher.register
def flush() -> None:
    """Add the counts to the stored ones and write some rows; what could not be written stays for
    the next time.

    Raises:
        django.db.Error: PostgreSQL does not answer.
    """
    with _process.lock:
        counts, rows = _process.counts, _process.rows
        _process.counts, _process.rows = Counter(), []
    if not counts:
        return
    try:
        with transaction.atomic():
            for key, deliveries in sorted(counts.items()):
                _add(key, deliveries)
            _write(rows)
    except Error:
        with _process.lock:
            _process.counts.update(counts)
            _process.rows = (rows + _process.rows)[:MOST_PENDING]
        raise
    for (_, authenticator, result, why), deliveries in counts.items():
        events.webhook_uneventful(
            authenticator=authenticator, result=result, why=why, deliveries=deliveries
        )


def _add(key: _Key, deliveries: int) -> None:
    hour, authenticator, result, why = key
    WebhookCount.objects.bulk_create(
        [
            WebhookCount(
                hour=hour, authenticator=authenticator, result=result, why=why, deliveries=0
            )
        ],
        ignore_conflicts=True,
    )
    found = WebhookCount.objects.filter(
        hour=hour, authenticator=authenticator, result=result, why=why
    )
    found.update(deliveries=F("deliveries") + deliveries)


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
    """Delete what its retention has passed; return how many deliveries.

    None of them can have a second effect: a signature is no longer fresh, and of a bearer's alerts
    nothing is left.
    """
    oldest = timezone.now() - datetime.timedelta(days=conf.webhook_retention_days())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL stageapp.prune = 'on'")
        deleted, _ = WebhookDelivery.objects.filter(received_at__lt=oldest).delete()
        cursor.execute("SET LOCAL stageapp.prune = ''")
    WebhookCount.objects.filter(hour__lt=oldest).delete()
    return deleted


def uneventful(hours: int) -> list[Mapping[str, Any]]:
    """Return how many deliveries of the last hours had no effect, by authenticator, result and
    why; most first.
    """
    since = timezone.now() - datetime.timedelta(hours=hours)
    found = (
        WebhookCount.objects.filter(hour__gt=since)
        .order_by()
        .values("authenticator", "result", "why")
    )
    return list(found.annotate(total=Sum("deliveries")).order_by("-total"))
