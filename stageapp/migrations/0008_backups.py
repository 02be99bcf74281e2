"""Make the tables of backups: what was made, every verdict, and what workers are to do."""

import django.db.models.deletion
from django.db import migrations, models

from stageapp.sql import RunSQLFile


class Migration(migrations.Migration):
    """The files are the backups; these rows say what is known of them."""

    dependencies = [
        ("stageapp", "0007_process_registry"),
    ]

    operations = [
        migrations.CreateModel(
            name="Backup",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=200, unique=True)),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("own", "made here"),
                            ("adapter", "made by another backup system"),
                        ],
                        default="own",
                        max_length=10,
                    ),
                ),
                (
                    "taken_at",
                    models.DateTimeField(
                        help_text="time of its snapshot: what changed later is not in it"
                    ),
                ),
                ("ended_at", models.DateTimeField()),
                ("bytes", models.BigIntegerField()),
                ("sha256", models.CharField(blank=True, default="", max_length=64)),
                ("rows", models.BigIntegerField(blank=True, null=True)),
                (
                    "schema",
                    models.CharField(
                        blank=True, default="", help_text="sha256 of the schema", max_length=64
                    ),
                ),
                ("vocabulary_version", models.BigIntegerField(blank=True, null=True)),
                ("server_version", models.IntegerField(blank=True, null=True)),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
                ("removed_why", models.TextField(blank=True, default="")),
            ],
            options={
                "ordering": ["-taken_at", "-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="backup_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="BackupJob",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "verb",
                    models.CharField(
                        choices=[
                            ("create", "create"),
                            ("verify", "verify"),
                            ("rehearse", "rehearse"),
                            ("scheduled", "scheduled"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="of the backup; empty for the newest",
                        max_length=200,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("working", "working"),
                            ("done", "done"),
                            ("failed", "failed"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("phase", models.CharField(blank=True, default="", max_length=20)),
                (
                    "done",
                    models.BigIntegerField(
                        default=0, help_text="of the phase: bytes, or tables in `measure`"
                    ),
                ),
                (
                    "whole",
                    models.BigIntegerField(
                        default=0, help_text="0 where it is not known beforehand"
                    ),
                ),
                ("said", models.TextField(blank=True, default="", help_text="how it ended")),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("heartbeat_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="backup_job_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="BackupCheck",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="of the backup, also where nothing is known of it", max_length=200
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("verify", "verified"), ("rehearse", "rehearsed")], max_length=10
                    ),
                ),
                ("passed", models.BooleanField()),
                ("seconds", models.FloatField()),
                ("data_age_seconds", models.FloatField(blank=True, null=True)),
                ("findings", models.JSONField(default=list, help_text="[{check, passed, said}]")),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "backup",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="checks",
                        to="stageapp.backup",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(
                        fields=["backup", "kind", "-id"], name="stageapp_ba_backup__780571_idx"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="backup_check_has_a_reason",
                    )
                ],
            },
        ),
        RunSQLFile("append_only_backups_v1.sql", reverse="append_only_backups_v1_undo.sql"),
    ]
