"""Make the tables of verifications, their jobs and writes beside runs; a run loses its own note of one."""

import django.db.models.deletion
from django.db import migrations, models

from stageapp.sql import RunSQLFile


class Migration(migrations.Migration):
    """A proof names what it proved, when, and against which rows."""

    dependencies = [
        ("stageapp", "0013_seals"),
    ]

    operations = [
        migrations.AddField(
            model_name="driftcheck",
            name="options",
            field=models.JSONField(
                default=dict, help_text="the target's where, form and source then"
            ),
        ),
        migrations.AddField(
            model_name="driftcheck",
            name="vocabulary_version",
            field=models.BigIntegerField(
                default=0, help_text="the one that the values were read with"
            ),
        ),
        migrations.AlterField(
            model_name="driftcheck",
            name="run",
            field=models.BigIntegerField(
                help_text="the newest run that stands: it is compared with what that one left"
            ),
        ),
        migrations.CreateModel(
            name="TargetWrite",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("target", models.CharField(help_text="app.Model.field", max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("import", "imported"),
                            ("edit", "edited"),
                            ("drift", "found with known spellings"),
                        ],
                        max_length=10,
                    ),
                ),
                ("rows", models.BigIntegerField()),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["target", "-id"], name="write_of_target")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="target_write_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Verification",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "by_run",
                    models.BooleanField(
                        help_text="it ended the run; otherwise a person asked for it"
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField()),
                ("vocabulary_version", models.BigIntegerField()),
                (
                    "options",
                    models.JSONField(default=dict, help_text="the target's where, form and source"),
                ),
                (
                    "last_batch",
                    models.BigIntegerField(help_text="the target's newest batch then; 0: none"),
                ),
                (
                    "batches",
                    models.BigIntegerField(
                        help_text="of any run of the target, in either direction"
                    ),
                ),
                (
                    "writes",
                    models.BigIntegerField(
                        help_text="imports, edits and drift that were known then"
                    ),
                ),
                (
                    "ok",
                    models.BooleanField(
                        help_text="rows and log agree, and no known spelling is left"
                    ),
                ),
                ("found", models.JSONField(help_text="the counts, and by (old, new) the rows")),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="verifications",
                        to="stageapp.run",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="VerificationJob",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
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
                ("rows", models.BigIntegerField(default=0, help_text="compared so far")),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("said", models.TextField(blank=True, default="", help_text="why it failed")),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("began_at", models.DateTimeField(blank=True, null=True)),
                ("heartbeat_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="verification_jobs",
                        to="stageapp.run",
                    ),
                ),
                (
                    "verification",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="job",
                        to="stageapp.verification",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
            },
        ),
        migrations.AddIndex(
            model_name="verification",
            index=models.Index(fields=["run", "-id"], name="verification_of_run"),
        ),
        migrations.AddConstraint(
            model_name="verification",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True), name="verification_has_a_reason"
            ),
        ),
        migrations.AddConstraint(
            model_name="verificationjob",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True),
                name="verification_job_has_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="verificationjob",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["waiting", "working"])),
                fields=("run",),
                name="one_active_verification_job",
            ),
        ),
        RunSQLFile("append_only_proofs_v1.sql", reverse="append_only_proofs_v1_undo.sql"),
        RunSQLFile("keep_verifications_v1.sql", reverse=""),
        migrations.RemoveField(
            model_name="run",
            name="verification",
        ),
    ]
