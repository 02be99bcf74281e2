"""What there is to show before a run: a verified backup and how old its data is, and a rehearsal
that counts.
"""

import datetime
from dataclasses import dataclass

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery

from stageapp.backups import contents, folder
from stageapp.models.backups import Backup, BackupCheck


@dataclass(frozen=True)
class Evidence:
    """The newest backup whose last verification passed, and the newest rehearsal passed with the
    schema of today.
    """

    verified: str = ""
    taken_at: datetime.datetime | None = None
    rehearsed: str = ""
    rehearsed_at: datetime.datetime | None = None
    rto_seconds: float | None = None
    schema_changed: bool = False  # a rehearsal passed, but the schema has changed since
    rehearsal_failed: bool = False  # the newest one; what passed before proves nothing any more


def read() -> Evidence:
    """Return the evidence as it stands; a backup that is not in its folder any more is none.

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
    """Return the backups whose last verification passed, newest first."""
    return [backup.name for backup in _verified()]


def schema_now() -> str:
    """Return the sha256 of the live schema, as manifests hold it."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return contents.schema_of(connection.connection)


def _verified() -> QuerySet[Backup]:
    checks = BackupCheck.objects.filter(backup=OuterRef("pk"), kind="verify").order_by("-pk")
    last = Backup.objects.annotate(last_passed=Subquery(checks.values("passed")[:1]))
    return last.filter(removed_at=None, last_passed=True)


def in_place(backup: Backup) -> bool:
    """Tell whether it is in its folder, as far as this process can see; what another system
    keeps, always.
    """
    return backup.origin != "own" or folder.holds(backup.name, backup.bytes)
