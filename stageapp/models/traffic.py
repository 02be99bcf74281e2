"""What arrived, counted in 10-second windows, which become hours when they are a day old."""

from django.db import models


class _Counts(models.Model):
    """Counts of one kind of request.

    `verdict` is the shadow verdict, independent of the mode: `canonical` (every stage already a
    slug), `normalized` (known spellings), `unknown` (enforce would reject), `malformed` (refused in
    every mode).
    """

    VERDICTS = [(name, name) for name in ("canonical", "normalized", "unknown", "malformed")]

    started_at = models.DateTimeField(help_text="start of the 10-second window")
    endpoint = models.CharField(max_length=60)
    mode = models.CharField(max_length=10, help_text="the effective mode")
    verdict = models.CharField(max_length=12, choices=VERDICTS)
    requests = models.PositiveIntegerField(default=0)
    rejects = models.PositiveIntegerField(default=0, help_text="4xx given by the validator")
    errors = models.PositiveIntegerField(default=0, help_text="5xx or validator exceptions")
    slow = models.PositiveIntegerField(default=0, help_text="validations over 1 ms")
    reasons = models.JSONField(
        default=dict, help_text="{reason: requests that held an unknown of this reason}"
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.endpoint} {self.verdict} {self.started_at:%F %T}"


class TrafficWindow(_Counts):
    """One process's absolute counts of one kind of request in one window; upserted, so safe to
    repeat.
    """

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
    """The counts of one hour over all processes; each window is added to it once, when the
    window is deleted.
    """

    started_at = models.DateTimeField(help_text="start of the hour")

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["started_at", "endpoint", "mode", "verdict"], name="one_count_per_hour"
            )
        ]
