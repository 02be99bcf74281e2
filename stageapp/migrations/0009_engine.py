"""Shards with leases, the audit log by blocks, quarantine, rollbacks of parts."""

import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

from stageapp.sql import RunSQLFile


class Migration(migrations.Migration):
    """Entries that were stored row by row become blocks; nothing is dropped."""

    dependencies = [("stageapp", "0008_backups")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("place", models.IntegerField(help_text="where it stands in its block, from 1")),
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
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "direction",
                    models.CharField(
                        choices=[
                            ("forward", "Forward"),
                            ("rollback", "Rollback"),
                            ("verify", "Verify"),
                        ],
                        max_length=10,
                    ),
                ),
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
        migrations.CreateModel(
            name="RollbackPlan",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "round",
                    models.PositiveSmallIntegerField(
                        help_text="1 is the first rollback of its run"
                    ),
                ),
                ("scope", models.JSONField(blank=True, default=dict)),
                (
                    "from_state",
                    models.CharField(
                        help_text="where the run was, and goes back to after a part", max_length=20
                    ),
                ),
                (
                    "rows",
                    models.BigIntegerField(
                        help_text="audit entries in its scope that were not undone yet"
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="WorkerDrain",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("draining", models.BooleanField()),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
            },
        ),
        migrations.AlterModelOptions(
            name="normalizationlog",
            options={"default_permissions": ("view",), "verbose_name": "audit block"},
        ),
        migrations.AddField(
            model_name="batch",
            name="places",
            field=django.contrib.postgres.fields.ranges.BigIntegerRangeField(
                blank=True,
                help_text="from the first changed key to the last, by stageapp_place()",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="batch",
            name="round",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="batch",
            name="undoes",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="undone_by",
                to="stageapp.batch",
            ),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="backend_pid",
            field=models.IntegerField(
                blank=True, help_text="the holder's PostgreSQL session", null=True
            ),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="backend_started",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="heartbeat_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="holder",
            field=models.CharField(blank=True, default="", max_length=200),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="leased_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="lower",
            field=models.TextField(
                blank=True,
                default="",
                help_text="keys above this one; empty: from the table's start",
            ),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="quarantined",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="round",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="0 forward; a rollback's own number"
            ),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="token",
            field=models.BigIntegerField(
                default=0, help_text="the fencing token: rises each time the shard is taken"
            ),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="upper",
            field=models.TextField(
                blank=True, default="", help_text="up to this key; empty: to the table's end"
            ),
        ),
        migrations.AddField(
            model_name="normalizationlog",
            name="keys",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                blank=True,
                help_text="integer primary keys, ascending",
                null=True,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="normalizationlog",
            name="uuids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(),
                blank=True,
                help_text="UUID primary keys, ascending",
                null=True,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="plan",
            name="estimated_seconds",
            field=models.FloatField(
                blank=True, help_text="of a run, from a timed sample; no pauses", null=True
            ),
        ),
        migrations.AddField(
            model_name="planentry",
            name="stored",
            field=models.TextField(
                blank=True, default="", help_text="what a run writes: the stage's slug or its label"
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="batch_seconds",
            field=models.FloatField(
                blank=True, help_text="time target of a batch; empty: the setting", null=True
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="pause_seconds",
            field=models.FloatField(
                blank=True, help_text="rest between batches; empty: the setting", null=True
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="shards",
            field=models.PositiveSmallIntegerField(
                default=1, help_text="how many workers may work on it at once"
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="sweeps_left",
            field=models.PositiveSmallIntegerField(
                default=20, help_text="sweeps until verify reports what is left"
            ),
        ),
        migrations.AlterField(
            model_name="batch",
            name="direction",
            field=models.CharField(
                choices=[("forward", "Forward"), ("rollback", "Rollback"), ("verify", "Verify")],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="checkpoint",
            name="direction",
            field=models.CharField(
                choices=[("forward", "Forward"), ("rollback", "Rollback"), ("verify", "Verify")],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="checkpoint",
            name="position",
            field=models.TextField(
                blank=True,
                default="",
                help_text="forward: the last key committed; rollback: the last batch undone, or batch:key within one",
            ),
        ),
        migrations.AddField(
            model_name="quarantinedrow",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="quarantine",
                to="stageapp.run",
            ),
        ),
        migrations.AddField(
            model_name="rollbackplan",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="rollbacks",
                to="stageapp.run",
            ),
        ),
        migrations.AddConstraint(
            model_name="rollbackplan",
            constraint=models.UniqueConstraint(
                fields=("run", "round"), name="one_rollback_per_round"
            ),
        ),
        RunSQLFile("audit_blocks_v1.sql", reverse="audit_blocks_v1_undo.sql"),
        RunSQLFile("audit_blocks_convert_v1.sql", reverse=migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name="batch",
            name="one_batch_per_number",
        ),
        migrations.RemoveConstraint(
            model_name="checkpoint",
            name="one_checkpoint_per_shard",
        ),
        migrations.RemoveIndex(
            model_name="normalizationlog",
            name="stageapp_no_row_key_2bcaf4_idx",
        ),
        migrations.RemoveField(
            model_name="checkpoint",
            name="changed_in_sweep",
        ),
        migrations.RemoveField(
            model_name="normalizationlog",
            name="row_key",
        ),
        migrations.RemoveField(
            model_name="run",
            name="heartbeat_at",
        ),
        migrations.RemoveField(
            model_name="run",
            name="worker",
        ),
        migrations.AddIndex(
            model_name="batch",
            index=django.contrib.postgres.indexes.GistIndex(fields=["places"], name="batch_places"),
        ),
        migrations.AddConstraint(
            model_name="batch",
            constraint=models.UniqueConstraint(
                fields=("run", "direction", "round", "shard", "number"),
                name="one_batch_per_number_and_round",
            ),
        ),
        migrations.AddConstraint(
            model_name="checkpoint",
            constraint=models.UniqueConstraint(
                fields=("run", "direction", "round", "shard"),
                name="one_checkpoint_per_shard_and_round",
            ),
        ),
        migrations.AddConstraint(
            model_name="normalizationlog",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("keys__isnull", True), ("uuids__isnull", False)),
                    models.Q(("keys__isnull", False), ("uuids__isnull", True)),
                    _connector="OR",
                ),
                name="a_block_has_one_kind_of_key",
            ),
        ),
        # The last, so that a way back is refused before anything else of it fails.
        RunSQLFile(migrations.RunSQL.noop, reverse="audit_blocks_convert_v1_undo.sql"),
    ]
