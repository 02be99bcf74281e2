"""Wire the application: checks, roles after migrations, and the admin site."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate


class StageAppConfig(AppConfig):
    """The application."""

    name = "stageapp"
    verbose_name = "Stage normalization"

    def ready(self) -> None:
        """Connect what must happen once all models are known; importing them registers checks and signals."""
        from stageapp import checks, roles, task_records, worker_metrics, workers  # noqa: F401, PLC0415  models exist now

        checks.report_ignored_mode()
        post_migrate.connect(roles.create_roles, sender=self)


class StageAdminConfig(AdminConfig):
    """Django's admin with the project's own site."""

    default_site = "stageapp.admin.site.the_site"
