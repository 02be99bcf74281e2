"""System checks of the settings: what is wrong, which value applies instead, and what to do."""

import os
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from stageapp import conf
from stageapp.backups import jobs, postgres
from stageapp.backups.errors import BackupError
from stageapp.backups.manifest import MIN_KEY_LENGTH
from stageapp.backups.rehearse import EMBEDDED
from stageapp.conf import DEFAULT_MODE_CEILING, MODES
from stageapp.infrastructure import events, network
from stageapp.normalization import factors, health
from stageapp.targets import targets
from stageapp.targets.errors import TargetError

TAG = "stageapp"
SEE_TABLE = "docs/configuration.md has every setting."

_MODE_MEANING = "It applies only when the database is installed, and while no store answers."


def check_default_mode() -> list[CheckMessage]:
    """E001: the mode does not exist. E002: it is stricter than a default may be."""
    configured, in_force = conf.settings.validation_mode, conf.default_mode()
    if configured == in_force:
        return []
    said = f"STAGE_VALIDATION_MODE is {configured!r}"
    hint = f"Set it to off or warn, or leave it out. {_MODE_MEANING}"
    if configured not in MODES:
        return [
            Error(
                f"{said}, which is not a mode; {in_force} counts instead.",
                hint=hint,
                id="stageapp.E001",
            )
        ]
    return [
        Error(
            f"{said}, but a default never exceeds {DEFAULT_MODE_CEILING}; {in_force} is "
            "used instead.",
            hint=f"{hint} To enforce, use `manage.py mode set {configured}`.",
            id="stageapp.E002",
        )
    ]


def check_targets() -> list[CheckMessage]:
    """E003: a target cannot be normalized. E004: a target is listed twice."""
    labels = conf.targets()
    messages: list[CheckMessage] = []
    for label in dict.fromkeys(labels):
        try:
            targets.resolve(label)
        except TargetError as error:
            hint = "Write STAGE_TARGETS as app.Model.field, several separated by commas."
            messages.append(Error(str(error), hint=hint, id="stageapp.E003"))
        if labels.count(label) > 1:
            hint = "List each target once."
            messages.append(
                Error(f"STAGE_TARGETS lists {label} twice.", hint=hint, id="stageapp.E004")
            )
    return messages


def check_networks() -> list[CheckMessage]:
    """E010: an internal network is not a network."""
    hint = (
        "Write STAGE_INTERNAL_NETWORKS in CIDR notation, several separated by commas, e.g. "
        "10.0.0.0/8,fd00::/8."
    )
    return _no_networks(
        conf.settings.internal_networks, "no client counts as inside it", hint, "stageapp.E010"
    )


def _no_networks(names: Iterable[str], so: str, hint: str, code: str) -> list[CheckMessage]:
    strange = [name for name in names if network.parse(name) is None]
    return [Error(f"{name!r} is not a network; {so}.", hint=hint, id=code) for name in strange]


def check_ops_access() -> list[CheckMessage]:
    """E030: a network of the operators is not a network. E031: a token is too short to be secret."""
    hint = (
        "Write STAGE_OPS_NETWORKS in CIDR notation, several separated by commas, e.g. "
        "127.0.0.0/8,10.1.0.0/16."
    )
    messages = _no_networks(
        conf.settings.ops_networks, "no client in it may scrape", hint, "stageapp.E030"
    )
    if len(conf.metrics_tokens()) < len(conf.settings.metrics_token.split()):
        said = (
            f"A token in STAGE_METRICS_TOKEN is shorter than {conf.MIN_METRICS_TOKEN} "
            "characters; it is ignored."
        )
        messages.append(Error(said, hint="Make one with: openssl rand -hex 32", id="stageapp.E031"))
    return messages


def check_backups() -> list[CheckMessage]:
    """E012: a key is too short. W013: required backups are not set up. W019: they are too rare."""
    messages: list[CheckMessage] = []
    if any(len(key) < MIN_KEY_LENGTH for key in conf.backup_keys()):
        said = (
            f"A key in STAGE_BACKUP_KEY is shorter than {MIN_KEY_LENGTH} characters; no "
            "backup is signed or accepted."
        )
        messages.append(Error(said, hint="Make one with: openssl rand -hex 32", id="stageapp.E012"))
    can_make = conf.settings.backup_adapter or (conf.settings.backup_dir and conf.backup_keys())
    if conf.settings.require_backup and not can_make:
        said = "Runs need a verified backup, but STAGE_BACKUP_DIR or STAGE_BACKUP_KEY is not set."
        hint = (
            "Set both, or set STAGE_BACKUP_ADAPTER to the adapter of your backup system, "
            "or set STAGE_REQUIRE_BACKUP=0."
        )
        messages.append(Warning(said, hint=hint, id="stageapp.W013"))
    if jobs.too_slow():
        said = (
            f"STAGE_BACKUP_MINUTES is {conf.settings.backup_minutes:g}: part of the time "
            "the newest verified backup is older than STAGE_GATE_BACKUP_HOURS allows, "
            "and no run can start then."
        )
        hint = (
            f"Set it to at least {jobs.MARGIN_MINUTES:g} minutes less than the gate's "
            "limit, or raise the limit."
        )
        messages.append(Warning(said, hint=hint, id="stageapp.W019"))
    return messages


