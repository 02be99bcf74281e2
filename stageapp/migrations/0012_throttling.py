import django.db.models.deletion
from django.db import migrations, models

from stageapp.sql import RunSQLFile


class Migration(migrations.Migration):
    dependencies = [
        ("stageapp", "0011_backup_jobs"),
    ]

    operations = [
        migrations.CreateModel(
            name="ThrottleLook",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="throttle_look",
                        serialize=False,
                        to="stageapp.run",
                    ),
                ),
                ("looked_at", models.DateTimeField()),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="what holds it; empty where nothing does",
                        max_length=30,
                    ),
                ),
                ("text", models.TextField(blank=True, default="")),
                (
                    "readings",
                    models.JSONField(
                        default=list,
                        help_text="[{factor, state, value, limit, resume, unit, note}]",
                    ),
                ),
                (
                    "wal_marks",
                    models.JSONField(
                        default=list,
                        help_text="[[epoch seconds, WAL position]], for the lag of standbys",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="RunThrottle",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("factor", models.CharField(max_length=30)),
                (
                    "limit",
                    models.FloatField(
                        help_text="0 turns the factor off; empty is the setting's limit again",
                        null=True,
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="throttle_changes",
                        to="stageapp.run",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="run_throttle_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ThrottledTime",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        help_text="the factor that was beyond its limit", max_length=30
                    ),
                ),
                ("seconds", models.FloatField(default=0)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="throttled",
                        to="stageapp.run",
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "reason"), name="one_throttled_time_per_reason"
                    )
                ],
            },
        ),
        RunSQLFile("append_only_throttling_v1.sql", reverse="append_only_throttling_v1_undo.sql"),
    ]
