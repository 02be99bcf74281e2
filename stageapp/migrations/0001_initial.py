"""Make the tables of the vocabulary, of roles and consumers, and of the data kept by stage."""

from decimal import Decimal
from typing import Any

from django.contrib.postgres import fields
from django.core.validators import RegexValidator
from django.db import migrations, models
from django.db.models.functions import Lower

from stageapp.models.portfolio import ExactDecoder, ExactEncoder

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
    """What a stage is, who may change it, who sends it, and the companies that have one."""

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Stage",
            fields=[
                ID,
                (
                    "slug",
                    models.CharField(
                        max_length=40,
                        unique=True,
                        validators=[RegexValidator("^[a-z][a-z0-9_]*\\Z", "a-z, 0-9 and _ only")],
                    ),
                ),
                ("label", models.CharField(max_length=60)),
                (
                    "rank",
                    models.PositiveSmallIntegerField(
                        help_text="order from the earliest stage to the latest", unique=True
                    ),
                ),
                ("active", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["rank"],
            },
        ),
        migrations.CreateModel(
            name="StageAlias",
            fields=[
                ID,
                ("spelling", models.TextField()),
                ("key", models.CharField(max_length=256)),
                ("source", models.CharField(blank=True, default="", max_length=200)),
                (
                    "stage",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.PROTECT,
                        related_name="aliases",
                        to="stageapp.stage",
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
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
                        default="",
                        max_length=20,
                    ),
                ),
                ("comment", models.TextField(blank=True, default="")),
            ],
            options={
                "verbose_name_plural": "stage aliases",
                "ordering": ["key", "source"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source", "key"), name="one_meaning_per_source_and_key"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("reason", ""), ("stage__isnull", False)),
                            models.Q(
                                ("stage__isnull", True), models.Q(("reason", ""), _negated=True)
                            ),
                            _connector="OR",
                        ),
                        name="alias_names_a_stage_or_a_reason",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="VocabularyVersion",
            fields=[
                *RECORDED,
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("diff", models.JSONField(default=dict)),
                ("snapshot", models.JSONField(default=dict)),
            ],
            options={
                "ordering": ["-number"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="vocabularyversion_has_a_reason",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="FoldingCharacter",
            fields=[
                ("codepoint", models.IntegerField(primary_key=True, serialize=False)),
                ("replacement", models.CharField(blank=True, max_length=20)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="FoldingRange",
            fields=[
                ("first", models.IntegerField(primary_key=True, serialize=False)),
                ("last", models.IntegerField()),
                ("replacement", models.TextField()),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="TextWord",
            fields=[
                ("phrase", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("english", models.CharField(max_length=100)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="TextRule",
            fields=[
                ("position", models.IntegerField(primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=10)),
                ("pattern", models.TextField()),
                ("outcome", models.TextField(blank=True)),
            ],
            options={
                "ordering": ["position"],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Operation",
            fields=[
                ID,
            ],
            options={
                "permissions": [
                    ("change_mode", "Can change the validation mode"),
                    ("rearm", "Can raise the mode again after an automatic downgrade"),
                    (
                        "override_gate",
                        "Can move past a failing gate, with a written reason",
                    ),
                    ("plan_run", "Can make a plan"),
                    ("approve_run", "Can approve a plan"),
                    ("operate_run", "Can start, pause, resume and cancel a run"),
                    ("rollback_run", "Can roll a run back"),
                    ("seal_target", "Can seal and unseal a target"),
                    ("curate_vocabulary", "Can change stages and aliases"),
                    ("manage_backups", "Can create, verify and rehearse backups"),
                    ("manage_consumers", "Can create and revoke consumers"),
                ],
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="RoleGrant",
            fields=[
                ID,
                ("role", models.CharField(max_length=150)),
                ("codename", models.CharField(max_length=100)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(fields=("role", "codename"), name="one_role_grant")
                ],
            },
        ),
        migrations.CreateModel(
            name="Consumer",
            fields=[
                ID,
                ("name", models.CharField(max_length=200, unique=True)),
                ("token_sha256", models.CharField(max_length=64, unique=True)),
                (
                    "scopes",
                    fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("read", "read: list and query"),
                                ("write", "write: send stages"),
                                ("ops", "ops: lower the mode"),
                            ],
                            max_length=10,
                        ),
                        size=None,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("scopes", []), _negated=True),
                        name="consumer_has_a_scope",
                    ),
                    models.UniqueConstraint(
                        Lower("name"),
                        name="one_consumer_whatever_the_case",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Fund",
            fields=[
                ID,
                ("name", models.CharField(max_length=200, unique=True)),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="PortfolioCompany",
            fields=[
                ID,
                (
                    "fund",
                    models.ForeignKey(
                        on_delete=models.PROTECT, related_name="companies", to="stageapp.fund"
                    ),
                ),
                ("name", models.TextField()),
                ("stage", models.TextField(blank=True, default="")),
                ("sector", models.TextField(blank=True, default="")),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "verbose_name_plural": "portfolio companies",
                "ordering": ["id"],
                "indexes": [
                    models.Index(fields=["fund", "id"], name="stageapp_po_fund_id_c676c3_idx")
                ],
            },
        ),
        migrations.CreateModel(
            name="Strategy",
            fields=[
                ID,
                ("name", models.CharField(max_length=200)),
                (
                    "consumer",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=models.SET_NULL, to="stageapp.consumer"
                    ),
                ),
                (
                    "raw_allocation",
                    models.JSONField(
                        decoder=ExactDecoder,
                        encoder=ExactEncoder,
                        help_text="[{stage, weight}] as sent; a stage JSON-escaped where needed",
                    ),
                ),
                (
                    "allocation",
                    models.JSONField(
                        decoder=ExactDecoder,
                        encoder=ExactEncoder,
                        help_text="{canonical stage: share of 1}",
                    ),
                ),
                (
                    "unallocated",
                    models.DecimalField(
                        decimal_places=15,
                        default=Decimal("0"),
                        help_text="share of 1 that went to unknown stages",
                        max_digits=16,
                    ),
                ),
                ("vocabulary_version", models.BigIntegerField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "verbose_name_plural": "strategies",
                "ordering": ["-created_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="AssumptionChange",
            fields=[
                ID,
                *RECORDED,
                ("stage", models.CharField(max_length=40)),
                ("version", models.PositiveIntegerField(help_text="1 is the first of its stage")),
                (
                    "failure_rate",
                    models.DecimalField(
                        decimal_places=18,
                        help_text="share of companies that return nothing, 0 to 1",
                        max_digits=24,
                    ),
                ),
                (
                    "distribution",
                    models.CharField(
                        choices=[("power_law", "power law"), ("lognormal", "lognormal")],
                        max_length=10,
                    ),
                ),
                (
                    "alpha",
                    models.DecimalField(
                        blank=True,
                        decimal_places=18,
                        help_text="power law: tail exponent",
                        max_digits=24,
                        null=True,
                    ),
                ),
                (
                    "minimum_multiple",
                    models.DecimalField(
                        blank=True,
                        decimal_places=18,
                        help_text="power law: smallest multiple",
                        max_digits=24,
                        null=True,
                    ),
                ),
                (
                    "maximum_multiple",
                    models.DecimalField(
                        blank=True,
                        decimal_places=18,
                        help_text="power law: cap on the multiple",
                        max_digits=24,
                        null=True,
                    ),
                ),
                (
                    "median_multiple",
                    models.DecimalField(
                        blank=True,
                        decimal_places=18,
                        help_text="lognormal: median multiple",
                        max_digits=24,
                        null=True,
                    ),
                ),
                (
                    "sigma",
                    models.DecimalField(
                        blank=True,
                        decimal_places=18,
                        help_text="lognormal: sigma of the logarithm",
                        max_digits=24,
                        null=True,
                    ),
                ),
                (
                    "holding_years",
                    models.DecimalField(
                        decimal_places=18, help_text="mean years from check to exit", max_digits=24
                    ),
                ),
                (
                    "average_check",
                    models.DecimalField(
                        decimal_places=2,
                        help_text="one check, in the fund's currency",
                        max_digits=18,
                    ),
                ),
                (
                    "follow_on_share",
                    models.DecimalField(
                        decimal_places=18,
                        help_text="share of companies that get a follow-on, 0 to 1",
                        max_digits=24,
                    ),
                ),
                (
                    "follow_on_multiple",
                    models.DecimalField(
                        decimal_places=18,
                        help_text="a follow-on, in initial checks",
                        max_digits=24,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="assumptionchange_has_a_reason",
                    ),
                    models.UniqueConstraint(
                        fields=("stage", "version"), name="one_assumption_change_per_version"
                    ),
                ],
            },
        ),
    ]
