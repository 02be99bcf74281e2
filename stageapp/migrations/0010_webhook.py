"""Make the tables of the webhook: what was delivered, and how often nothing came of it."""

import django.db.models.deletion
from django.db import migrations, models

from stageapp.sql import RunSQLFile


class Migration(migrations.Migration):
    """A key that is there already has had its effect."""

    dependencies = [
        ("stageapp", "0009_engine"),
    ]

    operations = [
        migrations.CreateModel(
            name="WebhookCount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("hour", models.DateTimeField()),
                (
                    "authenticator",
                    models.CharField(
                        choices=[
                            ("standard", "Standard Webhooks"),
                            ("alertmanager", "X-Alertmanager-Signature"),
                            ("bearer", "bearer token"),
                            ("none", "none"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "result",
                    models.CharField(
                        choices=[
                            ("downgraded", "enforce was taken back"),
                            ("not_enforced", "nothing was enforced"),
                            ("no_downgrade", "no alert asks for a downgrade"),
                            ("test", "a test: nothing was to change"),
                            ("duplicate", "told before: nothing done"),
                            ("unreadable", "no notification of Alertmanager's"),
                            ("refused", "not believed"),
                        ],
                        max_length=20,
                    ),
                ),
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
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("received_at", models.DateTimeField(auto_now_add=True)),
                (
                    "authenticator",
                    models.CharField(
                        choices=[
                            ("standard", "Standard Webhooks"),
                            ("alertmanager", "X-Alertmanager-Signature"),
                            ("bearer", "bearer token"),
                            ("none", "none"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "result",
                    models.CharField(
                        choices=[
                            ("downgraded", "enforce was taken back"),
                            ("not_enforced", "nothing was enforced"),
                            ("no_downgrade", "no alert asks for a downgrade"),
                            ("test", "a test: nothing was to change"),
                            ("duplicate", "told before: nothing done"),
                            ("unreadable", "no notification of Alertmanager's"),
                            ("refused", "not believed"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "webhook_id",
                    models.CharField(
                        blank=True, default="", help_text="as the sender names it", max_length=200
                    ),
                ),
                (
                    "key",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="a delivery has an effect only if this is new",
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
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="stageapp.modechange",
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
        RunSQLFile("append_only_webhook_v1.sql", reverse="append_only_webhook_v1_undo.sql"),
    ]
