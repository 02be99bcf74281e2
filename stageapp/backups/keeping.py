"""Backup verbs, each recorded with actor, reason and outcome; with or without an adapter."""

import datetime
from dataclasses import dataclass
from typing import Any

from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone

from stageapp import conf
from stageapp.backups import (
    adapter,
    evidence,
    folder,
    manifest,
    records,
)
from stageapp.backups import create as creating
from stageapp.backups import rehearse as rehearsing
from stageapp.backups import restore as restoring
from stageapp.backups import verify as verifying
from stageapp.backups.adapter import Facts
from stageapp.backups.errors import BackupError, NoSuchBackup
from stageapp.backups.manifest import Manifest
from stageapp.backups.progress import Report, silent
from stageapp.backups.restore import Restored
from stageapp.backups.verify import Finding, Verdict
from stageapp.infrastructure import events
from stageapp.models.backups import Backup, BackupCheck
from stageapp.models.recorded import require_reason

_ADAPTER_HAS_IT = "STAGE_BACKUP_ADAPTER is set: {verb} backups in that backup system."


@dataclass(frozen=True)
class Known:
    """A backup as listed: its record, whether it exists, and its newest verdicts."""

    name: str
    present: bool
    backup: Backup | None = None
    verified: BackupCheck | None = None
    rehearsed: BackupCheck | None = None


def create(*, actor: str, reason: str, report: Report = silent) -> Backup:
    """Create a backup and record it.

    Raises:
        BackupError: no backup was created.
    """
    reason = require_reason(reason, BackupError)
    if conf.settings.backup_adapter:
        backup = note_facts(adapter.ask("create"), actor=actor, reason=reason)
    else:
        backup = records.note(creating.create(report), actor=actor, reason=reason)
    events.backup_created(name=backup.name, bytes=backup.bytes, actor=actor, reason=reason)
    return backup


def verify(
    name: str | None,
    *,
    actor: str,
    reason: str,
    max_age: datetime.timedelta | None = None,
    report: Report = silent,
) -> Verdict:
    """Verify a backup, the newest if none is named, and record the verdict.

    Age belongs to the moment and not to the backup: a record says only whether it is whole and
    ours.

    Raises:
        NoSuchBackup: there is none (of this name).
        BackupError: the reason is empty.
    """
    reason = require_reason(reason, BackupError)
    chosen = name or newest()
    verdict = (
        _asked("verify", chosen)
        if conf.settings.backup_adapter
        else verifying.verify(chosen, report=report)
    )
    records.note_check("verify", verdict, actor=actor, reason=reason)
    return verifying.aged(verdict, max_age)


def rehearse(name: str | None, *, actor: str, reason: str, report: Report = silent) -> Verdict:
    """Rehearse the restore of a backup (by default the newest) and record the verdict.

    Raises:
        BackupError: nothing was restored.
    """
    reason = require_reason(reason, BackupError)
    chosen = name or newest()
    verdict = (
        _asked("rehearse", chosen)
        if conf.settings.backup_adapter
        else rehearsing.rehearse(chosen, report)
    )
    records.note_check("rehearse", verdict, actor=actor, reason=reason)
    return verdict


def restore(
    name: str | None, database: str | None, *, actor: str, reason: str, report: Report = silent
) -> Restored:
    """Restore a backup (by default the newest) into a new database; the live one is untouched.

    Raises:
        BackupError: it was refused or failed; nothing remains.
    """
    reason = require_reason(reason, BackupError)
    if conf.settings.backup_adapter:
        raise BackupError(_ADAPTER_HAS_IT.format(verb="restore"))
    done = restoring.restore(name or newest(), database, actor=actor, reason=reason, report=report)
    events.backup_restored(
        name=done.name, database=done.database, seconds=done.seconds, actor=actor, reason=reason
    )
    return done


def prune(keep: int | None, *, actor: str, reason: str) -> list[str]:
    """Remove all but the newest backups and return the names removed.

    The newest verified backup is always kept; it is verified once more before anything is removed.

    Raises:
        BackupError: no backup passes verification; nothing was removed.
    """
    reason = require_reason(reason, BackupError)
    if conf.settings.backup_adapter:
        raise BackupError(_ADAPTER_HAS_IT.format(verb="remove"))
    count = conf.settings.backup_keep if keep is None else keep
    with folder.locked():
        ours = folder.own_names()
        superfluous = ours[max(count, 1) :]
        if not superfluous:
            return []
        spared = _still_good(ours, actor)
        removed = [name for name in superfluous if name != spared]
        for name in removed:
            folder.remove(name)
            Backup.objects.filter(name=name).update(
                removed_at=Now(), removed_why=f"{actor}: {reason}"
            )
    events.backups_pruned(names=removed, actor=actor, reason=reason)
    return removed


