"""Make the tables of verifications, seals, guards and backups."""

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
JOB_STATES = [
    ("waiting", "waiting"),
    ("working", "working"),
    ("done", "done"),
    ("failed", "failed"),
]


class Migration(migrations.Migration):
    """What was proved of a column or a backup, when, and what has changed it since."""

    dependencies = [("stageapp", "0005_batches")]

    operations = [
        migrations.CreateModel(
            name="TargetWrite",
            fields=[
                ID,
                *RECORDED,
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
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["target", "-id"], name="write_of_target")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="targetwrite_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Verification",
            fields=[
                ID,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="verifications", to="stageapp.run"
                    ),
                ),
                (
                    "by_run",
                    models.BooleanField(
                        help_text="it ended the run; otherwise a user requested it"
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
                    models.BigIntegerField(
                        help_text="the target's newest batch at that time; 0: none"
                    ),
                ),
                (
                    "batches",
                    models.BigIntegerField(
                        help_text="of any run of the target, in either direction"
                    ),
                ),
                ("writes", models.BigIntegerField(help_text="imports, edits and drift known then")),
                (
                    "ok",
                    models.BooleanField(
                        help_text="rows and log agree, and no known spelling is left"
                    ),
                ),
                ("found", models.JSONField(help_text="the counts, and the rows by (old, new)")),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["run", "-id"], name="verification_of_run")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="verification_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="VerificationJob",
            fields=[
                ID,
                *RECORDED,
                ("state", models.CharField(choices=JOB_STATES, default="waiting", max_length=10)),
                ("said", models.TextField(blank=True, default="", help_text="how it ended")),
                ("heartbeat_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT,
                        related_name="verification_jobs",
                        to="stageapp.run",
                    ),
                ),
                ("rows", models.BigIntegerField(default=0, help_text="compared so far")),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "verification",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="job",
                        to="stageapp.verification",
                    ),
                ),
                ("began_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="verificationjob_has_a_reason",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["waiting", "working"])),
                        fields=("run",),
                        name="one_active_verification_job",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Seal",
            fields=[
                ID,
                *RECORDED,
                ("target", models.CharField(help_text="app.Model.field", max_length=200)),
                (
                    "action",
                    models.CharField(
                        choices=[
                            (
                                "begun",
                                "begun: applies to every write, existing rows not checked yet",
                            ),
                            ("sealed", "sealed: every row is checked"),
                            ("abandoned", "abandoned: what was begun has been removed"),
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
                        default=list, help_text="unknown values that a person allowed to stay"
                    ),
                ),
                ("nulls", models.BooleanField(help_text="whether NULL is allowed in the column")),
                ("constraint_name", models.CharField(max_length=63)),
                (
                    "definition",
                    models.TextField(help_text="the constraint as PostgreSQL writes it"),
                ),
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
        migrations.CreateModel(
            name="GuardChange",
            fields=[
                ID,
                *RECORDED,
                ("target", models.CharField(help_text="app.Model.field", max_length=200)),
                ("on", models.BooleanField()),
                ("vocabulary_version", models.BigIntegerField()),
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
                        name="guardchange_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GuardConversion",
            fields=[
                ID,
                ("target", models.TextField()),
                ("at", models.DateTimeField()),
                ("raw", models.TextField()),
                ("stage", models.TextField()),
                ("writer", models.TextField(help_text="the login role")),
                ("problem", models.TextField()),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="GuardCount",
            fields=[
                ID,
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
            name="Backup",
            fields=[
                ID,
                *RECORDED,
                ("name", models.CharField(max_length=200, unique=True)),
                (
                    "origin",
                    models.CharField(
                        choices=[
                            ("own", "made here"),
                            ("adapter", "made by an external backup system"),
                        ],
                        default="own",
                        max_length=10,
                    ),
                ),
                (
                    "taken_at",
                    models.DateTimeField(
                        help_text="when its snapshot was taken; later changes are not in it"
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
            name="BackupCheck",
            fields=[
                ID,
                *RECORDED,
                (
                    "backup",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="checks",
                        to="stageapp.backup",
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="of the backup, also if it is not on record", max_length=200
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
                        name="backupcheck_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="BackupJob",
            fields=[
                ID,
                *RECORDED,
                ("state", models.CharField(choices=JOB_STATES, default="waiting", max_length=10)),
                ("said", models.TextField(blank=True, default="", help_text="how it ended")),
                ("heartbeat_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "verb",
                    models.CharField(
                        choices=[
                            ("create", "create"),
                            ("verify", "verify"),
                            ("rehearse", "rehearse"),
                            ("scheduled", "scheduled"),
                            ("prune", "prune"),
                            ("record", "import existing backups"),
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
                ("phase", models.CharField(blank=True, default="", max_length=20)),
                (
                    "done",
                    models.BigIntegerField(
                        default=0, help_text="of the phase: bytes, or tables in `measure`"
                    ),
                ),
                ("whole", models.BigIntegerField(default=0, help_text="0 if unknown in advance")),
                ("phase_began_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="backupjob_has_a_reason",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["waiting", "working"])),
                        fields=("verb", "name"),
                        name="one_active_backup_job",
                    ),
                ],
            },
        ),
    ]
