"""Checks for emergencies: free disk space, a proven backup, an authenticated webhook."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stageapp import conf
from stageapp.doctor.answers import Answer, fail, no_data, ok, warn
from stageapp.infrastructure import words
from stageapp.normalization import safety
from stageapp.rollout.gates.verdicts import Gate, Verdict
from stageapp.webhook.secrets import webhook_secrets

LEAST_SECRET = 32  # characters
_DISK_WARNS, _DISK_FAILS = 20.0, 5.0  # percent free


def disk() -> Iterator[Answer]:
    """Check the free space of the file systems of STAGE_DISK_PATHS and the backups."""
    paths = [*conf.settings.disk_paths, *filter(None, [conf.settings.backup_dir])]
    if not paths:
        yield no_data(
            "disk",
            "STAGE_DISK_PATHS lists no folder",
            "PostgreSQL does not report how full its disk is",
        )
    for path in dict.fromkeys(paths):
        yield _disk(path)


def _disk(path: str) -> Answer:
    name = f"disk {path}"
    try:
        there = next(
            place for place in (Path(path), *Path(path).parents) if place.exists()
        )  # it is made when needed
        usage = os.statvfs(there)
        free = 100 * usage.f_bavail / usage.f_blocks
    except (OSError, StopIteration, ZeroDivisionError) as error:
        return no_data(name, str(error), "correct STAGE_DISK_PATHS or STAGE_BACKUP_DIR")
    said = f"{words.percent(free)} free"
    if free < _DISK_FAILS:
        return fail(name, said, "free up space before anything is written")
    return warn(name, said, "make room") if free < _DISK_WARNS else ok(name, said)


def backup() -> Iterator[Answer]:
    """Check for a recent verified backup and a rehearsal; raises django.db.DatabaseError."""
    for gate in safety.gates():
        yield _gate(gate)


def _gate(gate: Gate) -> Answer:
    it = gate.deciding
    said = it.said if it.value is None else f"{it.title}: {it.said}"
    said += f"; needed: {it.threshold}"
    do = f"`manage.py backup {'rehearse' if gate.name == 'rehearsal' else 'create'}`"
    if gate.passes:
        return ok(gate.name, said)
    if conf.settings.require_backup:
        return fail(gate.name, said, f"{do}; no run can start before that")
    if gate.verdict == Verdict.NO_DATA:
        return no_data(gate.name, said, do)
    return warn(gate.name, said, do)


def webhook_secret() -> Iterator[Answer]:
    """Check that the webhook that can take enforcement back has sufficiently long secrets."""
    secrets: list[Any] = list(webhook_secrets())
    if not secrets:
        do = "set ALERTMANAGER_WEBHOOK_SECRET (openssl rand -hex 32)"
        yield warn("webhook secret", "none is set: no alert can lower the mode", do)
    elif any(len(getattr(secret, "text", secret)) < LEAST_SECRET for secret in secrets):
        yield fail(
            "webhook secret",
            f"one is shorter than {LEAST_SECRET} characters",
            "openssl rand -hex 32",
        )
    else:
        yield ok("webhook secret", f"{len(secrets)} set, each long enough")
