"""Write the first facts: text tables, default vocabulary, assumptions, and the mode.

Going back removes none of them, as people may have changed them since; going forward again writes
only those that are not there.
"""

import csv
from decimal import Decimal
from pathlib import Path

from django.db import migrations

import stageapp.vocabulary
from stageapp import conf
from stageapp.vocabulary import defaults, text

ASSUMPTIONS = Path(stageapp.vocabulary.__file__).with_name("assumptions_v1.tsv")
WORDS = ("slug", "distribution")


def load_text_tables(apps, schema_editor):
    """Bring the character table and the rules to the database, as the Python side reads them."""
    folding_range, rule, word = (
        apps.get_model("stageapp", name).objects.using(schema_editor.connection.alias)
        for name in ("FoldingRange", "TextRule", "TextWord")
    )
    if rule.exists():
        return
    replacements, ranges = text.read_characters()
    # 8,000 rows by COPY: with INSERT they took 0.8 s of the 3.8 s of `migrate`.
    with schema_editor.connection.cursor() as cursor:
        columns = "COPY stageapp_foldingcharacter (codepoint, replacement) FROM STDIN"
        with cursor.copy(columns) as copy:
            for row in replacements.items():
                copy.write_row(row)
    folding_range.bulk_create(folding_range.model(**one._asdict()) for one in ranges)
    rule.bulk_create(rule.model(**read._asdict()) for read in text.read_rules())
    word.bulk_create(
        word.model(phrase=phrase, english=english) for phrase, english in text.read_words().items()
    )


def load_vocabulary(apps, schema_editor):
    """Create the default stages and aliases, and the version that names them."""
    stage, alias, version = (
        apps.get_model("stageapp", name).objects.using(schema_editor.connection.alias)
        for name in ("Stage", "StageAlias", "VocabularyVersion")
    )
    if version.exists():
        return
    for one in defaults.stages():
        stage.create(slug=one.slug, label=one.label, rank=one.rank)
    ids = dict(stage.values_list("slug", "id"))
    spellings = [(one.slug, one.slug, "its slug") for one in defaults.stages()]
    spellings += [(one.label, one.slug, "its label") for one in defaults.stages()]
    spellings += [(one.spelling, one.stage, one.comment) for one in defaults.aliases()]
    by_key: dict[str, tuple[str, str, str]] = {}
    for spelling, slug, comment in spellings:
        by_key.setdefault(text.reduce(spelling).key, (spelling, slug, comment))
    alias.bulk_create(
        alias.model(spelling=spelling, key=key, stage_id=ids[slug], comment=comment)
        for key, (spelling, slug, comment) in by_key.items()
    )
    stages = stage.order_by("rank").values("slug", "label", "rank", "active")
    aliases = alias.order_by("source", "key").values(
        "source", "key", "spelling", "stage__slug", "reason", "comment"
    )
    version.create(
        actor="migration",
        reason="the default vocabulary",
        snapshot={"stages": list(stages), "aliases": list(aliases)},
    )


def load_assumptions(apps, schema_editor):
    """Record what is assumed of each default stage, as the first of its changes."""
    changes = apps.get_model("stageapp", "AssumptionChange").objects.using(
        schema_editor.connection.alias
    )
    if changes.exists():
        return
    with ASSUMPTIONS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            figures = {
                name: value if name in WORDS else Decimal(value) if value else None
                for name, value in row.items()
            }
            changes.create(
                stage=figures.pop("slug"),
                version=1,
                actor="migration",
                reason="the default assumptions",
                **figures,
            )


def begin_the_history(apps, schema_editor):
    """Write the first change of mode, unless there is one; days in warn count from here."""
    changes = apps.get_model("stageapp", "ModeChange").objects.using(schema_editor.connection.alias)
    if not changes.exists():
        changes.create(
            version=1,
            mode=conf.default_mode(),
            kind="installed",
            actor="system",
            reason="Installed: the mode is that of STAGE_VALIDATION_MODE.",
        )


class Migration(migrations.Migration):
    """What a new installation knows."""

    dependencies = [("stageapp", "0007_sql_objects")]

    operations = [
        migrations.RunPython(load, migrations.RunPython.noop)
        for load in (load_text_tables, load_vocabulary, load_assumptions, begin_the_history)
    ]
