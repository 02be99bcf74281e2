"""Seals of targets: what people did.

The record says what ought to be in force; PostgreSQL's own catalogue says what is.
"""

from django.db import models
from django.db.models import Q


class SealAction(models.TextChoices):
    """One step in the life of a seal."""

    BEGUN = "begun", "begun: in force for every write, old rows not yet checked"
    SEALED = "sealed", "sealed: every row is checked"
    ABANDONED = "abandoned", "abandoned: what had been begun is removed"
    UNSEALED = "unsealed", "unsealed: removed"


class Seal(models.Model):
    """One step of sealing or unsealing a target: which values may pass, who, when and why. Append-only."""

    target = models.CharField(max_length=200, help_text="app.Model.field")
    action = models.CharField(max_length=10, choices=SealAction.choices)
    vocabulary_version = models.BigIntegerField()
    stages = models.JSONField(default=list, help_text="the stages of that version, as they are stored")
    allowed = models.JSONField(default=list, help_text="unknown values that a person lets stay")
    nulls = models.BooleanField(help_text="whether NULL may stand in the column")
    constraint_name = models.CharField(max_length=63)
    definition = models.TextField(help_text="the constraint as PostgreSQL writes it")
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["-id"]
        indexes = [models.Index(fields=["target", "-id"])]
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="seal_has_a_reason")]

    def __str__(self) -> str:
        return f"{self.target}: {self.action}, vocabulary version {self.vocabulary_version}"
