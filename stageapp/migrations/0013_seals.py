"""Make the tables of seals and guards, and what the triggers of guards share."""

from django.db import migrations, models

from stageapp.sql import RunSQLFile


class Migration(migrations.Migration):
    """Who sealed which column and how; what the guards caught."""

    dependencies = [
        ("stageapp", "0012_throttling"),
    ]

    operations = [
        migrations.CreateModel(
            name="GuardConversion",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("target", models.TextField()),
                ("at", models.DateTimeField()),
                ("raw", models.TextField()),
                ("stage", models.TextField()),
                ("writer", models.TextField(help_text="the role that logged in")),
                ("problem", models.TextField()),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="GuardChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("target", models.CharField(help_text="app.Model.field", max_length=200)),
                ("on", models.BooleanField()),
                ("vocabulary_version", models.BigIntegerField()),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["target", "-id"], name="stageapp_gu_target_65b7f0_idx")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="guard_change_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GuardCount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("target", models.CharField(max_length=200)),
                ("day", models.DateField()),
                ("raw", models.TextField()),
                ("stage", models.TextField()),
                ("writer", models.TextField()),
                ("problem", models.TextField()),
                ("count", models.BigIntegerField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["-day", "-count"],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("target", "day", "raw", "stage", "writer", "problem"),
                        name="one_guard_count_per_day",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Seal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("target", models.CharField(help_text="app.Model.field", max_length=200)),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("begun", "begun: in force for every write, old rows not yet checked"),
                            ("sealed", "sealed: every row is checked"),
                            ("abandoned", "abandoned: what had been begun is removed"),
                            ("unsealed", "unsealed: removed"),
                        ],
                        max_length=10,
                    ),
                ),
                ("vocabulary_version", models.BigIntegerField()),
                (
                    "stages",
                    models.JSONField(
                        default=list, help_text="the stages of that version, as they are stored"
                    ),
                ),
                (
                    "allowed",
                    models.JSONField(
                        default=list, help_text="unknown values that a person lets stay"
                    ),
                ),
                ("nulls", models.BooleanField(help_text="whether NULL may stand in the column")),
                ("constraint_name", models.CharField(max_length=63)),
                (
                    "definition",
                    models.TextField(help_text="the constraint as PostgreSQL writes it"),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["target", "-id"], name="stageapp_se_target_bd7b37_idx")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="seal_has_a_reason"
                    )
                ],
            },
        ),
        RunSQLFile("append_only_seals_v1.sql", reverse="append_only_seals_v1_undo.sql"),
        RunSQLFile("guard_v1.sql", reverse="guard_v1_undo.sql"),
    ]
