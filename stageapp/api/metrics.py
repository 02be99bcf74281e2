"""GET /metrics: counts of all web processes on this server, and what PostgreSQL knows."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from celery import current_app
from django.db import Error, connection, transaction
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from stageapp import conf
from stageapp.backups import evidence
from stageapp.infrastructure import archive, events, metrics, network
from stageapp.infrastructure.watchdog import Watchdog
from stageapp.mode import history, processes, store
from stageapp.models.backups import BackupJob
from stageapp.models.batches import Checkpoint, Direction
from stageapp.models.normalization import ACTIVE, UNFINISHED, Run
from stageapp.models.unknowns import DriftCheck
from stageapp.normalization import leases, limits, runs
from stageapp.normalization.progress import progress

# Gauges of the mode that is stored, its history, and the processes that follow it.


def stored_mode() -> Iterator[Metric]:
    """Yield the stored mode and figures from its history."""
    state, past, now = store.latest(), history.read(), timezone.now()
    since = past.phase_since()
    kinds = Counter(change.kind for change in past.changes)
    yield metrics.MODE_INFO.of({(mode,): mode == state.mode for mode in metrics.MODES})
    yield metrics.MODE_PERCENT.value(state.percent)
    yield metrics.MODE_VERSION.value(state.version)
    yield metrics.MODE_EPOCH.value(state.epoch)
    yield metrics.MODE_AGE.value((now - since).total_seconds() if since else None)
    yield metrics.MODE_LATCHED.value(past.latched)
    yield metrics.MODE_CHANGES.of(
        {(kind,): kinds[kind] for kind in ("manual", "downgrade", "scheduled")}
    )
    yield metrics.WARN_SECONDS.value(past.time_in_warn(now).total_seconds())


def registry() -> Iterator[Metric]:
    """Yield how many processes are live and how many are stale."""
    seen = Counter((one.name, "live" if one.live else "stale") for one in processes.seen())
    names = ("web", "worker", "beat")
    yield metrics.PROCESSES.of(
        {(name, state): seen[name, state] for name in names for state in ("live", "stale")}
    )


# Gauges of what there is to show before a run: a verified backup, a rehearsal.


def ages() -> Iterator[Metric]:
    """Yield the age of the newest verified backup's data and of the newest valid rehearsal."""
    backups, now = evidence.read(), timezone.now()
    for family, at in (
        (metrics.BACKUP_AGE, backups.taken_at),
        (metrics.REHEARSAL_AGE, backups.rehearsed_at),
    ):
        yield family.value((now - at).total_seconds() if at else None)
    yield metrics.BACKUP_REQUIRED.value(conf.settings.require_backup)


# Gauges of what waits. The rows are the queue; the broker's messages only tell whether anybody
# takes nudges.


def waiting_rows() -> Iterator[Metric]:
    """Yield the number of runs that lack a worker and of backup jobs not yet started."""
    jobs = BackupJob.objects.filter(state="waiting").count()
    yield metrics.QUEUE_DEPTH.of({("runs",): len(runs.forgotten()), ("backups",): jobs})


def waiting_messages() -> int:
    """Return the number of messages in the broker; raises its client's error if it is down."""
    queue = current_app.conf.task_default_queue
    with current_app.connection_for_read() as connection:
        channel = connection.channel()
        try:
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except connection.channel_errors:  # an empty queue is no key in Redis
            return 0


# Gauges of the runs: state and progress of each target's newest, rows of all of them, and drift
# since.

_OUTCOMES = ("scanned", "changed", "skipped")
_PROGRESS = {
    metrics.RUN_TOTAL: "total",
    metrics.RUN_SCANNED: "scanned",
    metrics.RUN_CHANGED: "changed",
    metrics.RUN_SKIPPED: "skipped",
    metrics.RUN_RATE: "rate",
    metrics.RUN_ETA: "eta_seconds",
}


def newest_runs() -> Iterator[Metric]:
    """Yield the state of each target's newest run, and the progress of unfinished ones."""
    runs = list(Run.objects.select_related("plan").order_by("target", "-id").distinct("target"))
    apart = dict(
        Run.objects.filter(pk__in=[run.pk for run in runs]).values_list(
            "target", Count("quarantine")
        )
    )
    now = timezone.now()
    yield metrics.RUN_STATE.of({(run.target, run.state): 1 for run in runs})
    heard = {
        run.target: leases.last_heartbeat(run) or run.started_at or run.created_at
        for run in runs
        if run.state in ACTIVE
    }
    yield metrics.RUN_HEARTBEAT.of(
        {(target,): (now - at).total_seconds() for target, at in heard.items()}
    )
    yield metrics.RUN_QUARANTINED.of({(target,): rows for target, rows in apart.items()})
    latest = {run.target: progress(run) for run in runs if run.state in UNFINISHED}
    for family, name in _PROGRESS.items():
        values = {(target,): getattr(one, name) for target, one in latest.items()}
        yield family.of({labels: value for labels, value in values.items() if value is not None})


def all_rows() -> Iterator[Metric]:
    """Yield the rows of all runs; checkpoints hold the sums, so no audit entry is read."""
    sums = Checkpoint.objects.order_by().values_list("direction")
    totals = {
        direction: rows
        for direction, *rows in sums.annotate(*(Sum(outcome) for outcome in _OUTCOMES))
    }
    told: dict[tuple[str, ...], float] = {}
    for direction in (Direction.FORWARD.value, Direction.ROLLBACK.value):
        rows = totals.get(direction, [0] * len(_OUTCOMES))
        told |= {
            (direction, outcome): count for outcome, count in zip(_OUTCOMES, rows, strict=True)
        }
    yield metrics.RUN_ROWS.of(told)


