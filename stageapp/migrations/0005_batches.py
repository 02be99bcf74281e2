"""Make the tables that workers write in the transaction of a batch: checkpoints and the audit log."""

from django.contrib.postgres import fields, indexes
from django.db import migrations, models

ID = (
    "id",
    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
)
DIRECTIONS = [("forward", "Forward"), ("rollback", "Rollback"), ("verify", "Verify")]


class Migration(migrations.Migration):
    """Every committed batch, what it changed, and how far its shard is."""

    dependencies = [("stageapp", "0004_runs")]

    operations = [
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ID,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="checkpoints", to="stageapp.run"
                    ),
                ),
                ("direction", models.CharField(choices=DIRECTIONS, max_length=10)),
                (
                    "round",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="0 for the run itself; a rollback's own number"
                    ),
                ),
                ("shard", models.PositiveSmallIntegerField(default=0)),
                (
                    "lower",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="keys above this one; empty: from the start of the table",
                    ),
                ),
                (
                    "upper",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="up to this key; empty: to the end of the table",
                    ),
                ),
                (
                    "sweep",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="0 is the main pass; later sweeps find latecomers"
                    ),
                ),
                (
                    "position",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="forward: the last key committed; rollback: the last batch undone, or batch:key within one",
                    ),
                ),
                ("batches", models.PositiveIntegerField(default=0)),
                ("scanned", models.BigIntegerField(default=0)),
                ("changed", models.BigIntegerField(default=0)),
                (
                    "skipped",
                    models.BigIntegerField(
                        default=0, help_text="rows that others have changed since; left as they are"
                    ),
                ),
                ("quarantined", models.PositiveIntegerField(default=0)),
                ("finished", models.BooleanField(default=False)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("holder", models.CharField(blank=True, default="", max_length=200)),
                (
                    "token",
                    models.BigIntegerField(
                        default=0,
                        help_text="the fencing token: increases each time the shard is leased",
                    ),
                ),
                ("leased_until", models.DateTimeField(blank=True, null=True)),
                ("heartbeat_at", models.DateTimeField(blank=True, null=True)),
                (
                    "backend_pid",
                    models.IntegerField(
                        blank=True, help_text="the holder's PostgreSQL session", null=True
                    ),
                ),
                ("backend_started", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "direction", "round", "shard"),
                        name="one_checkpoint_per_shard_and_round",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Batch",
            fields=[
                ID,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="batches", to="stageapp.run"
                    ),
                ),
                ("direction", models.CharField(choices=DIRECTIONS, max_length=10)),
                ("round", models.PositiveSmallIntegerField(default=0)),
                ("shard", models.PositiveSmallIntegerField(default=0)),
                ("sweep", models.PositiveSmallIntegerField(default=0)),
                ("number", models.PositiveIntegerField()),
                ("last_key", models.TextField(help_text="the checkpoint this batch committed")),
                (
                    "undoes",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="undone_by",
                        to="stageapp.batch",
                    ),
                ),
                (
                    "places",
                    fields.BigIntegerRangeField(
                        blank=True,
                        help_text="from the first changed key to the last, by stageapp_place()",
                        null=True,
                    ),
                ),
                ("scanned", models.IntegerField()),
                ("changed", models.IntegerField()),
                ("seconds", models.FloatField()),
                ("committed_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "verbose_name_plural": "batches",
                "default_permissions": ("view",),
                "indexes": [indexes.GistIndex(fields=["places"], name="batch_places")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "direction", "round", "shard", "number"),
                        name="one_batch_per_number_and_round",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="NormalizationLog",
            fields=[
                ID,
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="log", to="stageapp.batch"
                    ),
                ),
                ("old", models.TextField()),
                ("new", models.TextField()),
                (
                    "keys",
                    fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        blank=True,
                        help_text="integer primary keys, ascending",
                        null=True,
                        size=None,
                    ),
                ),
                (
                    "uuids",
                    fields.ArrayField(
                        base_field=models.UUIDField(),
                        blank=True,
                        help_text="UUID primary keys, ascending",
                        null=True,
                        size=None,
                    ),
                ),
            ],
            options={
                "verbose_name": "audit block",
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("old", models.F("new")), _negated=True),
                        name="an_entry_is_a_change",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("keys__isnull", True), ("uuids__isnull", False)),
                            models.Q(("keys__isnull", False), ("uuids__isnull", True)),
                            _connector="OR",
                        ),
                        name="a_block_has_one_kind_of_key",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                (
                    "block",
                    models.ForeignKey(
                        on_delete=models.DO_NOTHING,
                        related_name="+",
                        to="stageapp.normalizationlog",
                    ),
                ),
                (
                    "batch",
                    models.ForeignKey(
                        on_delete=models.DO_NOTHING, related_name="entries", to="stageapp.batch"
                    ),
                ),
                ("place", models.IntegerField(help_text="position in its block, from 1")),
                ("row_key", models.TextField(help_text="the row's primary key, as text")),
                ("old", models.TextField()),
                ("new", models.TextField()),
            ],
            options={
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit log",
                "db_table": "stageapp_auditentry",
                "managed": False,
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="QuarantinedRow",
            fields=[
                ID,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="quarantine", to="stageapp.run"
                    ),
                ),
                ("direction", models.CharField(choices=DIRECTIONS, max_length=10)),
                ("shard", models.PositiveSmallIntegerField(default=0)),
                ("row_key", models.TextField()),
                ("value", models.TextField(blank=True, default="")),
                ("error", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
            },
        ),
    ]
