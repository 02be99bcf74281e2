"""Make the table of where consumers call from."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Consumer contacts."""

    dependencies = [
        ("stageapp", "0004_unknown_queue"),
    ]

    operations = [
        migrations.CreateModel(
            name="ConsumerContact",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "consumer",
                    models.CharField(help_text="its name, as in what it sends", max_length=200),
                ),
                ("endpoint", models.CharField(max_length=60)),
                ("agent_hash", models.CharField(blank=True, max_length=16)),
                (
                    "network",
                    models.CharField(
                        choices=[("internal", "internal"), ("external", "external")], max_length=8
                    ),
                ),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                ("requests", models.BigIntegerField()),
            ],
            options={
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["last_seen"], name="stageapp_co_last_se_5219e8_idx")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("consumer", "endpoint", "agent_hash", "network"),
                        name="one_contact_each",
                    )
                ],
            },
        ),
    ]
