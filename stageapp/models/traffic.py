"""What arrived, counted in 10-second windows."""

from django.db import models


class TrafficWindow(models.Model):
    """One process's absolute counts of one kind of request in one window; upserted, so safe to repeat.

    `verdict` is the shadow verdict, independent of the mode: `canonical` (every stage already a slug),
    `normalized` (known spellings), `unknown` (enforce would reject), `malformed` (refused in every mode).
    """

    VERDICTS = [(name, name) for name in ("canonical", "normalized", "unknown", "malformed")]

    process = models.UUIDField()
    started_at = models.DateTimeField(help_text="start of the 10-second window")
    endpoint = models.CharField(max_length=60)
    mode = models.CharField(max_length=10, help_text="the effective mode")
    verdict = models.CharField(max_length=12, choices=VERDICTS)
    requests = models.PositiveIntegerField(default=0)
    rejects = models.PositiveIntegerField(default=0, help_text="4xx given by the validator")
    errors = models.PositiveIntegerField(default=0, help_text="5xx or validator exceptions")
    slow = models.PositiveIntegerField(default=0, help_text="validations over 1 ms")

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["process", "started_at", "endpoint", "mode", "verdict"], name="one_count_per_window"
            )
        ]
        indexes = [models.Index(fields=["started_at"])]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.verdict} {self.started_at:%F %T}"