def check_rehearsal() -> list[CheckMessage]:
    """E014: a restore cannot be rehearsed there."""
    if (chosen := conf.settings.rehearsal_database_url) in ("", EMBEDDED):
        return []
    try:
        postgres.of_url(chosen)
    except BackupError as error:
        said = f"REHEARSAL_DATABASE_URL cannot be used. {error}"
        hint = "Set it to the URL of a server, to `embedded`, or leave it out for the live server."
        return [Error(said, hint=hint, id="stageapp.E014")]
    return []


def check_webhook() -> list[CheckMessage]:
    """E040: a test of the webhook would lead nowhere."""
    address = urlsplit(conf.base_url())
    if not conf.base_url() or (
        address.scheme in ("http", "https") and address.hostname and not address.query
    ):
        return []
    hint = "Write it as https://stages.example.org, or leave it out."
    return [Error("STAGE_BASE_URL is not an http or https address.", hint=hint, id="stageapp.E040")]


def check_throttle() -> list[CheckMessage]:
    """E035: a limit that holds runs makes no sense. E037: a standby's URL is not one."""
    messages: list[CheckMessage] = [
        Error(
            f"STAGE_HOLD: {said}",
            hint="docs/configuration.md has the defaults.",
            id="stageapp.E035",
        )
        for name, limit in conf.settings.hold.items()
        if (said := factors.nonsense(name, limit))
    ]
    if wrong := [
        number for number, url in enumerate(conf.settings.standby_urls, 1) if not health.is_url(url)
    ]:
        # not the URL: a password is in it
        said = f"STAGE_STANDBY_URLS: number {wrong[0]} is not a PostgreSQL URL."
        messages.append(
            Error(
                said, hint="Write postgres://user:password@host:5432/database.", id="stageapp.E037"
            )
        )
    return messages


def check_refreshing() -> list[CheckMessage]:
    """E008: a mode counts as stale before it is read again."""
    if conf.settings.refresh_seconds <= conf.settings.mode_max_staleness:
        return []
    said = "STAGE_REFRESH_SECONDS is more than STAGE_MODE_MAX_STALENESS."
    hint = "Take less: else a mode counts as stale between two readings."
    return [Error(said, hint=hint, id="stageapp.E008")]


def check_environment() -> list[CheckMessage]:
    """W042: a variable of the environment has a name that means nothing here."""
    known = [row.name for row in conf.ROWS]
    strange = sorted(
        name
        for name in os.environ
        if name.startswith("STAGE_")
        and not name.startswith("STAGE_TEST_")  # of the test suite
        and name.removesuffix("_FILE") not in known
    )
    return [
        Warning(
            f"{name} is set in the environment, but there is no such setting.",
            hint=" ".join(
                [*(f"Is it {like}?" for like in get_close_matches(name, known, 1)), SEE_TABLE]
            ),
            id="stageapp.W042",
        )
        for name in strange
    ]


@register(TAG)
def check_settings(**_: Any) -> list[CheckMessage]:
    """E005: a setting is of the wrong type or out of its bounds; only without one, all the others."""
    wrong: list[CheckMessage] = [
        Error(row.refusal(value), hint=SEE_TABLE, id="stageapp.E005")
        for row in conf.ROWS
        if not row.site and not row.takes(value := getattr(settings, row.name, row.default))
    ]
    checks: list[Callable[[], list[CheckMessage]]] = [
        check_default_mode,
        check_targets,
        check_refreshing,
        check_networks,
        check_ops_access,
        check_backups,
        check_rehearsal,
        check_webhook,
        check_throttle,
        check_environment,
    ]
    return wrong or [message for check in checks for message in check()]


def report_ignored_mode() -> None:
    """Log if the configured mode is ignored; a server runs no system checks at startup."""
    configured, in_force = conf.settings.validation_mode, conf.default_mode()
    if configured != in_force:
        events.setting_ignored(name="STAGE_VALIDATION_MODE", value=configured, instead=in_force)
