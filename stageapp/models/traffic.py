"""Requests, counted in 10-second windows; after a day they are added up to hours."""

from django.db import models


class _Counts(models.Model):
    """Counts of one kind of request.

    `verdict` is the shadow verdict, whatever the mode: `canonical` (every stage is a slug),
    `normalized` (known spellings), `unknown` (enforce would reject), `malformed` (refused in every
    mode).
    """

    VERDICTS = [(name, name) for name in ("canonical", "normalized", "unknown", "malformed")]

    started_at = models.DateTimeField(help_text="start of the 10-second window")
    endpoint = models.CharField(max_length=60)
    mode = models.CharField(max_length=10, help_text="the effective mode")
    verdict = models.CharField(max_length=12, choices=VERDICTS)
    requests = models.PositiveIntegerField(default=0)
    rejects = models.PositiveIntegerField(default=0, help_text="4xx responses from the validator")
    errors = models.PositiveIntegerField(default=0, help_text="5xx or validator exceptions")
    slow = models.PositiveIntegerField(default=0, help_text="validations over 1 ms")
    reasons = models.JSONField(
        default=dict, help_text="{reason: requests with an unknown value for this reason}"
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.endpoint} {self.verdict} {self.started_at:%F %T}"


class TrafficWindow(_Counts):
    """What one process counted in one window: absolute counts, so that writing them again is safe."""

    process = models.UUIDField()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["process", "started_at", "endpoint", "mode", "verdict"],
                name="one_count_per_window",
            )
        ]
        indexes = [models.Index(fields=["started_at"])]


class TrafficHour(_Counts):
    """What all processes counted in one hour. A window is added once, when it is deleted."""

    started_at = models.DateTimeField(help_text="start of the hour")

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["started_at", "endpoint", "mode", "verdict"], name="one_count_per_hour"
            )
        ]
