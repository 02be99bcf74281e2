"""System checks of the project's settings: what is wrong, what counts instead, what to do."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error, Warning, register

from stageapp import conf
from stageapp.backups import jobs, postgres
from stageapp.backups.errors import BackupError
from stageapp.backups.manifest import MIN_KEY_LENGTH
from stageapp.backups.rehearse import EMBEDDED
from stageapp.conf import DEFAULT_MODE_CEILING, MODES
from stageapp.infrastructure import events, network
from stageapp.normalization import batches
from stageapp.normalization.throttle import factors, standbys
from stageapp.targets import targets
from stageapp.targets.errors import TargetError

TAG = "stageapp"
LOCK_SECONDS_CAP = 10.0  # writers queue behind whoever waits for the table

_MODE_MEANING = "It counts only when the database is installed, and while no store answers."


@register(TAG)
def check_default_mode(**_: Any) -> list[CheckMessage]:
    """E001: the mode does not exist. E002: it is stricter than a default may be."""
    configured, in_force = conf.configured_mode(), conf.default_mode()
    if configured == in_force:
        return []
    said = f"STAGE_VALIDATION_MODE is {configured!r}"
    hint = f"Set it to off or warn, or leave it out. {_MODE_MEANING}"
    if configured not in MODES:
        return [
            Error(
                f"{said}, which is no mode; {in_force} counts instead.",
                hint=hint,
                id="stageapp.E001",
            )
        ]
    return [
        Error(
            f"{said}, but a default never exceeds {DEFAULT_MODE_CEILING}; {in_force} counts "
            "instead.",
            hint=f"{hint} `manage.py mode set {configured}` enforces.",
            id="stageapp.E002",
        )
    ]


@register(TAG)
def check_targets(**_: Any) -> list[CheckMessage]:
    """E003: a target cannot be normalized. E004: a target is named twice."""
    labels = conf.targets()
    messages: list[CheckMessage] = []
    for label in dict.fromkeys(labels):
        try:
            targets.resolve(label)
        except TargetError as error:
            hint = "Write STAGE_TARGETS as app.Model.field, several separated by commas."
            messages.append(Error(str(error), hint=hint, id="stageapp.E003"))
        if labels.count(label) > 1:
            hint = "Name each target once."
            messages.append(
                Error(f"STAGE_TARGETS names {label} twice.", hint=hint, id="stageapp.E004")
            )
    return messages


@dataclass(frozen=True)
class _Range:
    """What a number may be: more than 0 (or 0 too), finite, and at most `most`."""

    name: str
    value: float
    most: float = math.inf
    or_zero: bool = False

    @property
    def holds(self) -> bool:
        positive = self.value > 0 or (self.or_zero and self.value == 0)
        return positive and math.isfinite(self.value) and self.value <= self.most

    @property
    def hint(self) -> str:
        least = "0 or more" if self.or_zero else "more than 0"
        return f"Set it to {least}{f', at most {self.most:g}' if math.isfinite(self.most) else ''}."


@register(TAG)
def check_numbers(**_: Any) -> list[CheckMessage]:
    """E005 to E009, E034: a number makes no sense."""
    staleness = conf.mode_max_staleness()
    ranges = {
        "stageapp.E005": _Range("STAGE_BATCH_SECONDS", conf.batch_seconds(), batches.MOST_SECONDS),
        "stageapp.E006": _Range(
            "STAGE_BATCH_PAUSE_SECONDS", conf.batch_pause_seconds(), or_zero=True
        ),
        "stageapp.E007": _Range("STAGE_MODE_MAX_STALENESS", staleness),
        "stageapp.E008": _Range("STAGE_REFRESH_SECONDS", conf.refresh_seconds(), staleness),
        "stageapp.E009": _Range("STAGE_PLAN_MAX_AGE_HOURS", conf.plan_max_age_hours()),
        "stageapp.E034": _Range(
            "STAGE_SEAL_LOCK_SECONDS", conf.seal_lock_seconds(), LOCK_SECONDS_CAP
        ),
    }
    return [
        Error(f"{it.name} is {it.value:g}.", hint=it.hint, id=code)
        for code, it in ranges.items()
        if not it.holds
    ]


@register(TAG)
def check_networks(**_: Any) -> list[CheckMessage]:
    """E010: an internal network is no network. E011: there cannot be so many proxies."""
    hint = (
        "Write STAGE_INTERNAL_NETWORKS in CIDR notation, several separated by commas, e.g. "
        "10.0.0.0/8,fd00::/8."
    )
    messages = _no_networks(
        conf.internal_networks(), "no client counts as inside it", hint, "stageapp.E010"
    )
    if conf.trusted_proxies() < 0:
        said = f"STAGE_TRUSTED_PROXIES is {conf.trusted_proxies()}; 0 counts instead."
        messages.append(
            Error(
                said, hint="Set it to how many proxies add to X-Forwarded-For.", id="stageapp.E011"
            )
        )
    return messages


def _no_networks(names: Iterable[str], so: str, hint: str, code: str) -> list[CheckMessage]:
    strange = [name for name in names if network.parse(name) is None]
    return [Error(f"{name!r} is no network; {so}.", hint=hint, id=code) for name in strange]


@register(TAG)
def check_ops_access(**_: Any) -> list[CheckMessage]:
    """E030: a network of the operators is none. E031: a token is too short to be secret. E032:
    the rate is no share.
    """
    hint = (
        "Write STAGE_OPS_NETWORKS in CIDR notation, several separated by commas, e.g. "
        "127.0.0.0/8,10.1.0.0/16."
    )
    messages = _no_networks(conf.ops_networks(), "nobody in it may scrape", hint, "stageapp.E030")
    if len(conf.metrics_tokens()) < len(conf.configured_metrics_tokens()):
        said = (
            f"A token in STAGE_METRICS_TOKEN is shorter than {conf.MIN_METRICS_TOKEN} "
            "characters; it does not count."
        )
        messages.append(Error(said, hint="Make one with: openssl rand -hex 32", id="stageapp.E031"))
    if not 0 < conf.log_sample_rate() <= 1:
        said = f"STAGE_LOG_SAMPLE_RATE is {conf.log_sample_rate():g}."
        messages.append(Error(said, hint="Set it to more than 0, at most 1.", id="stageapp.E032"))
    return messages


@register(TAG)
def check_thresholds(**_: Any) -> list[CheckMessage]:
    """E020: a threshold of the gates or the guard makes no sense."""
    hint = ".env.example tells the defaults of STAGE_GATE_… and STAGE_GUARD_…."
    return [Error(said, hint=hint, id="stageapp.E020") for said in conf.nonsense()]


@register(TAG)
def check_backups(**_: Any) -> list[CheckMessage]:
    """E012: a key is too short. W013: runs need a backup, and nobody can make one. W019: they
    come too seldom.
    """
    messages: list[CheckMessage] = []
    if any(len(key) < MIN_KEY_LENGTH for key in conf.backup_keys()):
        said = (
            f"A key in STAGE_BACKUP_KEY is shorter than {MIN_KEY_LENGTH} characters; no "
            "backup is signed or accepted."
        )
        messages.append(Error(said, hint="Make one with: openssl rand -hex 32", id="stageapp.E012"))
    can_make = conf.backup_adapter() or (conf.backup_folder() and conf.backup_keys())
    if conf.backup_required() and not can_make:
        said = "Runs need a verified backup, and STAGE_BACKUP_DIR or STAGE_BACKUP_KEY is not set."
        hint = (
            "Set both, or STAGE_BACKUP_ADAPTER to that of your backup system, or "
            "STAGE_REQUIRE_BACKUP=0."
        )
        messages.append(Warning(said, hint=hint, id="stageapp.W013"))
    if jobs.too_slow():
        said = (
            f"STAGE_BACKUP_MINUTES is {conf.backup_minutes():g}: the newest verified backup is "
            "older than STAGE_GATE_BACKUP_HOURS asks for a part of the time, and no run starts "
            "then."
        )
        hint = (
            f"Take at least {jobs.MARGIN_MINUTES:g} minutes less than the gate's limit, or "
            "raise the limit."
        )
        messages.append(Warning(said, hint=hint, id="stageapp.W019"))
    return messages


@register(TAG)
def check_rehearsal(**_: Any) -> list[CheckMessage]:
    """E014: nobody can rehearse there."""
    if (chosen := conf.rehearsal_database()) in ("", EMBEDDED):
        return []
    try:
        postgres.of_url(chosen)
    except BackupError as error:
        said = f"REHEARSAL_DATABASE_URL cannot be used. {error}"
        hint = "Set it to the URL of a server, to `embedded`, or leave it out for the live server."
        return [Error(said, hint=hint, id="stageapp.E014")]
    return []


@register(TAG)
def check_webhook(**_: Any) -> list[CheckMessage]:
    """E040: a test of the webhook would lead nowhere. E041: its log would be forgotten at once."""
    messages: list[CheckMessage] = []
    address = urlsplit(conf.base_url())
    if conf.base_url() and (
        address.scheme not in ("http", "https") or not address.hostname or address.query
    ):
        hint = "Write it as https://stages.example.org, or leave it out."
        messages.append(
            Error("STAGE_BASE_URL is no http or https address.", hint=hint, id="stageapp.E040")
        )
    if conf.webhook_retention_days() < 1:
        said = f"STAGE_WEBHOOK_RETENTION_DAYS is {conf.webhook_retention_days()}."
        messages.append(Error(said, hint="Set it to 1 or more.", id="stageapp.E041"))
    return messages


@register(TAG)
def check_throttle(**_: Any) -> list[CheckMessage]:
    """E035: a limit that holds runs makes no sense. E036: no limit to go on at. E037: a
    standby's URL is none.
    """
    messages: list[CheckMessage] = [
        Error(
            f"STAGE_HOLD_{name.upper()}: {said}",
            hint=".env.example tells the defaults.",
            id="stageapp.E035",
        )
        for name, limit in conf.hold_limits().items()
        if (said := factors.nonsense(name, limit))
    ]
    percent = conf.hold_resume_percent()
    if not factors.LEAST_RESUME <= percent <= factors.MOST_RESUME:
        hint = (
            f"Take {factors.LEAST_RESUME:g} to {factors.MOST_RESUME:g}; at 100 a run would flutter."
        )
        messages.append(
            Error(f"STAGE_HOLD_RESUME_PERCENT is {percent:g}.", hint=hint, id="stageapp.E036")
        )
    if wrong := [
        number for number, url in enumerate(conf.standby_urls(), 1) if not standbys.is_url(url)
    ]:
        # not the URL: a password is in it
        said = f"STAGE_STANDBY_URLS: number {wrong[0]} is no URL of a PostgreSQL."
        messages.append(
            Error(
                said, hint="Write postgres://user:password@host:5432/database.", id="stageapp.E037"
            )
        )
    return messages


def report_ignored_mode() -> None:
    """Log that the configured mode is not the one that counts; a server runs no checks when it
    starts.
    """
    configured, in_force = conf.configured_mode(), conf.default_mode()
    if configured != in_force:
        events.setting_ignored(name="STAGE_VALIDATION_MODE", value=configured, instead=in_force)
