"""The log of the webhook: what was delivered, by whom, and with what result."""

from django.db import models
from django.db.models import Q

AUTHENTICATORS = [
    ("standard", "Standard Webhooks"),
    ("alertmanager", "X-Alertmanager-Signature"),
    ("bearer", "bearer token"),
    ("none", "none"),
]
RESULTS = [
    ("downgraded", "the mode was lowered from enforce"),
    ("not_enforced", "the mode was not enforce: nothing to lower"),
    ("no_downgrade", "no alert asked for a downgrade"),
    ("test", "a test: nothing had to change"),
    ("duplicate", "duplicate: nothing done"),
    ("unreadable", "not an Alertmanager notification"),
    ("refused", "not believed"),
]


class WebhookDelivery(models.Model):
    """A delivery and its result. Append-only.

    Every authentic delivery has a row the first time. Of the others a bounded number has one, and
    WebhookCount counts them all.
    """

    received_at = models.DateTimeField(auto_now_add=True)
    authenticator = models.CharField(max_length=20, choices=AUTHENTICATORS)
    result = models.CharField(max_length=20, choices=RESULTS)
    webhook_id = models.CharField(
        max_length=200, blank=True, default="", help_text="the sender's id of the delivery"
    )
    key = models.CharField(
        max_length=200,
        blank=True,
        default="",
        help_text="only a new one has an effect",
    )
    alerts = models.JSONField(default=list, help_text="names of the alerts")
    remote = models.CharField(
        max_length=64, blank=True, default="", help_text="the address it came from"
    )
    detail = models.CharField(max_length=500, blank=True, default="")
    mode_change = models.ForeignKey("ModeChange", on_delete=models.PROTECT, null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name = "alert delivery"
        verbose_name_plural = "alert deliveries"
        ordering = ["-id"]
        indexes = [models.Index(fields=["result", "-received_at"], name="deliveries_by_result")]
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=~Q(key=""), name="one_effect_per_key")
        ]

    def __str__(self) -> str:
        return f"{self.received_at:%F %T}: {self.get_result_display()}"


class WebhookCount(models.Model):
    """How many deliveries of one hour were refused, duplicate or unreadable, and why."""

    hour = models.DateTimeField()
    authenticator = models.CharField(max_length=20, choices=AUTHENTICATORS)
    result = models.CharField(max_length=20, choices=RESULTS)
    why = models.CharField(max_length=30, blank=True, default="")
    deliveries = models.BigIntegerField()

    class Meta:
        default_permissions = ()
        ordering = ["-hour"]
        constraints = [
            models.UniqueConstraint(
                fields=["hour", "authenticator", "result", "why"], name="one_webhook_count"
            )
        ]

    def __str__(self) -> str:
        return f"{self.hour:%F %H} h: {self.deliveries} {self.result} {self.why}".rstrip()
