"""The record of backups, which are files elsewhere: who made them, and what checks of them found."""

from django.db import models
from django.db.models import Q

from stageapp.infrastructure.locks import Lock
from stageapp.models.jobs import Job
from stageapp.models.recorded import HAS_A_REASON, Recorded


class Backup(Recorded):
    """A backup made here, taken on record from the folder, or named by another backup system."""

    ORIGINS = [("own", "made here"), ("adapter", "made by an external backup system")]

    name = models.CharField(max_length=200, unique=True)
    origin = models.CharField(max_length=10, choices=ORIGINS, default="own")
    taken_at = models.DateTimeField(
        help_text="when its snapshot was taken; later changes are not in it"
    )
    ended_at = models.DateTimeField()
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64, blank=True, default="")
    rows = models.BigIntegerField(null=True, blank=True)
    schema = models.CharField(
        max_length=64, blank=True, default="", help_text="sha256 of the schema"
    )
    vocabulary_version = models.BigIntegerField(null=True, blank=True)
    server_version = models.IntegerField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_why = models.TextField(blank=True, default="")

    class Meta(Recorded.Meta):
        ordering = ["-taken_at", "-id"]

    def __str__(self) -> str:
        return self.name


class BackupCheck(Recorded):
    """The verdict of one verification or rehearsal. Append-only.

    Of a rehearsal, `seconds` is the measured time to restore (RTO) and `data_age_seconds` the age
    of the data (RPO).
    """

    KINDS = [("verify", "verified"), ("rehearse", "rehearsed")]

    backup = models.ForeignKey(
        Backup, null=True, blank=True, on_delete=models.PROTECT, related_name="checks"
    )
    name = models.CharField(max_length=200, help_text="of the backup, also if it is not on record")
    kind = models.CharField(max_length=10, choices=KINDS)
    passed = models.BooleanField()
    seconds = models.FloatField()
    data_age_seconds = models.FloatField(null=True, blank=True)
    findings = models.JSONField(default=list, help_text="[{check, passed, said}]")

    class Meta(Recorded.Meta):
        indexes = [models.Index(fields=["backup", "kind", "-id"])]

    def __str__(self) -> str:
        return f"{self.name}: {self.kind} {'passed' if self.passed else 'failed'}"


class BackupJob(Job):
    """A backup to make, to check or to remove."""

    VERBS = [
        ("create", "create"),
        ("verify", "verify"),
        ("rehearse", "rehearse"),
        ("scheduled", "scheduled"),
        ("prune", "prune"),
        ("record", "import existing backups"),
    ]
    LOCK = Lock.BACKUP_JOB

    verb = models.CharField(max_length=10, choices=VERBS)
    name = models.CharField(
        max_length=200, blank=True, default="", help_text="of the backup; empty for the newest"
    )
    phase = models.CharField(max_length=20, blank=True, default="")
    done = models.BigIntegerField(
        default=0, help_text="of the phase: bytes, or tables in `measure`"
    )
    whole = models.BigIntegerField(default=0, help_text="0 if unknown in advance")
    phase_began_at = models.DateTimeField(null=True, blank=True)

    class Meta(Job.Meta):
        constraints = [
            HAS_A_REASON,
            models.UniqueConstraint(
                fields=["verb", "name"],
                condition=Q(state__in=list(Job.ACTIVE)),
                name="one_active_backup_job",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.name} ({self.state})"
