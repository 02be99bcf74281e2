"""The history of the validation mode, and the processes that follow it."""

from django.db import models
from django.db.models import Q

from stageapp.models.recorded import HAS_A_REASON, Recorded


class ModeChange(Recorded):
    """An authorised change of mode. The newest by (epoch, version) is in force. Append-only."""

    MODES = [
        ("off", "off: observe only"),
        ("warn", "warn: accept, and tell the caller"),
        ("enforce", "enforce: refuse"),
    ]
    KINDS = [
        ("manual", "by a user"),
        ("downgrade", "automatic downgrade"),
        ("scheduled", "planned step"),
        ("installed", "installation"),
    ]

    epoch = models.PositiveIntegerField(
        default=1, help_text="a restored database starts a new epoch"
    )
    version = models.BigIntegerField()
    mode = models.CharField(max_length=10, choices=MODES)
    percent = models.PositiveSmallIntegerField(default=100)
    enforce_on = models.DateField(
        null=True, blank=True, help_text="the announced first day of enforcement"
    )
    kind = models.CharField(max_length=10, choices=KINDS, default="manual")
    override_reason = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-epoch", "-version"]
        constraints = [
            HAS_A_REASON,
            models.UniqueConstraint(
                fields=["epoch", "version"], name="one_mode_change_per_version"
            ),
            models.CheckConstraint(
                condition=Q(percent__gte=1, percent__lte=100), name="percent_1_to_100"
            ),
            models.CheckConstraint(
                condition=Q(mode="enforce") | Q(percent=100), name="percent_belongs_to_enforce"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mode} {self.percent} % (version {self.epoch}.{self.version})"


class ServerProcess(models.Model):
    """A process that follows the mode; its refresher writes the row in every round.

    Times are PostgreSQL's, as the clocks of the machines may differ.
    """

    NAMES = [("web", "web server"), ("worker", "Celery worker"), ("beat", "Celery beat")]

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=10, choices=NAMES)
    host = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    mode = models.CharField(max_length=10, help_text="the mode in force in this process")
    percent = models.PositiveSmallIntegerField()
    epoch = models.PositiveIntegerField()
    version = models.BigIntegerField()
    source = models.CharField(max_length=10, help_text="where the mode was last confirmed")
    age = models.FloatField(
        null=True, help_text="seconds since a store confirmed the mode, at the heartbeat"
    )
    heartbeat_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        ordering = ["name", "host", "pid"]
        indexes = [models.Index(fields=["heartbeat_at"], name="stale_processes")]

    def __str__(self) -> str:
        return f"{self.name} {self.host}:{self.pid}"

    @property
    def order(self) -> tuple[int, int]:
        """Return the key by which versions are compared."""
        return (self.epoch, self.version)
