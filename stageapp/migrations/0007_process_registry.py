"""Make the registry of processes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Each process that serves writes its own row."""

    dependencies = [("stageapp", "0006_rollout")]

    operations = [
        migrations.CreateModel(
            name="ServerProcess",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "name",
                    models.CharField(
                        choices=[
                            ("web", "web server"),
                            ("worker", "Celery worker"),
                            ("beat", "Celery beat"),
                        ],
                        max_length=10,
                    ),
                ),
                ("host", models.CharField(max_length=255)),
                ("pid", models.PositiveIntegerField()),
                ("started_at", models.DateTimeField()),
                (
                    "mode",
                    models.CharField(help_text="the mode in force in this process", max_length=10),
                ),
                ("percent", models.PositiveSmallIntegerField()),
                ("epoch", models.PositiveIntegerField()),
                ("version", models.BigIntegerField()),
                (
                    "source",
                    models.CharField(help_text="where the mode was last confirmed", max_length=10),
                ),
                (
                    "age",
                    models.FloatField(
                        help_text="seconds since a store confirmed the mode, at the heartbeat",
                        null=True,
                    ),
                ),
                ("heartbeat_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["name", "host", "pid"],
                "default_permissions": (),
                "indexes": [models.Index(fields=["heartbeat_at"], name="stale_processes")],
            },
        ),
    ]