def newest() -> str:
    """Return the name of the newest backup; raises NoSuchBackup."""
    ours = (
        [facts.name for facts in _adapter_list()]
        if conf.settings.backup_adapter
        else folder.own_names()
    )
    if not ours:
        raise NoSuchBackup("There is no backup yet. Make one: `manage.py backup create`.")
    return ours[0]


def known() -> list[Known]:
    """Return every backup that exists or is recorded, newest first."""
    there = (
        [facts.name for facts in _adapter_list()]
        if conf.settings.backup_adapter
        else folder.names()
    )
    if not records.possible():
        return [Known(name, present=True) for name in there]
    rows = {backup.name: backup for backup in Backup.objects.filter(removed_at=None)}
    names = [*there, *(name for name in rows if name not in there)]
    checks = records.last_checks(names)
    return [
        Known(
            name,
            name in there,
            rows.get(name),
            checks.get((name, "verify")),
            checks.get((name, "rehearse")),
        )
        for name in names
    ]


def _still_good(ours: list[str], actor: str) -> str:
    for name in [name for name in evidence.verified_names() if name in ours]:
        verdict = verifying.verify(name)
        records.note_check(
            "verify", verdict, actor=actor, reason="before older backups are removed"
        )
        if verdict.passed:
            return name
    raise BackupError("No backup here verifies, so none was removed. Make a new one and verify it.")


def _adapter_list() -> list[Facts]:
    return sorted(adapter.listed(), key=lambda facts: facts.taken_at, reverse=True)


def _asked(verb: str, name: str) -> Verdict:
    facts = adapter.ask(verb, name)
    note_facts(facts, actor="adapter", reason="reported by the backup adapter")
    age = timezone.now() - facts.taken_at
    findings = (Finding("adapter", bool(facts.passed), facts.said), *verifying.of_the_future(age))
    return Verdict(name, findings, facts.seconds or 0.0, data_age=age)


def note_facts(facts: Facts, *, actor: str, reason: str) -> Backup:
    """Record an external backup, with the current schema if no migration was applied since.

    Raises:
        BackupError: this name is recorded with another time; verdicts on one would count for the
            other.
    """
    migrated: Any = MigrationRecorder.Migration.objects.aggregate(last=Max("applied"))["last"]
    same = migrated is None or migrated < facts.taken_at
    backup, _ = Backup.objects.get_or_create(
        name=facts.name,
        defaults={
            "origin": "adapter",
            "taken_at": facts.taken_at,
            "ended_at": timezone.now(),
            "bytes": facts.bytes,
            "schema": evidence.schema_now() if same else "",
            "actor": actor,
            "reason": reason,
        },
    )
    if backup.taken_at != facts.taken_at:
        raise BackupError(
            f"The backup adapter says that {facts.name} was taken at "
            f"{facts.taken_at:%F %T %z}; the record says {backup.taken_at:%F %T %z}. A "
            "different state of the data needs a different name."
        )
    return backup


# Backups without a record: made on another machine, by another system, or before a restore.

_GONE = "the backup system no longer lists it"


@dataclass(frozen=True)
class Taken:
    """The names of the backups that were taken on record, and a sentence for each that could not
    be.
    """

    taken: tuple[str, ...]
    refused: tuple[str, ...] = ()


def unrecorded() -> list[str]:
    """Return the backups in the folder that have no record; empty with an adapter.

    Raises:
        BackupError: the folder cannot be read.
    """
    if conf.settings.backup_adapter:
        return []
    names = folder.names()
    return sorted(
        set(names) - set(Backup.objects.filter(name__in=names).values_list("name", flat=True)),
        reverse=True,
    )


def described(name: str) -> Manifest:
    """Return the manifest of one of our backups; its signature does not vouch for the dump.

    Raises:
        BackupError: it does not exist, or its manifest cannot be trusted.
    """
    with folder.opened(name, folder.MANIFEST) as (file,):
        return manifest.load(file.read(manifest.MAX_BYTES), name)


def record(*, actor: str, reason: str) -> Taken:
    """Record all existing backups; mark those the external system no longer lists as removed.

    Raises:
        BackupError: the folder cannot be read, or the adapter fails.
    """
    reason = require_reason(reason, BackupError)
    if conf.settings.backup_adapter:
        listed = adapter.listed()
        names = {facts.name for facts in listed}
        known = set(Backup.objects.filter(name__in=names).values_list("name", flat=True))
        for facts in listed:
            note_facts(facts, actor=actor, reason=reason)
        gone = Backup.objects.filter(origin="adapter", removed_at=None).exclude(name__in=names)
        gone.update(removed_at=timezone.now(), removed_why=_GONE)
        return Taken(tuple(sorted(names - known)))
    taken, refused = [], []
    for name in unrecorded():
        try:
            records.note(described(name), actor=actor, reason=reason)
            taken.append(name)
        except BackupError as error:
            refused.append(f"{name}: {error}")
    return Taken(tuple(taken), tuple(refused))
