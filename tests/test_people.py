"""Roles and permissions after migrate."""

import pytest
from django.apps import apps as django_apps
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from stageapp.models.permissions import PERMISSIONS, ROLES
from stageapp.people import create_roles

pytestmark = pytest.mark.django_db


def codenames(group):
    return set(Group.objects.get(name=group).permissions.values_list("codename", flat=True))


def forget_grants(codename):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL stageapp.prune = 'on'")
        cursor.execute("DELETE FROM stageapp_rolegrant WHERE codename = %s", [codename])
        cursor.execute("SET LOCAL stageapp.prune = 'off'")


def test_every_permission_of_the_product_exists_with_its_meaning():
    found = Permission.objects.filter(
        content_type__app_label="stageapp", content_type__model="operation"
    )
    assert dict(found.values_list("codename", "name")) == PERMISSIONS


def test_every_role_exists_with_its_permissions_and_the_right_to_look():
    views = set(
        Permission.objects.filter(
            content_type__app_label="stageapp", codename__startswith="view_"
        ).values_list("codename", flat=True)
    )
    assert {"view_modechange", "view_run", "view_trafficwindow", "view_auditentry"} <= views
    for name, own in ROLES.items():
        assert codenames(name) == views | set(own)


def test_roles_grant_only_permissions_that_exist():
    assert {codename for own in ROLES.values() for codename in own} <= PERMISSIONS.keys()


def test_every_permission_belongs_to_a_role():
    assert {codename for own in ROLES.values() for codename in own} == PERMISSIONS.keys()


def test_where_groups_are_not_migrated_yet_nothing_is_made():
    Group.objects.all().delete()
    state = MigrationLoader(connection).project_state(("stageapp", "0001_initial"))
    create_roles(None, apps=state.apps)  # as `migrate stageapp 0001` ends
    assert not Group.objects.exists()
    create_roles(django_apps.get_app_config("stageapp"), apps=django_apps)
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)


def test_nobody_who_plans_also_approves_or_goes_past_a_rule_by_role():
    assert set(ROLES["Stage operators"]) & set(ROLES["Stage approvers"]) == {"change_mode"}


def test_a_member_may_do_what_the_role_says_and_no_more():
    user = User.objects.create_user("ana")
    user.groups.add(Group.objects.get(name="Stage operators"))
    assert user.has_perm("stageapp.change_mode")
    assert not user.has_perm("stageapp.rearm")
    assert not user.has_perm("stageapp.override_gate")


def test_a_further_migrate_gives_back_nothing_that_a_person_took_away():
    group = Group.objects.get(name="Stage operators")
    group.permissions.remove(Permission.objects.get(codename="change_mode"))
    group.permissions.remove(Permission.objects.get(codename="view_run"))
    Group.objects.filter(name="Stage viewers").delete()
    call_command("migrate", verbosity=0)
    assert not {"change_mode", "view_run"} & codenames("Stage operators")
    assert "view_run" in codenames("Stage viewers")


def test_a_group_that_exists_gets_what_a_later_release_adds():
    new = Permission.objects.get(codename="view_rolegrant")
    for name in ROLES:  # a table is new
        Group.objects.get(name=name).permissions.remove(new)
    forget_grants("view_rolegrant")  # it was never given
    approvers = Group.objects.get(name="Stage approvers")
    approvers.permissions.remove(Permission.objects.get(codename="seal_target"))
    create_roles(django_apps.get_app_config("stageapp"))
    assert "seal_target" not in codenames("Stage approvers")  # was taken away by a person
    assert all("view_rolegrant" in codenames(name) for name in ROLES)
