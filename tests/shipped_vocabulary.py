"""What the migrations loaded, brought back after a test that emptied every table."""

from importlib import import_module

from django.apps import apps
from django.db import connection


def ensure(**_):
    """Load tables, vocabulary and assumptions again if they are gone; receives post_migrate."""
    first_facts = import_module("stageapp.migrations.0008_first_facts")
    with connection.schema_editor(atomic=False) as editor:
        first_facts.load_text_tables(apps, editor)
        first_facts.load_vocabulary(apps, editor)
        first_facts.load_assumptions(apps, editor)
