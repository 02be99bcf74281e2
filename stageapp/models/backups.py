"""What is known of backups. The files are the backups; these rows say who made them, and what
was found since.
"""

from django.db import models
from django.db.models import Q


class Backup(models.Model):
    """A backup that was made, or was found in the folder with a manifest of ours."""

    ORIGINS = [("own", "made here"), ("adapter", "made by another backup system")]

    name = models.CharField(max_length=200, unique=True)
    origin = models.CharField(max_length=10, choices=ORIGINS, default="own")
    taken_at = models.DateTimeField(
        help_text="time of its snapshot: what changed later is not in it"
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
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_why = models.TextField(blank=True, default="")

    class Meta:
        default_permissions = ("view",)
        ordering = ["-taken_at", "-id"]
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="backup_has_a_reason")]

    def __str__(self) -> str:
        return self.name


class BackupCheck(models.Model):
    """The verdict of one verification or rehearsal. Append-only.

    `seconds` of a rehearsal is the measured time to restore (RTO), `data_age_seconds` the age of
    the data (RPO).
    """

    KINDS = [("verify", "verified"), ("rehearse", "rehearsed")]

    backup = models.ForeignKey(
        Backup, null=True, blank=True, on_delete=models.PROTECT, related_name="checks"
    )
    name = models.CharField(
        max_length=200, help_text="of the backup, also where nothing is known of it"
    )
    kind = models.CharField(max_length=10, choices=KINDS)
    passed = models.BooleanField()
    seconds = models.FloatField()
    data_age_seconds = models.FloatField(null=True, blank=True)
    findings = models.JSONField(default=list, help_text="[{check, passed, said}]")
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["-id"]
        indexes = [models.Index(fields=["backup", "kind", "-id"])]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="backup_check_has_a_reason")
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.kind} {'passed' if self.passed else 'failed'}"


class BackupJob(models.Model):
    """Something that a worker is to do with backups; the row is the queue, a message only a
    nudge.
    """

    VERBS = [
        ("create", "create"),
        ("verify", "verify"),
        ("rehearse", "rehearse"),
        ("scheduled", "scheduled"),
        ("prune", "prune"),
        ("record", "take on record"),
    ]
    ACTIVE = ("waiting", "working")
    STATES = [
        ("waiting", "waiting"),
        ("working", "working"),
        ("done", "done"),
        ("failed", "failed"),
    ]

    verb = models.CharField(max_length=10, choices=VERBS)
    name = models.CharField(
        max_length=200, blank=True, default="", help_text="of the backup; empty for the newest"
    )
    state = models.CharField(max_length=10, choices=STATES, default="waiting")
    phase = models.CharField(max_length=20, blank=True, default="")
    done = models.BigIntegerField(
        default=0, help_text="of the phase: bytes, or tables in `measure`"
    )
    whole = models.BigIntegerField(default=0, help_text="0 where it is not known beforehand")
    phase_began_at = models.DateTimeField(null=True, blank=True)
    said = models.TextField(blank=True, default="", help_text="how it ended")
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="backup_job_has_a_reason"),
            models.UniqueConstraint(
                fields=["verb", "name"],
                condition=Q(state__in=["waiting", "working"]),
                name="one_active_backup_job",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.name} ({self.state})"
