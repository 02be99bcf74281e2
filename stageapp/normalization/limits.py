"""Throttling records: limits and who set them, the last check, and the time lost by reason."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from stageapp import conf
from stageapp.infrastructure import events
from stageapp.models.limits import RunThrottle, ThrottledTime, ThrottleLook
from stageapp.models.normalization import ACTIVE, MOVES, Run, State
from stageapp.models.recorded import require_reason
from stageapp.normalization.factors import FACTORS, Judged, Standing, nonsense
from stageapp.targets.errors import ThrottleRefused

CURRENT_FOR = datetime.timedelta(seconds=10)  # an older look says nothing about now

_ADD_SECONDS = """
INSERT INTO stageapp_throttledtime (run_id, reason, seconds) VALUES (%s, %s, %s)
    ON CONFLICT (run_id, reason) DO UPDATE SET seconds = stageapp_throttledtime.seconds + EXCLUDED.seconds
"""


@dataclass(frozen=True)
class Limit:
    """A factor's limit for one run, and who set it; `actor` is empty for the configured default."""

    factor: str
    limit: float
    actor: str = ""
    reason: str = ""


def limits(run: Run) -> dict[str, Limit]:
    """Return the run's effective limits, by factor."""
    newest = RunThrottle.objects.filter(run=run).order_by("factor", "-id").distinct("factor")
    changed = {row.factor: row for row in newest if row.limit is not None and row.factor in FACTORS}
    limits = {name: Limit(name, value) for name, value in conf.settings.hold.items()}
    return limits | {
        name: Limit(name, float(row.limit or 0), row.actor, row.reason)
        for name, row in changed.items()
    }


def change(run: Run, wanted: Mapping[str, float | None], *, actor: str, reason: str) -> None:
    """Set limits for the run, which its workers apply within a second.

    None restores the configured default, 0 is off.

    Raises:
        ThrottleRefused: nothing is requested, a factor or a limit is invalid, no reason is given,
            or the run is permanently over.
    """
    why = require_reason(reason, ThrottleRefused)
    if not wanted:
        raise ThrottleRefused("Give at least one limit.")
    if not MOVES[State(run.state)]:
        raise ThrottleRefused(f"Run {run.pk} is {run.stands}: it has nothing left to throttle.")
    if wrong := [said for name, limit in wanted.items() if (said := nonsense(name, limit or 0))]:
        raise ThrottleRefused(" ".join(wrong))
    RunThrottle.objects.bulk_create(
        RunThrottle(run=run, factor=name, limit=limit, actor=actor, reason=why)
        for name, limit in wanted.items()
    )
    events.run_throttle_changed(run=run.pk, limits=dict(wanted), actor=actor, reason=why)


def add_seconds(run: Run, reason: str, seconds: float) -> None:
    """Add waited time; several workers add their shares to the same number."""
    with connection.cursor() as cursor:
        cursor.execute(_ADD_SECONDS, [run.pk, reason, seconds])


def seconds_by_reason(run: Run | None = None) -> dict[str, float]:
    """Return the seconds waited for each factor, in one run or in all of them."""
    rows = ThrottledTime.objects.all() if run is None else ThrottledTime.objects.filter(run=run)
    sums = dict(rows.values_list("reason").annotate(total=Sum("seconds")).order_by())
    return {name: float(sums.get(name, 0.0)) for name in FACTORS}


def remember(run: Run, judged: Sequence[Judged], hold: Judged | None, marks: list[Any]) -> None:
    """Store the worker's check for display."""
    with transaction.atomic():
        ThrottleLook.objects.update_or_create(
            run=run,
            defaults={
                "looked_at": timezone.now(),
                "reason": hold.factor.name if hold else "",
                "text": hold.text if hold else "",
                "readings": [one.document() for one in judged],
                "wal_marks": marks,
            },
        )


@dataclass(frozen=True)
class Shown:
    """A run's throttle for display. `hold` is empty unless something throttles the run now."""

    hold: str
    reason: str
    looked_at: datetime.datetime | None
    readings: list[dict[str, Any]]
    seconds: dict[str, float]

    @property
    def not_measured(self) -> list[dict[str, Any]]:
        """The readings without a value, which must not pass for healthy ones."""
        return [reading for reading in self.readings if reading["state"] == Standing.NOT_MEASURED]


def shown(run: Run) -> Shown:
    """Return the stored state of the run's throttle."""
    look = ThrottleLook.objects.filter(run=run).first()
    seconds = seconds_by_reason(run)
    if look is None:
        return Shown("", "", None, [], seconds)
    current = run.state in ACTIVE and timezone.now() - look.looked_at < CURRENT_FOR
    return Shown(
        look.text if current else "",
        look.reason if current else "",
        look.looked_at,
        look.readings,
        seconds,
    )
