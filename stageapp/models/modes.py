"""The validation mode's history. The newest row by (epoch, version) is the mode in force."""

from django.db import models
from django.db.models import Q


class ModeChange(models.Model):
    """One authorised change of mode. Append-only."""

    MODES = [
        ("off", "off: observe only"),
        ("warn", "warn: accept, and tell the caller"),
        ("enforce", "enforce: refuse"),
    ]
    KINDS = [
        ("manual", "by a person"),
        ("downgrade", "automatic downgrade"),
        ("scheduled", "planned step"),
        ("installed", "installation"),
    ]

    epoch = models.PositiveIntegerField(default=1, help_text="a restored database begins a new epoch")
    version = models.BigIntegerField()
    mode = models.CharField(max_length=10, choices=MODES)
    percent = models.PositiveSmallIntegerField(default=100)
    enforce_on = models.DateField(null=True, blank=True, help_text="the announced first day of enforcement")
    kind = models.CharField(max_length=10, choices=KINDS, default="manual")
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    override_reason = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-epoch", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["epoch", "version"], name="one_mode_change_per_version"),
            models.CheckConstraint(condition=Q(percent__gte=1, percent__lte=100), name="percent_1_to_100"),
            models.CheckConstraint(condition=Q(mode="enforce") | Q(percent=100), name="percent_belongs_to_enforce"),
            models.CheckConstraint(condition=~Q(reason=""), name="mode_change_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.mode} {self.percent} % (version {self.epoch}.{self.version})"
