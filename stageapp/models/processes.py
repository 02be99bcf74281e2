"""The processes that serve: what each is, where it runs, and which version of the mode it follows."""

from django.db import models


class ServerProcess(models.Model):
    """One process that follows the mode; it writes its own row with every round of its refresher.

    Times are PostgreSQL's: the clocks of the machines may differ.
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
    age = models.FloatField(null=True, help_text="seconds since a store confirmed the mode, at the heartbeat")
    heartbeat_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        ordering = ["name", "host", "pid"]
        indexes = [models.Index(fields=["heartbeat_at"], name="stale_processes")]

    def __str__(self) -> str:
        return f"{self.name} {self.host}:{self.pid}"

    @property
    def order(self) -> tuple[int, int]:
        """Return what decides which of two versions is newer."""
        return (self.epoch, self.version)
