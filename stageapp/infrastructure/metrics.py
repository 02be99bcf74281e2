"""The metrics: what this process counts, and the families read from PostgreSQL.

Labels are few, and their values are ours, never a caller's. Those on a request's path are bound
once. Import this after `multiprocess.begin`: the first import decides whether values are shared
between processes.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

MODES = ("off", "warn", "enforce")
STORES = ("postgres", "redis")
# Seconds. The gates speak of 1 ms; an ordinary validation takes some microseconds.
VALIDATION_EDGES = (
    5e-6,
    1e-5,
    2.5e-5,
    5e-5,
    1e-4,
    2.5e-4,
    5e-4,
    7.5e-4,
    1e-3,
    2e-3,
    5e-3,
    1e-2,
    2.5e-2,
    5e-2,
    0.1,
)
BATCH_EDGES = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 2.5, 5.0)
TASK_EDGES = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0, 1800.0)

_requests = Counter(
    "stage_requests_total",
    "Requests that may contain stages, by effective mode and outcome.",
    ["endpoint", "mode", "outcome"],
)
_shadow_rejects = Counter(
    "stage_shadow_rejects_total",
    "Requests with an unknown stage: enforce would refuse them, whatever the effective mode was.",
    ["endpoint", "mode"],
)
_unknowns = Counter(
    "stage_unknowns_total", "Requests that contained an unknown value, by reason.", ["reason"]
)
_validation = Histogram(
    "stage_validation_seconds",
    "Time to validate the stages of one request.",
    ["endpoint"],
    buckets=VALIDATION_EDGES,
)
_refresh_attempts = Counter(
    "stage_mode_refresh_attempts_total", "Attempts to refresh the mode.", ["store"]
)
_refresh_errors = Counter(
    "stage_mode_refresh_errors_total", "Attempts to refresh the mode that failed.", ["store"]
)
_mode_processes = Gauge(
    "stage_mode_processes",
    "Live processes by the mode they apply.",
    ["process", "mode"],
    multiprocess_mode="livesum",
)
_mode_followed = Gauge(
    "stage_mode_followed_version",
    "The oldest mode version that a live process follows.",
    ["process"],
    multiprocess_mode="livemin",
)
_mode_confirmed = Gauge(
    "stage_mode_confirmed_timestamp_seconds",
    "When a store last confirmed the mode to the live process that has waited longest; 0 "
    "means never.",
    ["process"],
    multiprocess_mode="livemin",
)
_batches = Histogram(
    "stage_run_batch_seconds",
    "Duration of one batch's transaction.",
    ["direction"],
    buckets=BATCH_EDGES,
)
_batch_retries = Counter(
    "stage_run_batch_retries_total", "Batches that failed, were rolled back and retried."
)
_tasks = Histogram(
    "stage_task_seconds", "Duration of one worker task.", ["task", "outcome"], buckets=TASK_EDGES
)
_webhook = Counter(
    "stage_webhook_deliveries_total",
    "Deliveries to the downgrade webhook.",
    ["authenticator", "outcome"],
)

_request_bound = cache(_requests.labels)
_shadow_bound = cache(_shadow_rejects.labels)
_unknown_bound = cache(_unknowns.labels)
_validation_bound = cache(_validation.labels)
_attempt_of = {store: _refresh_attempts.labels(store) for store in STORES}
_error_of = {store: _refresh_errors.labels(store) for store in STORES}


def request_counted(
    *,
    endpoint: str,
    mode: str,
    outcome: str,
    seconds: float | None = None,
    reasons: Collection[str] = frozenset(),
) -> None:
    """Count a request, its validation time, and the distinct reasons of its unknown values."""
    _request_bound(endpoint, mode, outcome).inc()
    if seconds is not None:
        _validation_bound(endpoint).observe(seconds)
    if reasons:
        _shadow_bound(endpoint, mode).inc()
        for reason in reasons:
            _unknown_bound(reason).inc()


def refresh_attempted(store: str) -> None:
    """Count one re-read of the mode from `postgres` or `redis`."""
    _attempt_of[store].inc()


def refresh_failed(store: str) -> None:
    """Count one re-read that got no answer."""
    _error_of[store].inc()


def mode_followed(*, process: str, mode: str, version: int, confirmed_at: float) -> None:
    """Set this process's mode in force; `confirmed_at` is in seconds since 1970, 0 for never."""
    for each in MODES:
        _mode_processes.labels(process, each).set(each == mode)
    _mode_followed.labels(process).set(version)
    _mode_confirmed.labels(process).set(confirmed_at)


def batch_committed(*, direction: str, seconds: float) -> None:
    """Count one batch of a run."""
    _batches.labels(direction).observe(seconds)


def batch_retried() -> None:
    _batch_retries.inc()


def task_ended(*, task: str, outcome: str, seconds: float) -> None:
    """Count one task; `outcome` is `success`, `failure` or `retry`."""
    _tasks.labels(task, outcome).observe(seconds)


