"""Tell since when a phase of a job with backups goes on, and let no job wait twice."""

from typing import Any

from django.db import migrations, models


def end_doubles(apps: Any, schema_editor: Any) -> None:
    """End the active jobs that the constraint would refuse: all but the oldest of a kind."""
    jobs, seen = apps.get_model("stageapp", "BackupJob").objects, set()
    for job in jobs.filter(state__in=["waiting", "working"]).order_by("id"):
        if (job.verb, job.name) in seen:
            jobs.filter(pk=job.pk).update(state="failed", said="The same was asked for before.")
        seen.add((job.verb, job.name))


class Migration(migrations.Migration):
    """The admin shows rate and time left, and offers pruning and taking on record."""

    dependencies = [
        ("stageapp", "0010_webhook"),
    ]

    operations = [
        migrations.AddField(
            model_name="backupjob",
            name="phase_began_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="backupjob",
            name="verb",
            field=models.CharField(
                choices=[
                    ("create", "create"),
                    ("verify", "verify"),
                    ("rehearse", "rehearse"),
                    ("scheduled", "scheduled"),
                    ("prune", "prune"),
                    ("record", "take on record"),
                ],
                max_length=10,
            ),
        ),
        migrations.RunPython(end_doubles, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="backupjob",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["waiting", "working"])),
                fields=("verb", "name"),
                name="one_active_backup_job",
            ),
        ),
    ]
