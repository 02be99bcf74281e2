"""Wire the application: checks, roles after migrations, and the admin site."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register
from django.db.models.signals import post_migrate


class StageAppConfig(AppConfig):
    """The application."""

    name = "stageapp"
    verbose_name = "Stage normalization"

    def ready(self) -> None:
        """Connect what must happen once all models are known; importing them registers checks
        and signals.
        """
        from stageapp import checks, people, workers  # noqa: F401, PLC0415  models exist now

        checks.report_ignored_mode()
        post_migrate.connect(people.create_roles, sender=self)


class StageAdminConfig(SimpleAdminConfig):
    """Django's admin with the project's own site, whose screens are loaded by what serves or checks
    them.

    Commands and workers have no use for them, and start faster without. The addresses load them.
    """

    default_site = "stageapp.admin.site.the_site"

    def ready(self) -> None:
        """Register the admin's checks, with all screens to look at in whatever order Django
        makes them.
        """
        register(check_dependencies, Tags.admin)
        register(_check_screens, Tags.admin)


def _check_screens(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    admin.autodiscover()
    return check_admin_app(app_configs, **options)
