"""Create the roles (groups of permissions) that the product ships with."""

from typing import Any

from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import router

from stageapp.models.permissions import ROLES


def create_roles(app_config: Any, using: str = "default", apps: Apps = all_apps, **_: Any) -> None:
    """Create missing groups and give a new one its permissions and the right to look at everything.

    `apps` is what has been migrated so far: where that is without groups (`migrate stageapp 0001`), a later
    migration makes them.
    """
    try:
        apps.get_model("auth", "Group")
    except LookupError:
        return
    if not router.allow_migrate_model(using, Group):
        return
    create_permissions(app_config, verbosity=0, using=using)
    ours = Permission.objects.using(using).filter(content_type__app_label="stageapp")
    for name, codenames in ROLES.items():
        group, created = Group.objects.using(using).get_or_create(name=name)
        if created:
            group.permissions.set([*ours.filter(codename__in=codenames), *ours.filter(codename__startswith="view_")])
