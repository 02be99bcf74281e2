"""Make the tables of the mode, of decisions about it, and of the alerts that lower it."""

from typing import Any

from django.db import migrations, models

ID = (
    "id",
    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
)
# Who did it, why and when.
RECORDED: Any = [
    ("actor", models.CharField(max_length=200)),
    ("reason", models.TextField()),
    ("created_at", models.DateTimeField(auto_now_add=True)),
]
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


class Migration(migrations.Migration):
    """Which mode is in force, since when and why, and what people plan to do about it."""

    dependencies = [("stageapp", "0002_traffic")]

    operations = [
        migrations.CreateModel(
            name="ModeChange",
            fields=[
                ID,
                *RECORDED,
                (
                    "epoch",
                    models.PositiveIntegerField(
                        default=1, help_text="a restored database starts a new epoch"
                    ),
                ),
                ("version", models.BigIntegerField()),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("off", "off: observe only"),
                            ("warn", "warn: accept, and tell the caller"),
                            ("enforce", "enforce: refuse"),
                        ],
                        max_length=10,
                    ),
                ),
                ("percent", models.PositiveSmallIntegerField(default=100)),
                (
                    "enforce_on",
                    models.DateField(
                        blank=True, help_text="the announced first day of enforcement", null=True
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("manual", "by a user"),
                            ("downgrade", "automatic downgrade"),
                            ("scheduled", "planned step"),
                            ("installed", "installation"),
                        ],
                        default="manual",
                        max_length=10,
                    ),
                ),
                ("override_reason", models.TextField(blank=True, default="")),
            ],
            options={
                "ordering": ["-epoch", "-version"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="modechange_has_a_reason",
                    ),
                    models.UniqueConstraint(
                        fields=("epoch", "version"), name="one_mode_change_per_version"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("percent__gte", 1), ("percent__lte", 100)),
                        name="percent_1_to_100",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("mode", "enforce"), ("percent", 100), _connector="OR"),
                        name="percent_belongs_to_enforce",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ServerProcess",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("web", "web server"),
                            ("worker", "Celery worker"),
                            ("beat", "Celery beat"),
                        ],
                        max_length=10,
                    ),
                ),
                ("host", models.CharField(max_length=255)),
                ("pid", models.PositiveIntegerField()),
                ("started_at", models.DateTimeField()),
                (
                    "mode",
                    models.CharField(help_text="the mode in force in this process", max_length=10),
                ),
                ("percent", models.PositiveSmallIntegerField()),
                ("epoch", models.PositiveIntegerField()),
                ("version", models.BigIntegerField()),
                (
                    "source",
                    models.CharField(help_text="where the mode was last confirmed", max_length=10),
                ),
                (
                    "age",
                    models.FloatField(
                        help_text="seconds since a store confirmed the mode, at the heartbeat",
                        null=True,
                    ),
                ),
                ("heartbeat_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["name", "host", "pid"],
                "default_permissions": (),
                "indexes": [models.Index(fields=["heartbeat_at"], name="stale_processes")],
            },
        ),
        migrations.CreateModel(
            name="ModeProposal",
            fields=[
                ID,
                *RECORDED,
                ("percent", models.PositiveSmallIntegerField()),
                ("epoch", models.PositiveIntegerField()),
                ("version", models.BigIntegerField()),
                ("approved_by", models.CharField(blank=True, default="", max_length=200)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_why", models.TextField(blank=True, default="")),
                ("enforce_on", models.DateField(blank=True, null=True)),
                ("withdraw_enforce_on", models.BooleanField(default=False)),
                ("override_reason", models.TextField(blank=True, default="")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "waiting for another person"),
                            ("approved", "approved; the mode was changed"),
                            ("withdrawn", "withdrawn"),
                            ("outdated", "outdated"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="modeproposal_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PlannedStep",
            fields=[
                ID,
                *RECORDED,
                ("percent", models.PositiveSmallIntegerField()),
                ("epoch", models.PositiveIntegerField()),
                ("version", models.BigIntegerField()),
                ("approved_by", models.CharField(blank=True, default="", max_length=200)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_why", models.TextField(blank=True, default="")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("proposed", "waiting for another person's approval"),
                            ("waiting", "waiting for its gates"),
                            ("done", "done"),
                            ("cancelled", "cancelled"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="plannedstep_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WarnPeriod",
            fields=[
                ID,
                *RECORDED,
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="warnperiod_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ConsumerAudit",
            fields=[
                ID,
                *RECORDED,
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="consumeraudit_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ConsumerPin",
            fields=[
                ID,
                *RECORDED,
                ("consumer", models.CharField(max_length=200)),
                (
                    "place",
                    models.CharField(
                        choices=[
                            ("in", "in: gets enforce as soon as it applies to anyone"),
                            ("out", "out: gets warn, even at 100 %"),
                            ("free", "free: its bucket decides"),
                        ],
                        max_length=4,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["consumer", "-id"], name="stageapp_co_consume_875bf0_idx")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="consumerpin_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                ID,
                ("received_at", models.DateTimeField(auto_now_add=True)),
                ("authenticator", models.CharField(choices=AUTHENTICATORS, max_length=20)),
                ("result", models.CharField(choices=RESULTS, max_length=20)),
                (
                    "webhook_id",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="the sender's id of the delivery",
                        max_length=200,
                    ),
                ),
                (
                    "key",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="only a new one has an effect",
                        max_length=200,
                    ),
                ),
                ("alerts", models.JSONField(default=list, help_text="names of the alerts")),
                (
                    "remote",
                    models.CharField(
                        blank=True, default="", help_text="the address it came from", max_length=64
                    ),
                ),
                ("detail", models.CharField(blank=True, default="", max_length=500)),
                (
                    "mode_change",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=models.PROTECT, to="stageapp.modechange"
                    ),
                ),
            ],
            options={
                "verbose_name": "alert delivery",
                "verbose_name_plural": "alert deliveries",
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["result", "-received_at"], name="deliveries_by_result")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("key", ""), _negated=True),
                        fields=("key",),
                        name="one_effect_per_key",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookCount",
            fields=[
                ID,
                ("hour", models.DateTimeField()),
                ("authenticator", models.CharField(choices=AUTHENTICATORS, max_length=20)),
                ("result", models.CharField(choices=RESULTS, max_length=20)),
                ("why", models.CharField(blank=True, default="", max_length=30)),
                ("deliveries", models.BigIntegerField()),
            ],
            options={
                "ordering": ["-hour"],
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("hour", "authenticator", "result", "why"), name="one_webhook_count"
                    )
                ],
            },
        ),
    ]
