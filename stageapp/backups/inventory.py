"""Backups without a record: made on another machine, by another system, or before a restore."""

from dataclasses import dataclass

from django.utils import timezone

from stageapp import conf
from stageapp.backups import adapter, folder, keeping, manifest, records
from stageapp.backups.errors import BackupError
from stageapp.backups.manifest import Manifest
from stageapp.models.backups import Backup
from stageapp.models.recorded import require_reason

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
            keeping.note_facts(facts, actor=actor, reason=reason)
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
