"""The project's own settings, typed and with their meaning in one place.

Everything is read at call time, so that a test may override a setting.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import parse_qsl

from django.conf import settings
from django.utils.crypto import salted_hmac

MODES = ("off", "warn", "enforce")
DEFAULT_MODE_CEILING = "warn"
MIN_METRICS_TOKEN = 32  # characters


def configured_mode() -> str:
    """Return the default mode as it is configured, which may be none; `default_mode` is what
    counts.
    """
    return str(settings.STAGE_VALIDATION_MODE)


def default_mode() -> str:
    """Return the mode that counts while neither store has an answer; never stricter than `warn`."""
    configured = configured_mode()
    return configured if configured in ("off", "warn") else DEFAULT_MODE_CEILING


def mode_max_staleness() -> float:
    """Return how long a known mode outlives both stores before `enforce` counts as `warn`, in
    seconds.
    """
    return float(settings.STAGE_MODE_MAX_STALENESS)


def refresh_seconds() -> float:
    """Return the period of the background re-read, in seconds."""
    return float(settings.STAGE_REFRESH_SECONDS)


def refresher_enabled() -> bool:
    """Tell whether this process may run the background refresher (the tests and short commands
    may not).
    """
    return bool(settings.STAGE_REFRESHER)


def targets() -> list[str]:
    """Return the columns that may be normalized, each as `app.Model.field`."""
    return [entry.partition("?")[0] for entry in settings.STAGE_TARGETS]


def target_options(label: str) -> dict[str, str]:
    """Return what STAGE_TARGETS says of a target behind its `?`, e.g.
    `app.Model.field?source=origin`.
    """
    entry = next(entry for entry in settings.STAGE_TARGETS if entry.partition("?")[0] == label)
    return dict(parse_qsl(entry.partition("?")[2], keep_blank_values=True))


def batch_seconds() -> float:
    """Return the time one batch transaction aims at, in seconds."""
    return float(settings.STAGE_BATCH_SECONDS)


def batch_pause_seconds() -> float:
    """Return the rest between two batches, in seconds."""
    return float(settings.STAGE_BATCH_PAUSE_SECONDS)


def single_transaction_rows() -> int:
    """Return how many rows a table may have for a run in one transaction."""
    return int(settings.STAGE_SINGLE_TRANSACTION_ROWS)


def hold_limits() -> dict[str, float]:
    """Return what holds a run, by factor, each limit in the factor's unit; 0 is off."""
    return {name: float(limit) for name, limit in settings.STAGE_HOLD.items()}


def hold_resume_percent() -> float:
    """Return at which part of a limit a held run goes on, in percent."""
    return float(settings.STAGE_HOLD_RESUME_PERCENT)


def standby_urls() -> list[str]:
    """Return the URLs of standbys whose lag is asked of themselves."""
    return list(settings.STAGE_STANDBY_URLS)


def disk_paths() -> list[str]:
    """Return the folders of this machine whose file systems must not fill up."""
    return list(settings.STAGE_DISK_PATHS)


def plan_max_age_hours() -> float:
    """Return how old a plan may be when its run first starts, in hours."""
    return float(settings.STAGE_PLAN_MAX_AGE_HOURS)


def embedded() -> bool:
    """Tell whether the embedded servers are in use."""
    return bool(settings.EMBEDDED)


def sightings_per_consumer() -> int:
    """Return how many distinct values of one consumer each process keeps apart in a day."""
    return int(settings.STAGE_SIGHTINGS_PER_CONSUMER)


def sighting_retention_days() -> int:
    """Return how long it is kept what a consumer sent, in days."""
    return int(settings.STAGE_SIGHTING_RETENTION_DAYS)


def unknown_retention_days() -> int:
    """Return how long an undecided unknown stays in the queue after it was last seen, in days."""
    return int(settings.STAGE_UNKNOWN_RETENTION_DAYS)


def drift_timeout_seconds() -> float:
    """Return how long one look of the drift watch may take in PostgreSQL, in seconds."""
    return float(settings.STAGE_DRIFT_TIMEOUT_SECONDS)


def drift_seconds() -> float:
    """Return the period of the drift watch, in seconds."""
    return float(settings.STAGE_DRIFT_SECONDS)


def drift_look_seconds() -> float:
    """Return how old the newest look of the drift watch may be to count, in seconds: two of its
    periods.
    """
    return 2 * drift_seconds()


def internal_networks() -> list[str]:
    """Return the networks whose clients count as internal, in CIDR notation."""
    return list(settings.STAGE_INTERNAL_NETWORKS)


def trusted_proxies() -> int:
    """Return how many proxies of ours stand before this server and extend X-Forwarded-For."""
    return int(settings.STAGE_TRUSTED_PROXIES)


def ops_networks() -> list[str]:
    """Return the networks from which metrics may be read and `/_ops/` be reached, in CIDR
    notation.
    """
    return list(settings.STAGE_OPS_NETWORKS)


def configured_metrics_tokens() -> list[str]:
    """Return the tokens as they are configured; `metrics_tokens` are those that count."""
    return str(settings.STAGE_METRICS_TOKEN).split()


def metrics_tokens() -> list[str]:
    """Return the tokens that may read metrics from anywhere; what is too short to be secret is
    none.
    """
    return [token for token in configured_metrics_tokens() if len(token) >= MIN_METRICS_TOKEN]


def worker_metrics() -> tuple[str, int]:
    """Return host and port at which a worker tells its metrics; port 0 is nowhere."""
    return str(settings.STAGE_WORKER_METRICS_HOST), int(settings.STAGE_WORKER_METRICS_PORT)


def log_sample_rate() -> float:
    """Return the share of unknown-stage events that are logged where they are many, 0 to 1."""
    return float(settings.STAGE_LOG_SAMPLE_RATE)


