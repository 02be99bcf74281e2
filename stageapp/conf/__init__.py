"""The settings, typed and with their meaning in one place.

`conf.settings.batch_seconds` is read from Django's settings at call time, so that a test may override
it, and a project that sets nothing gets the default. The table is in `table.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from urllib.parse import parse_qsl

from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac

from stageapp.conf.setting import Setting
from stageapp.conf.table import MOST_WARN_DAYS, Settings

MODES = ("off", "warn", "enforce")
DEFAULT_MODE_CEILING = "warn"
DRIFT_SECONDS = 60.0  # the period of the drift check
MIN_METRICS_TOKEN = 32  # characters

settings = Settings()


def sections() -> Iterator[tuple[str, list[Setting[Any]]]]:
    """Yield the heading and the rows of each section."""
    for section in Settings.__bases__:
        rows = [row for row in vars(section).values() if isinstance(row, Setting)]
        yield str(section.__doc__), rows


ROWS: list[Setting[Any]] = [row for _, rows in sections() for row in rows]


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that the environment gives, by name; an empty variable is an unset one.

    Raises:
        ImproperlyConfigured: a variable is malformed or out of bounds; the text says which one,
            and what is allowed.
    """
    values = {}
    for row in ROWS:
        try:
            text = environment.get(row.name, "").strip()
            if text:
                values[row.name] = row.parse(text)
        except OSError as error:
            raise ImproperlyConfigured(f"{row.name}_FILE cannot be read: {error}") from None
        except ValueError:
            raise ImproperlyConfigured(row.refusal(text)) from None
        if text and not row.takes(values[row.name]):
            raise ImproperlyConfigured(row.refusal(text))
    return values


def default_mode() -> str:
    """Return the mode that applies until a store answers; never stricter than `warn`."""
    configured = settings.validation_mode
    return configured if configured in ("off", "warn") else DEFAULT_MODE_CEILING


def targets() -> list[str]:
    """Return the columns that may be normalized, each as `app.Model.field`."""
    return [entry.partition("?")[0] for entry in settings.targets]


def target_options(label: str) -> dict[str, str]:
    """Return a target's options in STAGE_TARGETS, e.g. `app.Model.field?source=origin`."""
    entry = next(entry for entry in settings.targets if entry.partition("?")[0] == label)
    return dict(parse_qsl(entry.partition("?")[2], keep_blank_values=True))


def drift_look_seconds() -> float:
    """Return how old the newest drift check may be to count, in seconds."""
    return 2 * DRIFT_SECONDS


def base_url() -> str:
    """Return the URL at which this site can call itself, without a trailing slash, or empty."""
    return settings.base_url.rstrip("/")


def metrics_tokens() -> list[str]:
    """Return the tokens that may read metrics from anywhere; one that is too short does not
    count.
    """
    return [token for token in settings.metrics_token.split() if len(token) >= MIN_METRICS_TOKEN]


def backup_keys() -> list[str]:
    """Return the signing keys of backups; the first one signs.

    With the embedded servers and no key configured, one is derived from SECRET_KEY.
    """
    if keys := settings.backup_key.split():
        return keys
    return (
        [salted_hmac("stageapp.backups", "key", algorithm="sha256").hexdigest()]
        if settings.embedded
        else []
    )


@dataclass(frozen=True)
class GateThresholds:
    """What gates hold against what was measured (docs/rollout.md); percentages are of requests."""

    unknown_percent: float
    hour_unknown_percent: float
    warn_days: int
    backup_hours: float
    warn_max_days: int = MOST_WARN_DAYS
    day_sample: int = 200  # with fewer, a single unknown request would exceed 0.5 %
    hour_sample: int = 100  # the same for 1 %
    green_minutes: int = 30
    slow_percent: float = 1.0  # slower than 1 ms: a p99 below 1 ms
    error_percent: float = 0.1
    minute_sample: int = 10
    canary_hours: float = 2.0
    half_hours: float = 4.0
    done_hours: float = 24.0
    audit_days: float = 7.0


@dataclass(frozen=True)
class AutoDowngradeThresholds:
    """When auto-downgrade takes enforce back (docs/rollout.md); percentages are of enforced requests."""

    enabled: bool
    percent: float
    minutes: int = 5
    sample: int = 50
    fast_percent: float = 20.0
    fast_seconds: int = 30  # a multiple of the 10 s that counts are kept by
    fast_sample: int = 20


def gates() -> GateThresholds:
    return GateThresholds(
        settings.gate_unknown_percent,
        settings.gate_hour_unknown_percent,
        settings.gate_warn_days,
        settings.gate_backup_hours,
    )


def auto_downgrade() -> AutoDowngradeThresholds:
    """Return the thresholds of the auto-downgrade."""
    return AutoDowngradeThresholds(settings.auto_downgrade, settings.auto_downgrade_percent)


def share(percent: float) -> Fraction:
    """Return a percentage as an exact share, so that a rate equal to a threshold compares equal."""
    return Fraction(str(percent)) / 100