def throttled() -> Iterator[Metric]:
    """Yield how long the workers of all runs have been throttled, by reason."""
    yield metrics.RUN_THROTTLED.of(
        {(reason,): waited for reason, waited in limits.seconds_by_reason().items()}
    )


def drift() -> Iterator[Metric]:
    """Yield what drift checks found in normalized columns."""
    checks, now = list(DriftCheck.objects.defer("spellings")), timezone.now()
    rows: dict[tuple[str, ...], float] = {}
    for check in checks:
        rows |= {
            (check.target, "known"): check.known_rows,
            (check.target, "unknown"): check.unknown_rows,
        }
    yield metrics.DRIFT_ROWS.of(rows)
    yield metrics.DRIFT_AGE.of(
        {(check.target,): (now - check.looked_at).total_seconds() for check in checks}
    )


# One scrape's reading of PostgreSQL and the broker, in bounded time.
#
# A thread of its own reads, so that a store that hangs costs a scrape two seconds and one thread,
# not a server: while it hangs, later scrapes wait for the same thread. The watchdog cuts its
# connection in the end.

SCRAPE_SECONDS = 2.0
_STATEMENT_TIMEOUT = "1s"

Gauges = Callable[[], Iterator[Metric]]

# What is read, in this order; a part that fails is left out, and the others are told.
PARTS: tuple[Gauges, ...] = (
    stored_mode,
    registry,
    newest_runs,
    all_rows,
    throttled,
    drift,
    ages,
    waiting_rows,
)


class StoreCollector(Collector):
    """Collects from PostgreSQL and the broker; never fails, and never exceeds SCRAPE_SECONDS."""

    def collect(self) -> Iterator[Metric]:
        """Yield what could be read in time, and whether the database responded."""
        yield from _reading().result(SCRAPE_SECONDS)


class _Reading:
    """One thread's reading, shared by concurrent scrapes."""

    def __init__(self) -> None:
        self._found: list[Metric] = []
        self._database_seconds: float | None = None
        self._watchdog = Watchdog()
        self._thread = threading.Thread(target=self._read, name="stage-metrics", daemon=True)
        self._thread.start()

    @property
    def under_way(self) -> bool:
        return self._thread.is_alive()

    def result(self, seconds: float) -> list[Metric]:
        """Return what is there when the thread ends, or after this many seconds."""
        self._thread.join(seconds)
        self._watchdog.look()
        took = self._database_seconds
        up = [metrics.DATABASE_UP.value(took is not None), metrics.DATABASE_SECONDS.value(took)]
        return [*up, *self._found]

    def _read(self) -> None:
        began = time.monotonic()
        try:
            self._watchdog.watch_this_thread()
            with self._watchdog.watching("metrics"):
                metrics = list(from_database())
            self._found, self._database_seconds = metrics, time.monotonic() - began
        except Exception as error:
            events.gauges_failed(part="database", error=repr(error))
        finally:
            with suppress(Error):
                connection.close()
            self._watchdog.close()
        self._found = [*self._found, *from_broker()]


def from_database() -> Iterator[Metric]:
    """Yield what every part knows, from one transaction on this thread's connection.

    Raises:
        django.db.Error: PostgreSQL does not respond.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [_STATEMENT_TIMEOUT])
        for part in PARTS:
            try:
                with transaction.atomic():
                    read = list(part())
            except Exception as error:
                session = connection.connection
                if session is None or session.closed or session.broken:
                    raise
                events.gauges_failed(part=part.__qualname__, error=repr(error))
            else:
                yield from read


def from_broker() -> Iterator[Metric]:
    """Yield whether the broker responds, and how many messages wait."""
    try:
        waiting = waiting_messages()
    except Exception as error:
        events.gauges_failed(part="broker", error=repr(error))
        yield metrics.BROKER_UP.value(0)
    else:
        yield metrics.BROKER_UP.value(1)
        yield metrics.BROKER_MESSAGES.value(waiting)


_lock = threading.Lock()
_latest: _Reading | None = None


def _reading() -> _Reading:
    global _latest
    with _lock:
        if _latest is None or not _latest.under_way:
            _latest = _Reading()
        return _latest


def forget() -> None:
    """Reset the state in a forked child."""
    global _lock, _latest
    _lock, _latest = threading.Lock(), None


os.register_at_fork(after_in_child=forget)


CHALLENGE = 'Bearer realm="metrics"'


@csrf_exempt  # so that a wrong method is told as one
@require_safe
def metrics_page(request: HttpRequest) -> HttpResponse:
    """Return the metrics in Prometheus text format to permitted scrapers, 401 to everyone else."""
    if not network.may_scrape(request.META):
        return HttpResponse(
            "Scrape from one of STAGE_OPS_NETWORKS, or send STAGE_METRICS_TOKEN as a bearer "
            "token.\n",
            status=401,
            content_type="text/plain",
            headers={"WWW-Authenticate": CHALLENGE},
        )
    stores = CollectorRegistry()
    stores.register(StoreCollector())
    read = generate_latest(stores)  # first, as it may have to wait: the counts are of now
    return HttpResponse(
        archive.text() + read,
        content_type=CONTENT_TYPE_PLAIN_0_0_4,
        headers={"Cache-Control": "no-store"},
    )
