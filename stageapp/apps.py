"""The Django app configurations: checks, roles after migrations, and the admin site."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register
from django.db.models.signals import post_migrate


class StageAppConfig(AppConfig):
    name = "stageapp"
    verbose_name = "Stage normalization"

    def ready(self) -> None:
        """Register checks and signals (by import), and create the roles after migrations."""
        from stageapp import checks, people, workers  # noqa: F401, PLC0415  models exist now

        checks.report_ignored_mode()
        post_migrate.connect(people.create_roles, sender=self)


class StageAdminConfig(SimpleAdminConfig):
    """Django's admin with the project's own site, whose screens are loaded only when needed.

    Commands and workers do not need the screens and start faster without them. The URL
    configuration and the checks load them.
    """

    default_site = "stageapp.admin.site.the_site"

    def ready(self) -> None:
        """Register the admin's checks; they load all screens first, in whatever order they run."""
        register(check_dependencies, Tags.admin)
        register(_check_screens, Tags.admin)


def _check_screens(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    admin.autodiscover()
    return check_admin_app(app_configs, **options)
