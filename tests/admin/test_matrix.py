"""Every address of the admin, for everybody who may come: no screen is forgotten, none is open."""

import re

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.test import Client

from tests.admin.addresses import addresses, one_of_each

# What needs no permission but a login; and what even strangers see.
FOR_ALL_STAFF = {
    "index",
    "password_change",
    "password_change_done",
    "jsi18n",
    "logout",
    "old_style_link",
    "login",
}
FOR_STRANGERS = {"login"}
# What no superuser may do: the tables belong to the system.
SYSTEM_OWNED = [
    "modechange",
    "modeproposal",
    "trafficwindow",
    "plan",
    "planentry",
    "run",
    "batch",
    "checkpoint",
    "auditentry",
    "quarantinedrow",
    "vocabularyversion",
    "consumer",
    "strategy",
    "unknownentry",
    "driftcheck",
    "consumersighting",
    "backup",
    "backupcheck",
    "backupjob",
    "webhookdelivery",
    "assumptionchange",
    "targetwrite",
]
CLOSED_TO_ALL = {f"stageapp_{model}_{what}" for model in SYSTEM_OWNED for what in ("add", "delete")}


@pytest.fixture
def everything(plan):
    one_of_each(plan)
    return addresses()


def contents():
    """Return every row of the product's tables."""
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in apps.get_app_config("stageapp").get_models()
        if model._meta.managed and not model.__name__.startswith(("Folding", "TextRule"))
    }


def statuses(browser, paths, method="get"):
    return {path: getattr(browser, method)(path) for path in paths}


def test_the_walk_finds_the_screens(everything):
    names = set(everything.values())
    assert {
        "index",
        "stageapp_modechange_set",
        "stageapp_run_do",
        "stageapp_consumer_create",
        "stageapp_backup_prune",
    } <= names
    assert len(everything) > 100


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("who", ["anonymous", "a user who is not staff"])
def test_strangers_are_sent_to_the_login_and_change_nothing(everything, who, method):
    browser = Client()
    if who != "anonymous":
        browser.force_login(User.objects.create_user("plain"))
    before = contents()
    closed = {path for path, name in everything.items() if name not in FOR_STRANGERS}
    for path, answer in statuses(browser, closed, method).items():
        to_login = answer.status_code == 302 and answer["location"].startswith(
            ("/admin/login/", "/admin/")
        )
        assert to_login or answer.status_code in (403, 405), (path, answer.status_code)
    assert contents() == before


@pytest.mark.parametrize("method", ["get", "post"])
def test_staff_without_permission_get_in_nowhere(everything, browser_with, method):
    browser = browser_with()
    before = contents()
    closed = {path for path, name in everything.items() if name not in FOR_ALL_STAFF}
    for path, answer in statuses(browser, closed, method).items():
        assert answer.status_code in (403, 405), (path, answer.status_code)
    assert contents() == before


def test_a_superuser_gets_in_everywhere_but_where_nobody_may(everything, root, browser_of):
    for path, name in everything.items():
        status = browser_of(root).get(path).status_code
        if name in CLOSED_TO_ALL:
            assert status == 403, (path, name)
        else:
            # The search behind a choice wants to know for which field: without one it answers 403.
            assert status in (200, 302, 405) or name == "autocomplete", (path, name, status)


def test_a_superuser_posting_to_a_system_owned_table_changes_nothing(everything, root, browser_of):
    before = contents()
    endings = tuple(
        f"{model}_{what}"
        for model in SYSTEM_OWNED
        for what in ("add", "change", "delete", "changelist")
    )
    form = {
        "post": "yes",
        "state": "done",
        "mode": "off",
        "reason": "x",
        "action": "delete_selected",
    }
    for path, name in everything.items():
        if name.endswith(endings):
            browser_of(root).post(path, {**form, "_selected_action": ["1"]})
    assert contents() == before


def test_looking_changes_nothing(everything, root, browser_of):
    before = contents()
    browser = browser_of(root)
    statuses(browser, [path for path in everything if "logout" not in path])
    assert contents() == before


def test_viewers_see_every_list_and_no_button_that_changes(everything, browser_of):
    viewer = User.objects.create_user("vera", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Stage viewers"))
    browser = browser_of(viewer)
    for path, name in everything.items():
        if name.startswith("stageapp_") and name.endswith("_changelist"):
            page = browser.get(path)
            assert page.status_code == 200, path
            assert "/make/" not in page.text
            assert "/create/" not in page.text
            assert "/preview/" not in page.text


def test_every_page_is_clean_under_a_strict_content_security_policy(everything, root, browser_of):
    browser = browser_of(root)
    for path, answer in statuses(browser, [p for p in everything if "logout" not in p]).items():
        if answer.status_code == 200 and answer["content-type"].startswith("text/html"):
            assert not re.search(
                r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")", answer.text
            ), path
            assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", answer.text), path


def test_what_people_wrote_is_escaped_on_every_page(everything, root, browser_of):
    browser = browser_of(root)
    for path, answer in statuses(browser, [p for p in everything if "logout" not in p]).items():
        if answer.status_code == 200 and answer["content-type"].startswith("text/html"):
            assert not re.search(
                r"<script>alert|<b>(Seed|bold|group|user)|<i>partner|<u>Seed", answer.text
            ), path


def test_forms_are_refused_without_their_csrf_token(everything, root):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(root)
    before = contents()
    for path, answer in statuses(browser, everything, "post").items():
        assert answer.status_code in (403, 405), (path, answer.status_code)
    assert contents() == before
