"""What people decide about the rollout, apart from the mode itself."""

from django.db import models

from stageapp.models.recorded import Recorded


class WarnPeriod(Recorded):
    """The start of a new warn period: its days, and the evidence for leaving it, count from here.
    Append-only.
    """


class ConsumerAudit(Recorded):
    """A person has checked who still sends what, and signs it off. Append-only."""


class ConsumerPin(Recorded):
    """A consumer is put into the canary, or kept out of it, whatever its bucket. The newest pin
    counts. Append-only.
    """

    PLACES = [
        ("in", "in: gets enforce as soon as it applies to anyone"),
        ("out", "out: gets warn, even at 100 %"),
        ("free", "free: its bucket decides"),
    ]

    consumer = models.CharField(max_length=200)
    place = models.CharField(max_length=4, choices=PLACES)

    class Meta(Recorded.Meta):
        indexes = [models.Index(fields=["consumer", "-id"])]


class _Intent(Recorded):
    """A change of mode that waits. `epoch` and `version` are the mode it was decided on."""

    percent = models.PositiveSmallIntegerField()
    epoch = models.PositiveIntegerField()
    version = models.BigIntegerField()
    approved_by = models.CharField(max_length=200, blank=True, default="")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_why = models.TextField(blank=True, default="")

    class Meta(Recorded.Meta):
        abstract = True


class ModeProposal(_Intent):
    """A proposal to enforce, under the two-person rule. Another person's approval changes the
    mode.
    """

    STATUSES = [
        ("open", "waiting for another person"),
        ("approved", "approved; the mode was changed"),
        ("withdrawn", "withdrawn"),
        ("outdated", "outdated"),
    ]

    enforce_on = models.DateField(null=True, blank=True)
    withdraw_enforce_on = models.BooleanField(default=False)
    override_reason = models.TextField(blank=True, default="")
    status = models.CharField(max_length=10, choices=STATUSES, default="open")

    def __str__(self) -> str:
        return f"enforce {self.percent} %, proposed by {self.actor} ({self.status})"


class PlannedStep(_Intent):
    """A larger share that beat enforces by itself once the gates pass."""

    STATUSES = [
        ("proposed", "waiting for another person's approval"),
        ("waiting", "waiting for its gates"),
        ("done", "done"),
        ("cancelled", "cancelled"),
    ]

    status = models.CharField(max_length=10, choices=STATUSES, default="waiting")

    class Meta(_Intent.Meta):
        ordering = ["id"]

    def __str__(self) -> str:
        return f"enforce {self.percent} %, planned by {self.actor} ({self.status})"
