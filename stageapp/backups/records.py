"""The database records of backups and verdicts. In a disaster these tables may be missing."""

import dataclasses

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery

from stageapp.backups.manifest import Manifest
from stageapp.backups.verify import Verdict
from stageapp.infrastructure import events
from stageapp.models.backups import Backup, BackupCheck


def note(manifest: Manifest, *, actor: str, reason: str) -> Backup:
    """Record one of our backups once; the returned row is unsaved if the tables are missing."""
    facts = {
        "taken_at": manifest.taken_at,
        "ended_at": manifest.ended_at,
        "bytes": manifest.bytes,
        "sha256": manifest.sha256,
        "rows": manifest.contents.rows,
        "schema": manifest.contents.schema,
        "server_version": manifest.server_version,
        "vocabulary_version": manifest.contents.vocabulary_version,
        "actor": actor,
        "reason": reason,
    }
    if not possible():
        return Backup(name=manifest.name, **facts)
    return Backup.objects.get_or_create(name=manifest.name, defaults=facts)[0]


def note_check(kind: str, verdict: Verdict, *, actor: str, reason: str) -> None:
    """Record a verdict and the backup it is about."""
    events.backup_checked(
        kind=kind,
        name=verdict.name,
        passed=verdict.passed,
        seconds=verdict.seconds,
        failures=verdict.failures,
        actor=actor,
    )
    if not possible():
        return
    if verdict.manifest is not None:
        backup: Backup | None = note(verdict.manifest, actor=actor, reason=f"found by: {reason}")
    else:
        backup = Backup.objects.filter(name=verdict.name).first()
    BackupCheck.objects.create(
        backup=backup,
        name=verdict.name[:200],
        kind=kind,
        passed=verdict.passed,
        seconds=verdict.seconds,
        data_age_seconds=verdict.data_age.total_seconds() if verdict.data_age is not None else None,
        findings=[dataclasses.asdict(finding) for finding in verdict.findings],
        actor=actor,
        reason=reason,
    )


def last_checks(names: list[str]) -> dict[tuple[str, str], BackupCheck]:
    """Return the newest verdict on each backup by (name, kind)."""
    newest = (
        BackupCheck.objects.filter(name__in=names)
        .order_by("name", "kind", "-id")
        .distinct("name", "kind")
    )
    return {(check.name, check.kind): check for check in newest}


def with_verdicts(backups: QuerySet[Backup]) -> QuerySet[Backup]:
    """Annotate the newest verdicts: `verified`, `rehearsed` (or None), RTO and RPO in seconds."""
    checks = BackupCheck.objects.filter(backup=OuterRef("pk")).order_by("-id")
    verified, rehearsed = checks.filter(kind="verify"), checks.filter(kind="rehearse")
    return backups.annotate(
        verified=Subquery(verified.values("passed")[:1]),
        rehearsed=Subquery(rehearsed.values("passed")[:1]),
        rto_seconds=Subquery(rehearsed.filter(passed=True).values("seconds")[:1]),
        rpo_seconds=Subquery(rehearsed.filter(passed=True).values("data_age_seconds")[:1]),
    )


def possible() -> bool:
    """Whether our tables exist; in an empty database, used to restore next to it, they do not."""
    return Backup._meta.db_table in connection.introspection.table_names()
