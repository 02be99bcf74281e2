"""Seals and guards of targets: what people did, and what the guards' triggers met.

The record says what ought to be in force; PostgreSQL's catalogue says what is.
"""

from django.db import models

from stageapp.models.recorded import Recorded


class SealAction(models.TextChoices):
    """One step in the life of a seal."""

    BEGUN = "begun", "begun: applies to every write, existing rows not checked yet"
    SEALED = "sealed", "sealed: every row is checked"
    ABANDONED = "abandoned", "abandoned: what was begun has been removed"
    UNSEALED = "unsealed", "unsealed: removed"


class Seal(Recorded):
    """A step of sealing or unsealing a target, with the values that may pass. Append-only."""

    target = models.CharField(max_length=200, help_text="app.Model.field")
    action = models.CharField(max_length=10, choices=SealAction.choices)
    vocabulary_version = models.BigIntegerField()
    stages = models.JSONField(
        default=list, help_text="the stages of that version, as they are stored"
    )
    allowed = models.JSONField(
        default=list, help_text="unknown values that a person allowed to stay"
    )
    nulls = models.BooleanField(help_text="whether NULL is allowed in the column")
    constraint_name = models.CharField(max_length=63)
    definition = models.TextField(help_text="the constraint as PostgreSQL writes it")

    class Meta(Recorded.Meta):
        indexes = [models.Index(fields=["target", "-id"])]

    def __str__(self) -> str:
        return f"{self.target}: {self.action}, vocabulary version {self.vocabulary_version}"


class GuardChange(Recorded):
    """A target's guard was switched on or off. Append-only."""

    target = models.CharField(max_length=200, help_text="app.Model.field")
    on = models.BooleanField()
    vocabulary_version = models.BigIntegerField()

    class Meta(Recorded.Meta):
        indexes = [models.Index(fields=["target", "-id"])]

    def __str__(self) -> str:
        return f"{self.target}: guard {'on' if self.on else 'off'}"


class GuardConversion(models.Model):
    """A value that a guard's trigger read, recorded in the writer's own transaction; beat adds
    these up.

    Each has its own row, so that no two writers wait for the same counter. `stage` is empty if the
    trigger failed and left the value as it was; `problem` then says why.
    """

    target = models.TextField()
    at = models.DateTimeField()
    raw = models.TextField()
    stage = models.TextField()
    writer = models.TextField(help_text="the login role")
    problem = models.TextField()

    class Meta:
        default_permissions = ("view",)
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.target}: {self.raw!r} → {self.stage or self.problem}"


class GuardCount(models.Model):
    """How often a guard met one spelling from one writer on one day (UTC)."""

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