def throttle_per_minute() -> float:
    """Return how many requests a minute each caller may make to one process; 0 is no limit."""
    return float(settings.STAGE_THROTTLE_PER_MINUTE)


def throttle_anonymous_per_minute() -> float:
    """Return the same for each address that calls without good credentials."""
    return float(settings.STAGE_THROTTLE_ANONYMOUS_PER_MINUTE)


def traffic_retention_days() -> int:
    """Return how long hourly counts of traffic are kept, in days."""
    return int(settings.STAGE_TRAFFIC_RETENTION_DAYS)


def two_person_rule() -> bool:
    """Tell whether enforcing and running each take a second person."""
    return bool(settings.STAGE_TWO_PERSON_RULE)


def backup_folder() -> str:
    """Return the folder of the backups; empty if none is set."""
    return str(settings.STAGE_BACKUP_DIR)


def backup_keys() -> list[str]:
    """Return the keys of the backups' signatures, the one that signs first.

    With the embedded servers and no key of one's own it is made from SECRET_KEY.
    """
    if keys := str(settings.STAGE_BACKUP_KEY).split():
        return keys
    return (
        [salted_hmac("stageapp.backups", "key", algorithm="sha256").hexdigest()]
        if embedded()
        else []
    )


def backup_minutes() -> float:
    """Return how often beat makes, verifies and (where due) rehearses a backup, in minutes; 0 is
    never.
    """
    return float(settings.STAGE_BACKUP_MINUTES)


def backups_kept() -> int:
    """Return how many backups `prune` keeps."""
    return int(settings.STAGE_BACKUP_KEEP)


def backup_adapter() -> str:
    """Return the command line of another backup system's adapter; empty without one."""
    return str(settings.STAGE_BACKUP_ADAPTER)


def backup_adapter_seconds() -> float:
    """Return how long the adapter may take, in seconds."""
    return float(settings.STAGE_BACKUP_ADAPTER_SECONDS)


def backup_required() -> bool:
    """Tell whether a run needs a verified backup and a passed rehearsal."""
    return bool(settings.STAGE_REQUIRE_BACKUP)


def postgres_programs() -> str:
    """Return the folder of pg_dump and pg_restore; empty for the ones that come along."""
    return str(settings.STAGE_POSTGRES_PROGRAMS)


def rehearsal_database() -> str:
    """Return where restores are rehearsed: a URL, `embedded`, or empty for the live server."""
    return str(settings.REHEARSAL_DATABASE_URL)


def seal_lock_seconds() -> float:
    """Return how long a step of sealing or of the guard may wait for the table's lock at once,
    in seconds.
    """
    return float(settings.STAGE_SEAL_LOCK_SECONDS)


def webhook_retention_days() -> int:
    """Return how long the webhook's log is kept, in days."""
    return int(settings.STAGE_WEBHOOK_RETENTION_DAYS)


def base_url() -> str:
    """Return the address at which this site calls itself, without a slash at its end; empty if
    none is set.
    """
    return str(settings.STAGE_BASE_URL).rstrip("/")


# The numbers that gates and guard hold against what was measured; percentages are of requests.


@dataclass(frozen=True)
class GateThresholds:
    """`STAGE_GATE_…`, each documented in `.env.example`."""

    unknown_percent: float
    hour_unknown_percent: float
    warn_days: int
    warn_max_days: int
    day_sample: int
    hour_sample: int
    green_minutes: int
    slow_percent: float
    error_percent: float
    minute_sample: int
    canary_hours: float
    half_hours: float
    done_hours: float
    audit_days: float
    backup_hours: float


@dataclass(frozen=True)
class GuardThresholds:
    """`STAGE_GUARD_…`, each documented in `.env.example`."""

    enabled: bool
    percent: float
    minutes: int
    sample: int
    fast_percent: float
    fast_seconds: int
    fast_sample: int


def gates() -> GateThresholds:
    """Return the gates' thresholds."""
    return GateThresholds(**settings.STAGE_GATES)


def guard() -> GuardThresholds:
    """Return the guard's thresholds."""
    return GuardThresholds(**settings.STAGE_GUARD)


def nonsense() -> list[str]:
    """Return what is wrong with the thresholds as they are set, one sentence each, with the
    names to look for.
    """
    problems = [
        *_nonsense_of(settings.STAGE_GATES, "STAGE_GATE"),
        *_nonsense_of(settings.STAGE_GUARD, "STAGE_GUARD"),
    ]
    if guard().fast_seconds % 10:
        problems.append(
            f"STAGE_GUARD_FAST_SECONDS is {guard().fast_seconds}; take a multiple of 10."
        )
    if gates().warn_max_days <= gates().warn_days:
        problems.append(
            "STAGE_GATE_WARN_MAX_DAYS leaves no time for the days of STAGE_GATE_WARN_DAYS; take "
            "more."
        )
    if gates().warn_days >= settings.STAGE_TRAFFIC_RETENTION_DAYS:
        problems.append(
            "STAGE_TRAFFIC_RETENTION_DAYS forgets days that STAGE_GATE_WARN_DAYS asks for; keep "
            "more."
        )
    return problems


def _nonsense_of(values: Mapping[str, float], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        most = 100 if "percent" in name else math.inf
        if name != "enabled" and not (0 < value <= most and math.isfinite(value)):
            bound = ", at most 100" if most == 100 else ""
            yield f"{prefix}_{name.upper()} is {value:g}; take more than 0{bound}."


def share(percent: float) -> Fraction:
    """Return a percentage as an exact share, so that a rate on the threshold is on it and not
    beside it.
    """
    return Fraction(str(percent)) / 100