def webhook_delivered(*, authenticator: str, outcome: str) -> None:
    """Count one delivery; both labels come from the receiver's own closed sets."""
    _webhook.labels(authenticator, outcome).inc()


@dataclass(frozen=True)
class Family:
    """A metric read from PostgreSQL at a scrape; every web server reports it, so never sum it."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    counts: bool = False  # it only grows

    def of(self, values: Mapping[tuple[str, ...], float]) -> Metric:
        """Return the family with a sample for each tuple of label values."""
        kind = CounterMetricFamily if self.counts else GaugeMetricFamily
        family = kind(self.name, self.help, labels=self.labels)
        for labels, value in values.items():
            family.add_metric(labels, float(value))
        return family

    def value(self, value: float | None) -> Metric:
        """Return the family with one sample, or without any if the value is unknown."""
        return self.of({} if value is None else {(): value})


DATABASE_UP = Family("stage_database_up", "Whether PostgreSQL answered this scrape in time.")
DATABASE_SECONDS = Family("stage_database_scrape_seconds", "Time PostgreSQL took for this scrape.")
BROKER_UP = Family("stage_broker_up", "Whether the broker answered this scrape in time.")
BROKER_MESSAGES = Family("stage_broker_messages", "Messages that no worker has taken.")
MODE_INFO = Family("stage_mode_info", "1 for the stored mode, 0 for the others.", ("mode",))
MODE_PERCENT = Family("stage_mode_percent", "The enforced share; 100 outside enforce.")
MODE_VERSION = Family("stage_mode_version", "Version of the stored mode.")
MODE_EPOCH = Family(
    "stage_mode_epoch", "Epoch of the stored mode; a restored database begins a new one."
)
MODE_AGE = Family("stage_mode_age_seconds", "Time since the mode or percentage last changed.")
MODE_LATCHED = Family("stage_mode_latched", "Whether the latch of an automatic downgrade is set.")
MODE_CHANGES = Family(
    "stage_mode_changes_total", "Changes of mode by who made them.", ("kind",), counts=True
)
WARN_SECONDS = Family("stage_mode_warn_seconds", "Time spent in warn in this warn period.")
PROCESSES = Family("stage_processes", "Processes in the registry.", ("process", "state"))
RUN_STATE = Family(
    "stage_run_state", "1 for the state of a target's newest run.", ("target", "state")
)
RUN_TOTAL = Family("stage_run_total_rows", "Rows an unfinished run has to read.", ("target",))
RUN_SCANNED = Family("stage_run_scanned_rows", "Rows an unfinished run has read.", ("target",))
RUN_CHANGED = Family("stage_run_changed_rows", "Rows an unfinished run has changed.", ("target",))
RUN_SKIPPED = Family(
    "stage_run_skipped_rows",
    "Rows an unfinished run left alone because others had changed them.",
    ("target",),
)
RUN_RATE = Family("stage_run_rate_rows_per_second", "Rows read per second, over 30 s.", ("target",))
RUN_ETA = Family("stage_run_eta_seconds", "Remaining time of an unfinished run.", ("target",))
RUN_HEARTBEAT = Family(
    "stage_run_heartbeat_age_seconds",
    "Time since the last heartbeat of a run that should be working.",
    ("target",),
)
RUN_ROWS = Family(
    "stage_run_rows_total", "Rows of all runs.", ("direction", "outcome"), counts=True
)
RUN_QUARANTINED = Family(
    "stage_run_quarantined_rows", "Rows quarantined by a target's newest run.", ("target",)
)
RUN_THROTTLED = Family(
    "stage_run_throttled_seconds_total", "Time runs were throttled.", ("reason",), counts=True
)
BACKUP_AGE = Family("stage_backup_age_seconds", "Age of the data in the newest verified backup.")
REHEARSAL_AGE = Family(
    "stage_rehearsal_age_seconds", "Time since the last successful restore rehearsal."
)
BACKUP_REQUIRED = Family("stage_backup_required", "Whether a run needs a verified backup.")
QUEUE_DEPTH = Family("stage_queue_depth", "Work waiting in a queue.", ("queue",))
DRIFT_ROWS = Family(
    "stage_drift_rows", "Rows that have drifted since a target's run was done.", ("target", "kind")
)
DRIFT_AGE = Family("stage_drift_check_age_seconds", "Time since the last drift check.", ("target",))

FAMILIES = tuple(value for value in list(globals().values()) if isinstance(value, Family))
_INSTRUMENTS = tuple(
    value for value in list(globals().values()) if isinstance(value, Counter | Gauge | Histogram)
)


def series() -> Iterator[str]:
    """Yield the name of every time series, as rules and dashboards write it."""
    for family in FAMILIES:
        yield family.name
    for instrument in _INSTRUMENTS:
        [metric] = instrument.describe()
        if metric.type == "histogram":
            yield from (f"{metric.name}_{part}" for part in ("bucket", "count", "sum"))
        else:
            yield f"{metric.name}_total" if metric.type == "counter" else metric.name
