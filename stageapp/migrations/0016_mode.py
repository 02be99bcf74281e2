"""Installing writes the first change of mode, a proposal may withdraw the day, roles gain."""

from django.db import migrations, models

from stageapp import conf
from stageapp.sql import RunSQLFile

# What create_roles gave before it kept a record of it.
GIVEN_BEFORE = {
    "Stage operators": ["change_mode", "plan_run", "operate_run", "rollback_run", "manage_backups"],
    "Stage approvers": ["approve_run", "rearm", "override_gate", "seal_target"],
    "Vocabulary curators": ["curate_vocabulary"],
    "Consumer managers": ["manage_consumers"],
    "Stage viewers": [],
}


def record_what_roles_were_given(apps, schema_editor):
    """Record it for the groups that exist, so that what a person took away is not given back."""
    using = schema_editor.connection.alias
    grants = apps.get_model("stageapp", "RoleGrant").objects.using(using)
    try:
        group_model = apps.get_model("auth", "Group")
    except LookupError:
        return  # `migrate stageapp` alone on an empty database: there is no group yet
    for group in group_model.objects.using(using).filter(name__in=GIVEN_BEFORE):
        ours = group.permissions.filter(content_type__app_label="stageapp")
        held = ours.values_list("codename", flat=True)
        for codename in sorted({*GIVEN_BEFORE[group.name], *held}):
            grants.create(role=group.name, codename=codename)


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
    """What the mode tells callers, and who may change it."""

    dependencies = [
        ("stageapp", "0014_proofs"),
    ]

    operations = [
        migrations.AlterField(
            model_name="modechange",
            name="kind",
            field=models.CharField(
                choices=[
                    ("manual", "by a person"),
                    ("downgrade", "automatic downgrade"),
                    ("scheduled", "planned step"),
                    ("installed", "installation"),
                ],
                default="manual",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="modeproposal",
            name="withdraw_enforce_on",
            field=models.BooleanField(default=False),
        ),
        migrations.AlterField(
            model_name="modeproposal",
            name="status",
            field=models.CharField(
                choices=[
                    ("open", "waits for another person"),
                    ("approved", "approved; the mode was changed"),
                    ("withdrawn", "withdrawn"),
                    ("outdated", "outdated"),
                ],
                default="open",
                max_length=10,
            ),
        ),
        migrations.CreateModel(
            name="RoleGrant",
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
                ("role", models.CharField(max_length=150)),
                ("codename", models.CharField(max_length=100)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("role", "codename"),
                        name="one_role_grant",
                    ),
                ],
            },
        ),
        migrations.RunPython(record_what_roles_were_given, migrations.RunPython.noop),
        migrations.RunPython(begin_the_history, migrations.RunPython.noop),
        RunSQLFile("append_only_roles_v1.sql", reverse="append_only_roles_v1_undo.sql"),
    ]
