"""Make the tables of plans and runs, of what people decided about them, and of their limits."""

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


class Migration(migrations.Migration):
    """What is to be rewritten, how far that is, who moved it on, and what holds it back."""

    dependencies = [("stageapp", "0003_rollout")]

    operations = [
        migrations.CreateModel(
            name="Plan",
            fields=[
                ID,
                ("target", models.CharField(help_text="app.Model.field", max_length=200)),
                ("vocabulary_version", models.BigIntegerField()),
                ("hash", models.CharField(db_index=True, max_length=64)),
                ("rows_total", models.BigIntegerField()),
                ("rows_to_change", models.BigIntegerField()),
                ("rows_unknown", models.BigIntegerField()),
                (
                    "estimated_seconds",
                    models.FloatField(
                        blank=True,
                        help_text="of a run, from a timed sample; without pauses",
                        null=True,
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="PlanEntry",
            fields=[
                ID,
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="entries", to="stageapp.plan"
                    ),
                ),
                ("source", models.CharField(blank=True, default="", max_length=200)),
                ("raw", models.TextField()),
                ("stage", models.CharField(blank=True, default="", max_length=40)),
                (
                    "stored",
                    models.TextField(
                        blank=True,
                        default="",
                        help_text="what a run writes: the stage's slug or its label",
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=20)),
                ("rows", models.BigIntegerField()),
            ],
            options={
                "verbose_name_plural": "plan entries",
                "ordering": ["-rows", "id"],
                "default_permissions": ("view",),
            },
        ),
        migrations.CreateModel(
            name="Run",
            fields=[
                ID,
                (
                    "plan",
                    models.OneToOneField(
                        on_delete=models.PROTECT, related_name="run", to="stageapp.plan"
                    ),
                ),
                (
                    "target",
                    models.CharField(
                        help_text="the plan's target, repeated for the constraint below",
                        max_length=200,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("planned", "Planned"),
                            ("approved", "Approved"),
                            ("running", "Running"),
                            ("pausing", "Pausing"),
                            ("paused", "Paused"),
                            ("verifying", "Verifying"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                            ("rolling_back", "Rolling Back"),
                            ("rolled_back", "Rolled Back"),
                        ],
                        default="planned",
                        max_length=20,
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "shards",
                    models.PositiveSmallIntegerField(
                        default=1, help_text="how many workers may work on it concurrently"
                    ),
                ),
                (
                    "batch_seconds",
                    models.FloatField(
                        blank=True,
                        help_text="target duration of a batch; empty: the setting",
                        null=True,
                    ),
                ),
                (
                    "pause_seconds",
                    models.FloatField(
                        blank=True, help_text="pause between batches; empty: the setting", null=True
                    ),
                ),
                (
                    "sweeps_left",
                    models.PositiveSmallIntegerField(
                        default=20, help_text="sweeps before verification reports what is left"
                    ),
                ),
                ("last_error", models.TextField(blank=True, default="")),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                ("running", "pausing", "verifying", "rolling_back", "paused"),
                            )
                        ),
                        fields=("target",),
                        name="one_unfinished_run_per_target",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RunMove",
            fields=[
                ID,
                *RECORDED,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="moves", to="stageapp.run"
                    ),
                ),
                ("old_state", models.CharField(blank=True, default="", max_length=20)),
                ("new_state", models.CharField(max_length=20)),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="runmove_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RollbackPlan",
            fields=[
                ID,
                *RECORDED,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="rollbacks", to="stageapp.run"
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
                        help_text="the state the run was in, and returns to after a partial "
                        "rollback",
                        max_length=20,
                    ),
                ),
                (
                    "rows",
                    models.BigIntegerField(
                        help_text="audit entries in its scope that were not yet undone"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="rollbackplan_has_a_reason",
                    ),
                    models.UniqueConstraint(fields=("run", "round"), name="one_rollback_per_round"),
                ],
            },
        ),
        migrations.CreateModel(
            name="WorkerDrain",
            fields=[
                ID,
                *RECORDED,
                ("draining", models.BooleanField()),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="workerdrain_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RunThrottle",
            fields=[
                ID,
                *RECORDED,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="throttle_changes", to="stageapp.run"
                    ),
                ),
                ("factor", models.CharField(max_length=30)),
                (
                    "limit",
                    models.FloatField(
                        help_text="0 turns the factor off; empty restores the setting's limit",
                        null=True,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="runthrottle_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ThrottledTime",
            fields=[
                ID,
                (
                    "run",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="throttled", to="stageapp.run"
                    ),
                ),
                (
                    "reason",
                    models.CharField(help_text="the factor that reached its limit", max_length=30),
                ),
                ("seconds", models.FloatField(default=0)),
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
        migrations.CreateModel(
            name="ThrottleLook",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        on_delete=models.PROTECT,
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
                        help_text="what holds it; empty if nothing does",
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
    ]
