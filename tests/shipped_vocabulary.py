"""What the migrations loaded, brought back after a test that emptied every table."""

from importlib import import_module
from unittest.mock import patch

from django.apps import apps

from stageapp.models import AssumptionChange, StageAlias


def ensure(**_):
    """Load the shipped text tables, vocabulary and assumptions again if they are gone; also a receiver of post_migrate."""
    if StageAlias.objects.exists():
        return
    loading, moving = (import_module(f"stageapp.migrations.{name}") for name in ("0002_vocabulary", "0018_finance"))
    loading.load_text_tables(apps, None)
    assumptions = loading._assumptions()
    # Since the later migration a stage has no assumptions in columns of its own.
    with patch.object(loading, "_assumptions", lambda: dict.fromkeys(assumptions, {})):
        loading.load_vocabulary(apps, None)
    for slug, figures in assumptions.items():
        typed = {name: moving.as_typed(slug, name, value) for name, value in figures.items()}
        AssumptionChange.objects.create(stage=slug, version=1, actor="migration", reason="as shipped", **typed)
