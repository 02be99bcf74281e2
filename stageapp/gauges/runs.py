"""Gauges of the runs: state and progress of each target's newest, rows of all of them, and drift since."""

import datetime
from collections.abc import Iterator

from django.db.models import Count, Sum
from django.utils import timezone
from prometheus_client.core import Metric

from stageapp import metrics
from stageapp.metrics import Family
from stageapp.models.batches import Checkpoint, Direction
from stageapp.models.drift import DriftCheck
from stageapp.models.normalization import ACTIVE, UNFINISHED, Run
from stageapp.normalization import claims, throttling
from stageapp.normalization.progress import Progress, progress

_OUTCOMES = ("scanned", "changed", "skipped")


def newest_runs() -> Iterator[Metric]:
    """Yield the state of each target's newest run, and the progress of those that are not over."""
    runs = list(Run.objects.select_related("plan").order_by("target", "-id").distinct("target"))
    apart = dict(Run.objects.filter(pk__in=[run.pk for run in runs]).values_list("target", Count("quarantine")))
    now = timezone.now()
    yield metrics.RUN_STATE.of({(run.target, run.state): 1 for run in runs})
    yield metrics.RUN_HEARTBEAT.of({(run.target,): _silence(run, now) for run in runs if run.state in ACTIVE})
    yield metrics.RUN_QUARANTINED.of({(target,): rows for target, rows in apart.items()})
    yield from _progress({run.target: progress(run) for run in runs if run.state in UNFINISHED})


def _silence(run: Run, now: datetime.datetime) -> float:
    heard = claims.last_heartbeat(run) or run.started_at or run.created_at
    return (now - heard).total_seconds()


def _progress(found: dict[str, Progress]) -> Iterator[Metric]:
    def each(family: Family, name: str) -> Metric:
        values = {(target,): getattr(one, name) for target, one in found.items()}
        return family.of({labels: value for labels, value in values.items() if value is not None})

    yield each(metrics.RUN_TOTAL, "total")
    yield each(metrics.RUN_SCANNED, "scanned")
    yield each(metrics.RUN_CHANGED, "changed")
    yield each(metrics.RUN_SKIPPED, "skipped")
    yield each(metrics.RUN_RATE, "rate")
    yield each(metrics.RUN_ETA, "eta_seconds")


def all_rows() -> Iterator[Metric]:
    """Yield the rows of all runs; the checkpoints hold the sums, so no audit entry is read."""
    sums = Checkpoint.objects.order_by().values_list("direction")
    found = {direction: rows for direction, *rows in sums.annotate(*(Sum(outcome) for outcome in _OUTCOMES))}
    told: dict[tuple[str, ...], float] = {}
    for direction in (Direction.FORWARD.value, Direction.ROLLBACK.value):
        rows = found.get(direction, [0] * len(_OUTCOMES))
        told |= {(direction, outcome): count for outcome, count in zip(_OUTCOMES, rows, strict=True)}
    yield metrics.RUN_ROWS.of(told)


def throttled() -> Iterator[Metric]:
    """Yield how long the workers of all runs have waited because the database was not well, by reason."""
    yield metrics.RUN_THROTTLED.of({(reason,): waited for reason, waited in throttling.seconds_by_reason().items()})


def drift() -> Iterator[Metric]:
    """Yield what the drift watch found in the columns that a run has normalized."""
    checks, now = list(DriftCheck.objects.defer("spellings")), timezone.now()
    rows: dict[tuple[str, ...], float] = {}
    for check in checks:
        rows |= {(check.target, "known"): check.known_rows, (check.target, "unknown"): check.unknown_rows}
    yield metrics.DRIFT_ROWS.of(rows)
    yield metrics.DRIFT_AGE.of({(check.target,): (now - check.looked_at).total_seconds() for check in checks})
