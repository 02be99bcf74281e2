"""Seals of targets: what people did.

The record says what ought to be in force; PostgreSQL's own catalogue says what is.
"""

from django.db import models

from stageapp.models.recorded import Recorded


class SealAction(models.TextChoices):
    """One step in the life of a seal."""

    BEGUN = "begun", "begun: in force for every write, old rows not yet checked"
    SEALED = "sealed", "sealed: every row is checked"
    ABANDONED = "abandoned", "abandoned: what had been begun is removed"
    UNSEALED = "unsealed", "unsealed: removed"


class Seal(Recorded):
    """One step of sealing or unsealing a target: which values may pass, who, when and why.
    Append-only.
    """

    target = models.CharField(max_length=200, help_text="app.Model.field")
    action = models.CharField(max_length=10, choices=SealAction.choices)
    vocabulary_version = models.BigIntegerField()
    stages = models.JSONField(
        default=list, help_text="the stages of that version, as they are stored"
    )
    allowed = models.JSONField(default=list, help_text="unknown values that a person lets stay")
    nulls = models.BooleanField(help_text="whether NULL may stand in the column")
    constraint_name = models.CharField(max_length=63)
    definition = models.TextField(help_text="the constraint as PostgreSQL writes it")

    class Meta(Recorded.Meta):
        indexes = [models.Index(fields=["target", "-id"])]

    def __str__(self) -> str:
        return f"{self.target}: {self.action}, vocabulary version {self.vocabulary_version}"


# Guards of targets: what people switched, and what the triggers caught.


class GuardChange(Recorded):
    """One switch of a target's guard: who, when and why. Append-only."""

    target = models.CharField(max_length=200, help_text="app.Model.field")
    on = models.BooleanField()
    vocabulary_version = models.BigIntegerField()

    class Meta(Recorded.Meta):
        indexes = [models.Index(fields=["target", "-id"])]

    def __str__(self) -> str:
        return f"{self.target}: guard {'on' if self.on else 'off'}"


class GuardConversion(models.Model):
    """One value that the guard's trigger read, written in the writer's own transaction; beat makes
    counts of them.

    A row of its own for each, so that no two writers wait for one counter. `stage` is empty where
    the trigger failed and left the value as it was; then `problem` says why.
    """

    target = models.TextField()
    at = models.DateTimeField()
    raw = models.TextField()
    stage = models.TextField()
    writer = models.TextField(help_text="the role that logged in")
    problem = models.TextField()

    class Meta:
        default_permissions = ("view",)
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.target}: {self.raw!r} → {self.stage or self.problem}"


class GuardCount(models.Model):
    """How often the guard met one spelling of one writer on one day (UTC)."""

    target = models.CharField(max_length=200)
    day = models.DateField()
    raw = models.TextField()
    stage = models.TextField()
    writer = models.TextField()
    problem = models.TextField()
    count = models.BigIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering = ["-day", "-count"]
        constraints = [
            models.UniqueConstraint(
                fields=["target", "day", "raw", "stage", "writer", "problem"],
                name="one_guard_count_per_day",
            )
        ]

    def __str__(self) -> str:
        return f"{self.target} {self.day}: {self.raw!r} {self.count} times"
