"""The evidence needed before a run: a verified backup, its age, and a valid rehearsal."""

import datetime
from dataclasses import dataclass

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery

from stageapp.backups import contents, folder
from stageapp.models.backups import Backup, BackupCheck


@dataclass(frozen=True)
class Evidence:
    """The newest verified backup, and the newest rehearsal that passed with the current schema."""

    verified: str = ""
    taken_at: datetime.datetime | None = None
    rehearsed: str = ""
    rehearsed_at: datetime.datetime | None = None
    rto_seconds: float | None = None
    schema_changed: bool = False  # a rehearsal passed, but the schema has changed since
    rehearsal_failed: bool = False  # the newest one; what passed before proves nothing any more


def read() -> Evidence:
    """Return the current evidence; a backup missing from its folder does not count.

    Raises:
        django.db.DatabaseError: PostgreSQL does not answer.
    """
    verified = next((backup for backup in _verified() if in_place(backup)), None)
    newest = BackupCheck.objects.filter(kind="rehearse").first()
    failed = newest is not None and not newest.passed
    rehearsals = BackupCheck.objects.filter(kind="rehearse", passed=True, backup__isnull=False)
    any_passed = not failed and rehearsals.exists()
    same_schema = rehearsals.filter(backup__schema=schema_now()).first() if any_passed else None
    return Evidence(
        verified=verified.name if verified else "",
        taken_at=verified.taken_at if verified else None,
        rehearsed=same_schema.name if same_schema else "",
        rehearsed_at=same_schema.created_at if same_schema else None,
        rto_seconds=same_schema.seconds if same_schema else None,
        schema_changed=same_schema is None and any_passed,
        rehearsal_failed=failed,
    )


def verified_names() -> list[str]:
    """Return the names of the backups whose last verification passed, newest first."""
    return [backup.name for backup in _verified()]


def schema_now() -> str:
    """Return the sha256 of the live schema, comparable with those in manifests."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return contents.schema_of(connection.connection)


def _verified() -> QuerySet[Backup]:
    checks = BackupCheck.objects.filter(backup=OuterRef("pk"), kind="verify").order_by("-pk")
    last = Backup.objects.annotate(last_passed=Subquery(checks.values("passed")[:1]))
    return last.filter(removed_at=None, last_passed=True)


def in_place(backup: Backup) -> bool:
    """Whether the backup is in its folder as seen here; always true for an external system's."""
    return backup.origin != "own" or folder.holds(backup.name, backup.bytes)
