"""What holds runs back: limits set for a run, the last check of the database, the time lost."""

from django.db import models

from stageapp.infrastructure import words
from stageapp.models.normalization import Run
from stageapp.models.recorded import Recorded


class RunThrottle(Recorded):
    """A change of a limit for one run. The newest one of a factor counts. Append-only."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="throttle_changes")
    factor = models.CharField(max_length=30)
    limit = models.FloatField(
        null=True, help_text="0 turns the factor off; empty restores the setting's limit"
    )

    def __str__(self) -> str:
        return f"{self.factor}: {'as set' if self.limit is None else f'{self.limit:g}'}"


class ThrottledTime(models.Model):
    """How long a run has waited for one reason. One second for half of its workers is half a
    second.
    """

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="throttled")
    reason = models.CharField(max_length=30, help_text="the factor that reached its limit")
    seconds = models.FloatField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["run", "reason"], name="one_throttled_time_per_reason")
        ]

    def __str__(self) -> str:
        return f"{self.reason}: {words.duration(self.seconds)}"


class ThrottleLook(models.Model):
    """The database's health when a worker of the run last checked it."""

    run = models.OneToOneField(
        Run, on_delete=models.PROTECT, primary_key=True, related_name="throttle_look"
    )
    looked_at = models.DateTimeField()
    reason = models.CharField(
        max_length=30, blank=True, default="", help_text="what holds it; empty if nothing does"
    )
    text = models.TextField(blank=True, default="")
    readings = models.JSONField(
        default=list, help_text="[{factor, state, value, limit, resume, unit, note}]"
    )
    wal_marks = models.JSONField(
        default=list, help_text="[[epoch seconds, WAL position]], for the lag of standbys"
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.text or "nothing holds the run back"
