"""Make the tables of the rollout: traffic hours, warn periods, audits, pins, proposals and planned steps."""

from django.db import migrations, models

from stageapp.sql import RunSQLFile


class Migration(migrations.Migration):
    """What people decide about the rollout, and what they decide it by."""

    dependencies = [
        ("stageapp", "0005_consumer_contacts"),
    ]

    operations = [
        migrations.CreateModel(
            name="ModeProposal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("percent", models.PositiveSmallIntegerField()),
                ("epoch", models.PositiveIntegerField()),
                ("version", models.BigIntegerField()),
                ("approved_by", models.CharField(blank=True, default="", max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_why", models.TextField(blank=True, default="")),
                ("enforce_on", models.DateField(blank=True, null=True)),
                ("override_reason", models.TextField(blank=True, default="")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("open", "waits for another person"),
                            ("approved", "approved; the mode was changed"),
                            ("withdrawn", "withdrawn"),
                            ("outdated", "the mode changed meanwhile"),
                        ],
                        default="open",
                        max_length=10,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="PlannedStep",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("percent", models.PositiveSmallIntegerField()),
                ("epoch", models.PositiveIntegerField()),
                ("version", models.BigIntegerField()),
                ("approved_by", models.CharField(blank=True, default="", max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_why", models.TextField(blank=True, default="")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("proposed", "waits for another person's approval"),
                            ("waiting", "waits for its gates"),
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
            },
        ),
        migrations.AddField(
            model_name="trafficwindow",
            name="reasons",
            field=models.JSONField(
                default=dict, help_text="{reason: requests that held an unknown of this reason}"
            ),
        ),
        migrations.CreateModel(
            name="ConsumerAudit",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="consumer_audit_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ConsumerPin",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("consumer", models.CharField(max_length=200)),
                (
                    "place",
                    models.CharField(
                        choices=[
                            ("in", "in: meets enforce as soon as it holds for anybody"),
                            ("out", "out: meets warn, even at 100 %"),
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
                        condition=models.Q(("reason", ""), _negated=True), name="pin_has_a_reason"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TrafficHour",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("endpoint", models.CharField(max_length=60)),
                ("mode", models.CharField(help_text="the effective mode", max_length=10)),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("canonical", "canonical"),
                            ("normalized", "normalized"),
                            ("unknown", "unknown"),
                            ("malformed", "malformed"),
                        ],
                        max_length=12,
                    ),
                ),
                ("requests", models.PositiveIntegerField(default=0)),
                (
                    "rejects",
                    models.PositiveIntegerField(default=0, help_text="4xx given by the validator"),
                ),
                (
                    "errors",
                    models.PositiveIntegerField(default=0, help_text="5xx or validator exceptions"),
                ),
                ("slow", models.PositiveIntegerField(default=0, help_text="validations over 1 ms")),
                (
                    "reasons",
                    models.JSONField(
                        default=dict,
                        help_text="{reason: requests that held an unknown of this reason}",
                    ),
                ),
                ("started_at", models.DateTimeField(help_text="start of the hour")),
            ],
            options={
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("started_at", "endpoint", "mode", "verdict"),
                        name="one_count_per_hour",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WarnPeriod",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="warn_period_has_a_reason",
                    )
                ],
            },
        ),
        RunSQLFile("append_only_rollout_v1.sql", reverse="append_only_rollout_v1_undo.sql"),
    ]
