"""Move what simulations assume from the stages to a table of its own; keep rules as decimals."""

from decimal import Decimal
from typing import Any

from django.db import migrations, models

import stageapp.models.portfolio
from stageapp.sql import RunSQLFile

FIGURES = [
    "failure_rate",
    "distribution",
    "alpha",
    "minimum_multiple",
    "maximum_multiple",
    "median_multiple",
    "sigma",
    "holding_years",
    "average_check",
    "follow_on_share",
    "follow_on_multiple",
]


def figure(**options: Any) -> Any:
    return models.DecimalField(max_digits=24, decimal_places=18, **options)


def move_to_changes(apps, schema_editor):
    """Record each stage's assumptions as the first of its changes, as people had typed them."""
    change = apps.get_model("stageapp", "AssumptionChange")
    for stage in apps.get_model("stageapp", "Stage").objects.order_by("rank"):
        change.objects.create(
            stage=stage.slug,
            version=1,
            actor="migration",
            reason="moved from the stage's own columns, as they were",
            **{name: as_typed(stage.slug, name, getattr(stage, name)) for name in FIGURES},
        )


def as_typed(slug: str, name: str, value: Any) -> Any:
    """Return the shortest decimal that reads as this float; a cheque is rounded to the cent."""
    if value is None or isinstance(value, str):
        return value
    number = Decimal(repr(value))
    if not (number.is_finite() and abs(number) < (10**16 if name == "average_check" else 10**6)):
        told = f"{name} of the stage {slug} is {value}"
        raise ValueError(f"{told}: correct it in the table stageapp_stage, then migrate again.")
    return number.quantize(Decimal("0.01") if name == "average_check" else Decimal("1e-18"))


def move_back_to_stages(apps, schema_editor):
    """Write the assumptions in force into the stages' own columns; the earlier ones are lost."""
    stages = apps.get_model("stageapp", "Stage").objects
    changes = apps.get_model("stageapp", "AssumptionChange").objects
    for change in changes.order_by("stage", "-version").distinct("stage"):
        figures = {name: as_float(getattr(change, name)) for name in FIGURES}
        stages.filter(slug=change.stage).update(**figures)


def as_float(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


class Migration(migrations.Migration):
    """Assumptions with an actor, a reason and a history; decimals where money is computed."""

    dependencies = [
        ("stageapp", "0016_mode"),
    ]

    operations = [
        migrations.CreateModel(
            name="AssumptionChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("stage", models.CharField(max_length=40)),
                ("version", models.PositiveIntegerField(help_text="1 is the first of its stage")),
                (
                    "failure_rate",
                    figure(help_text="share of companies that return nothing, 0 to 1"),
                ),
                (
                    "distribution",
                    models.CharField(
                        choices=[("power_law", "power law"), ("lognormal", "lognormal")],
                        max_length=10,
                    ),
                ),
                ("alpha", figure(blank=True, help_text="power law: tail exponent", null=True)),
                (
                    "minimum_multiple",
                    figure(blank=True, help_text="power law: smallest multiple", null=True),
                ),
                (
                    "maximum_multiple",
                    figure(blank=True, help_text="power law: cap on the multiple", null=True),
                ),
                (
                    "median_multiple",
                    figure(blank=True, help_text="lognormal: median multiple", null=True),
                ),
                (
                    "sigma",
                    figure(blank=True, help_text="lognormal: sigma of the logarithm", null=True),
                ),
                ("holding_years", figure(help_text="mean years from cheque to exit")),
                (
                    "average_check",
                    models.DecimalField(
                        decimal_places=2,
                        help_text="one cheque, in the fund's currency",
                        max_digits=18,
                    ),
                ),
                (
                    "follow_on_share",
                    figure(help_text="share of companies that get a follow-on, 0 to 1"),
                ),
                ("follow_on_multiple", figure(help_text="a follow-on, in initial cheques")),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("stage", "version"),
                        name="one_assumption_change_per_version",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True),
                        name="assumption_change_has_a_reason",
                    ),
                ],
            },
        ),
        RunSQLFile("append_only_assumptions_v1.sql", reverse="append_only_assumptions_v1_undo.sql"),
        migrations.RunPython(move_to_changes, move_back_to_stages),
        *(migrations.RemoveField(model_name="stage", name=name) for name in FIGURES),
        migrations.AlterField(
            model_name="strategy",
            name="raw_allocation",
            field=models.JSONField(
                decoder=stageapp.models.portfolio.ExactDecoder,
                encoder=stageapp.models.portfolio.ExactEncoder,
                help_text="[{stage, weight}] as sent; a stage JSON-escaped where needed",
            ),
        ),
        migrations.AlterField(
            model_name="strategy",
            name="allocation",
            field=models.JSONField(
                decoder=stageapp.models.portfolio.ExactDecoder,
                encoder=stageapp.models.portfolio.ExactEncoder,
                help_text="{canonical stage: share of 1}",
            ),
        ),
        migrations.AlterField(
            model_name="strategy",
            name="unallocated",
            field=models.DecimalField(
                decimal_places=15,
                default=Decimal(0),
                help_text="share of 1 that unknown stages hold",
                max_digits=16,
            ),
        ),
    ]
