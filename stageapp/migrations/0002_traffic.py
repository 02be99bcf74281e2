"""Make the tables of what consumers send, and of the unknown values in it."""

from django.contrib.postgres import fields
from django.db import migrations, models

ID = (
    "id",
    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
)
VERDICTS = [
    ("canonical", "canonical"),
    ("normalized", "normalized"),
    ("unknown", "unknown"),
    ("malformed", "malformed"),
]


class Migration(migrations.Migration):
    """Counts of requests, sightings of values, and the queue of those that nobody knows."""

    dependencies = [("stageapp", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="ConsumerSighting",
            fields=[
                ID,
                (
                    "consumer",
                    models.CharField(
                        help_text="its name, which is also the source of the values it sends",
                        max_length=200,
                    ),
                ),
                ("day", models.DateField(help_text="in UTC")),
                ("endpoint", models.CharField(max_length=60)),
                ("key", models.CharField(max_length=256)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("canonical", "canonical"),
                            ("normalized", "normalized"),
                            ("unknown", "unknown"),
                        ],
                        max_length=12,
                    ),
                ),
                ("count", models.BigIntegerField()),
            ],
            options={
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["key", "day"], name="stageapp_co_key_8c0426_idx"),
                    models.Index(fields=["day"], name="stageapp_co_day_7356c5_idx"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("consumer", "day", "endpoint", "key", "outcome"),
                        name="one_count_per_sighting",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ConsumerContact",
            fields=[
                ID,
                (
                    "consumer",
                    models.CharField(help_text="its name, as in what it sends", max_length=200),
                ),
                ("endpoint", models.CharField(max_length=60)),
                ("agent_hash", models.CharField(blank=True, max_length=16)),
                (
                    "network",
                    models.CharField(
                        choices=[("internal", "internal"), ("external", "external")], max_length=8
                    ),
                ),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                ("requests", models.BigIntegerField()),
            ],
            options={
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["last_seen"], name="stageapp_co_last_se_5219e8_idx")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("consumer", "endpoint", "agent_hash", "network"),
                        name="one_contact_each",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TrafficWindow",
            fields=[
                ID,
                ("started_at", models.DateTimeField(help_text="start of the 10-second window")),
                ("endpoint", models.CharField(max_length=60)),
                ("mode", models.CharField(help_text="the effective mode", max_length=10)),
                ("verdict", models.CharField(choices=VERDICTS, max_length=12)),
                ("requests", models.PositiveIntegerField(default=0)),
                (
                    "rejects",
                    models.PositiveIntegerField(
                        default=0, help_text="4xx responses from the validator"
                    ),
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
                        help_text="{reason: requests with an unknown value for this reason}",
                    ),
                ),
                ("process", models.UUIDField()),
            ],
            options={
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["started_at"], name="stageapp_tr_started_1e2e68_idx")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("process", "started_at", "endpoint", "mode", "verdict"),
                        name="one_count_per_window",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="TrafficHour",
            fields=[
                ID,
                ("endpoint", models.CharField(max_length=60)),
                ("mode", models.CharField(help_text="the effective mode", max_length=10)),
                ("verdict", models.CharField(choices=VERDICTS, max_length=12)),
                ("requests", models.PositiveIntegerField(default=0)),
                (
                    "rejects",
                    models.PositiveIntegerField(
                        default=0, help_text="4xx responses from the validator"
                    ),
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
                        help_text="{reason: requests with an unknown value for this reason}",
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
            name="UnknownEntry",
            fields=[
                ID,
                ("key", models.CharField(max_length=256, unique=True)),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("unmapped", "unmapped: no alias maps it"),
                            ("blank", "blank: empty, or a placeholder for no value"),
                            ("ambiguous", "ambiguous: it could mean more than one stage"),
                            ("between_stages", "between_stages: it lies between two stages"),
                            ("multiple_stages", "multiple_stages: it names more than one stage"),
                            (
                                "not_a_stage",
                                "not_a_stage: a kind of financing, not a stage (debt, grant, note, crowdfunding, secondary …)",
                            ),
                            (
                                "exit_status",
                                "exit_status: the company has left private funding (acquired, post-IPO …)",
                            ),
                            ("junk", "junk: not readable as a stage"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "examples",
                    fields.ArrayField(base_field=models.TextField(), default=list, size=None),
                ),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                ("ignored", models.BooleanField(default=False)),
                ("decided_by", models.CharField(blank=True, default="", max_length=200)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("decided_why", models.TextField(blank=True, default="")),
                (
                    "version",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="+",
                        to="stageapp.vocabularyversion",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "unknown entries",
                "ordering": ["-last_seen", "key"],
                "default_permissions": ("view",),
                "base_manager_name": "stored",
            },
            managers=[
                ("objects", models.Manager()),
                ("stored", models.Manager()),
            ],
        ),
        migrations.CreateModel(
            name="UnknownCount",
            fields=[
                ID,
                (
                    "entry",
                    models.ForeignKey(
                        on_delete=models.CASCADE, related_name="counts", to="stageapp.unknownentry"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("import", "import"), ("table", "table"), ("bypass", "bypass")],
                        max_length=10,
                    ),
                ),
                (
                    "place",
                    models.CharField(help_text="the import's name, or the target", max_length=200),
                ),
                (
                    "source",
                    models.CharField(
                        blank=True, default="", help_text="as an alias's source", max_length=200
                    ),
                ),
                ("day", models.DateField()),
                ("count", models.BigIntegerField()),
            ],
            options={
                "ordering": ["-day", "kind", "place"],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["kind", "place"], name="stageapp_un_kind_022733_idx")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("entry", "kind", "place", "source", "day"),
                        name="one_count_per_place_and_day",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="DriftCheck",
            fields=[
                ID,
                (
                    "target",
                    models.CharField(help_text="app.Model.field", max_length=200, unique=True),
                ),
                (
                    "run",
                    models.BigIntegerField(
                        help_text="the newest run that stands; rows are compared with what it left"
                    ),
                ),
                (
                    "checked_at",
                    models.DateTimeField(
                        help_text="when the rows were last read; unchanged if nothing was written since"
                    ),
                ),
                ("looked_at", models.DateTimeField(help_text="when the watch last checked")),
                (
                    "writes",
                    models.BigIntegerField(
                        help_text="PostgreSQL's count of writes to the table at that time"
                    ),
                ),
                (
                    "vocabulary_version",
                    models.BigIntegerField(
                        default=0, help_text="the version that the values were read with"
                    ),
                ),
                (
                    "options",
                    models.JSONField(
                        default=dict, help_text="the target's where, form and source at that time"
                    ),
                ),
                (
                    "known_rows",
                    models.BigIntegerField(
                        default=0, help_text="rows with a known spelling instead of the stage"
                    ),
                ),
                (
                    "unknown_rows",
                    models.BigIntegerField(
                        default=0,
                        help_text="rows with unknown values that the run did not leave there",
                    ),
                ),
                (
                    "spellings",
                    models.JSONField(
                        default=list,
                        help_text="[{value, stage, reason, rows}], the most frequent first",
                    ),
                ),
                (
                    "problem",
                    models.TextField(
                        blank=True, default="", help_text="why the last check failed, if it did"
                    ),
                ),
            ],
            options={
                "ordering": ["target"],
                "default_permissions": ("view",),
            },
        ),
    ]
