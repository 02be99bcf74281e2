"""Load the shipped text tables and the default vocabulary, and write vocabulary version 1."""

import csv
from pathlib import Path
from typing import Any

from django.db import migrations

import stageapp.vocabulary
from stageapp.vocabulary import defaults, text

_ASSUMPTIONS = Path(stageapp.vocabulary.__file__).with_name("assumptions_v1.tsv")
_TEXT = ("slug", "distribution")


def load_text_tables(apps, schema_editor):
    """Bring the character table and the rules to the database, as the Python side reads them."""
    replacements, ranges = text.read_characters()
    character = apps.get_model("stageapp", "FoldingCharacter")
    character.objects.bulk_create(
        character(codepoint=c, replacement=r) for c, r in replacements.items()
    )
    folding_range = apps.get_model("stageapp", "FoldingRange")
    folding_range.objects.bulk_create(
        folding_range(first=first, last=last) for first, last in ranges
    )
    rule = apps.get_model("stageapp", "TextRule")
    rule.objects.bulk_create(rule(**r._asdict()) for r in text.read_rules())


def load_vocabulary(apps, schema_editor):
    """Create the default stages and aliases, and the version that names them."""
    stage, alias = apps.get_model("stageapp", "Stage"), apps.get_model("stageapp", "StageAlias")
    assumptions = _assumptions()
    for s in defaults.stages():
        stage.objects.create(slug=s.slug, label=s.label, rank=s.rank, **assumptions[s.slug])
    ids = dict(stage.objects.values_list("slug", "id"))
    spellings = [(s.slug, s.slug, "its slug") for s in defaults.stages()]
    spellings += [(s.label, s.slug, "its label") for s in defaults.stages()]
    spellings += [(a.spelling, a.stage, a.comment) for a in defaults.aliases()]
    by_key: dict[str, tuple[str, str, str]] = {}
    for spelling, slug, comment in spellings:
        by_key.setdefault(text.reduce(spelling).key, (spelling, slug, comment))
    alias.objects.bulk_create(
        alias(spelling=spelling, key=key, stage_id=ids[slug], comment=comment)
        for key, (spelling, slug, comment) in by_key.items()
    )
    version = apps.get_model("stageapp", "VocabularyVersion")
    version.objects.create(
        actor="migration", reason="the default vocabulary", snapshot=_document(stage, alias)
    )


def _assumptions() -> dict[str, dict[str, Any]]:
    with _ASSUMPTIONS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {
        row["slug"]: {
            name: value if name in _TEXT else float(value) if value else None
            for name, value in row.items()
            if name != "slug"
        }
        for row in rows
    }


def _document(stage: Any, alias: Any) -> dict[str, Any]:
    return {
        "stages": list(stage.objects.order_by("rank").values("slug", "label", "rank", "active")),
        "aliases": list(
            alias.objects.order_by("source", "key").values(
                "source", "key", "spelling", "stage__slug", "reason", "comment"
            )
        ),
    }


class Migration(migrations.Migration):
    """The tables that Python and PostgreSQL both read."""

    dependencies = [("stageapp", "0001_initial")]

    operations = [
        migrations.RunPython(load_text_tables, migrations.RunPython.noop),
        migrations.RunPython(load_vocabulary, migrations.RunPython.noop),
    ]
