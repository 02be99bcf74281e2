"""What the migrations loaded, brought back after a test that emptied every table."""

from importlib import import_module
from unittest.mock import patch

from django.apps import apps

from stageapp.models import AssumptionChange, StageAlias


def ensure(**_):
    """Load tables, vocabulary and assumptions again if they are gone; receives post_migrate."""
    if StageAlias.objects.exists():
        return
    loading = import_module("stageapp.migrations.0002_vocabulary")
    moving = import_module("stageapp.migrations.0018_finance")
    loading.load_text_tables(apps, None)
    assumptions = loading._assumptions()
    # Since the later migration a stage has no assumptions in columns of its own.
    with patch.object(loading, "_assumptions", lambda: {slug: {} for slug in assumptions}):
        loading.load_vocabulary(apps, None)
    for slug, figures in assumptions.items():
        typed = {name: moving.as_typed(slug, name, value) for name, value in figures.items()}
        who = {"actor": "migration", "reason": "as shipped"}
        AssumptionChange.objects.create(stage=slug, version=1, **who, **typed)
