"""Install what PostgreSQL itself holds and answers."""

from django.db import migrations

from stageapp.sql import RunSQLFile


class Migration(migrations.Migration):
    """The append-only triggers, the view of the audit log, normalize_stage(), and guards."""

    dependencies = [("stageapp", "0006_proofs")]

    operations = [
        RunSQLFile("append_only_v1"),
        RunSQLFile("audit_blocks_v1"),
        RunSQLFile("normalize_stage_v1"),
        RunSQLFile("guard_v1"),
    ]
