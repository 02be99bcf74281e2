"""Actors and their permissions: the edges supply them, and the decisions check them."""

from dataclasses import dataclass
from typing import Any, Protocol

from django.apps import apps as all_apps
from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import router
from django.db.models import Q

from stageapp.models.permissions import PERMISSIONS, ROLES, RoleGrant

EVERYTHING = frozenset(PERMISSIONS)
_EDGES = ("session:", "cli:")


@dataclass(frozen=True)
class Person:
    """An actor. `may` is the set of the product's permissions, e.g. `override_gate`."""

    name: str
    may: frozenset[str] = frozenset()


class _User(Protocol):
    def get_username(self) -> str: ...
    def has_perm(self, perm: str) -> bool: ...


def person_of(user: _User, name: str = "") -> Person:
    """Return a site user as a Person; `name` replaces the username in the history."""
    may = frozenset(codename for codename in PERMISSIONS if user.has_perm(f"stageapp.{codename}"))
    return Person(name or user.get_username(), may)


def same_person(one: str, other: str) -> bool:
    """Whether two actors are the same person: `ann`, `session:ann` and `cli:ann` are."""
    return _bare(one) == _bare(other)


def _bare(actor: str) -> str:
    for edge in _EDGES:
        actor = actor.removeprefix(edge)
    return actor.strip().casefold()


# Create the roles (groups of permissions) that the product ships with.


def create_roles(app_config: Any, using: str = "default", apps: Apps = all_apps, **_: Any) -> None:
    """Create missing groups, and grant each its permissions and the right to view everything.

    Each permission is granted once, also to an existing group: new permissions of a later release
    arrive, and those an administrator revoked stay revoked. `apps` is the migrated state: if it
    has no groups yet (`migrate stageapp 0001`), a later migration creates them.
    """
    try:
        apps.get_model("auth", "Group")
        apps.get_model("stageapp", "RoleGrant")
    except LookupError:
        return
    if not all(router.allow_migrate_model(using, model) for model in (Group, RoleGrant)):
        return
    create_permissions(app_config, verbosity=0, using=using)
    for name in ROLES:
        # Give a role what it was never given; a group that is made anew is given everything.
        group, created = Group.objects.using(using).get_or_create(name=name)
        grants = RoleGrant.objects.using(using)
        given = grants.filter(role=name).values_list("codename", flat=True)
        role_has = Q(codename__in=ROLES[name]) | Q(codename__startswith="view_")
        ours = Permission.objects.using(using).filter(role_has, content_type__app_label="stageapp")
        new = list(ours if created else ours.exclude(codename__in=given))
        group.permissions.add(*new)
        rows = [RoleGrant(role=name, codename=permission.codename) for permission in new]
        grants.bulk_create(rows, ignore_conflicts=True)
