"""Install the append-only triggers and normalize_stage()."""

from django.db import migrations

from stageapp.sql import RunSQLFile


class Migration(migrations.Migration):
    """What PostgreSQL itself holds and answers."""

    dependencies = [("stageapp", "0002_vocabulary")]

    operations = [
        RunSQLFile("append_only_v1.sql", reverse="append_only_v1_undo.sql"),
        RunSQLFile("normalize_stage_v1.sql", reverse="normalize_stage_v1_undo.sql"),
    ]
