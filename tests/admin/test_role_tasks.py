"""Each role does its work and no more: every cell of the table in docs/admin.md, through HTTP."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from stageapp.admin import rollout_actions
from stageapp.mode import store
from stageapp.models import ModeChange, ModeProposal
from stageapp.models.permissions import ROLES
from tests.admin.role_tasks import SEALING, TASKS, WHY, World, latched, put
from tests.normalization.conftest import engine, fill, transactional_db
from tests.sealing.conftest import _nothing_in_force as nothing_in_force

__all__ = ["engine", "fill", "nothing_in_force", "transactional_db"]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "admin.md"


def table():
    """Return the table of the document: task → what it takes, and the cell of each role."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("## Roles")[2]
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    roles = lines[0][2:]
    found = {}
    for task, takes, *cells in lines[1:]:
        found[task] = (takes, dict(zip(roles, cells, strict=True)))
    return found


CELLS = [(task, role, cell) for task, (_, cells) in table().items() for role, cell in cells.items()]


def browser_of_a(role, name="rosa"):
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    browser = Client()
    browser.force_login(user)
    return browser


def do(attempt, browser):
    if attempt.form is None:
        return browser.get(attempt.url)
    return browser.post(attempt.url, attempt.form)


def words_of(answer, browser):
    """Return what a page told who was sent there after a refusal."""
    return " ".join(str(one) for one in browser.get(answer["location"]).context["messages"])


def hold(task, role, cell, request):
    browser = browser_of_a(role)
    world = World(browser, request)
    attempt = TASKS[task](world)
    takes = re.findall(r"`(\w+)`", table()[task][0])
    if attempt.form is not None:
        assert not attempt.worked(), "the effect would show nothing"
    answer = do(attempt, browser)
    assert attempt.worked() == (cell == "yes"), answer.status_code
    if cell == "yes":
        assert answer.status_code in (200, 302)
    elif answer.status_code != 403:
        # Only who may do part of it gets this far: the refusal names what is missing.
        missing = [name for name in takes if name not in ROLES[role]]
        assert takes[0] in ROLES[role]
        assert any(name in words_of(answer, browser) for name in missing)


@pytest.mark.django_db
@pytest.mark.parametrize("task, role, cell", [one for one in CELLS if one[0] not in SEALING])
def test_every_cell_is_true(task, role, cell, request):
    hold(task, role, cell, request)


@pytest.mark.parametrize("task, role, cell", [one for one in CELLS if one[0] in SEALING])
def test_every_cell_of_sealing_is_true(task, role, cell, request, engine, nothing_in_force):
    try:
        hold(task, role, cell, request)
    finally:
        User.objects.filter(username="rosa").delete()


def test_the_table_names_every_task_and_every_role():
    assert list(table()) == list(TASKS)
    for _, cells in table().values():
        assert list(cells) == list(ROLES)
        assert set(cells.values()) <= {"yes", "no"}


def test_a_cell_says_yes_where_the_role_holds_what_the_task_takes():
    for task, (takes, cells) in table().items():
        names = set(re.findall(r"`(\w+)`", takes))
        for role, cell in cells.items():
            assert (cell == "yes") == (names <= set(ROLES[role])), (task, role)


def test_every_permission_of_a_role_is_of_use_in_the_table():
    named = {name for takes, _ in table().values() for name in re.findall(r"`(\w+)`", takes)}
    assert named == {name for names in ROLES.values() for name in names}


def page_of(browser, name, *args):
    return browser.get(reverse(f"admin:stageapp_{name}", args=args))


@pytest.mark.django_db
def test_two_persons_from_proposal_to_effect_after_a_downgrade_and_past_a_gate(settings):
    settings.STAGE_TWO_PERSON_RULE = True
    latched()
    operator = browser_of_a("Stage operators", "olga")
    approvers = [browser_of_a("Stage approvers", name) for name in ("ada", "ben")]
    rollout = page_of(operator, "rollout")
    assert "Preview the proposal" in rollout.text
    assert "You may" not in rollout.text
    assert "You may approve it." in page_of(approvers[0], "rollout").text

    preview = reverse("admin:stageapp_modechange_preview")
    looked = operator.get(preview, {"mode": "enforce", "percent": 10})
    assert "The approver of your proposal needs the permission rearm" in looked.text
    form = {
        "mode": "enforce",
        "percent": 10,
        "expected_version": 2,
        "override": "agreed with all",
        **WHY,
    }
    told = operator.post(reverse("admin:stageapp_modechange_set"), form, follow=True)
    assert "is waiting for another person&#x27;s approval." in told.text
    assert store.latest().mode == "warn"
    proposal = ModeProposal.objects.get()

    approve = reverse("admin:stageapp_modeproposal_approve", args=[proposal.pk])
    colleague = browser_of_a("Stage operators", "otto")
    for browser, why in (
        (operator, "Another person has to approve it."),
        (colleague, "permission rearm"),
    ):
        page = page_of(browser, "modeproposal_change", proposal.pk)
        assert why in page.text
        assert approve not in page.text
        browser.post(approve, WHY)
        assert store.latest().mode == "warn"
    page = page_of(approvers[0], "modeproposal_change", proposal.pk)
    assert approve in page.text
    assert "What callers would be told" in page.text
    approvers[0].post(approve, {"reason": "I looked at it"})
    made = ModeChange.objects.first()
    assert (made.mode, made.percent, made.actor) == ("enforce", 10, "olga")
    assert made.reason == "for a test\nApproved by ada."
    assert made.override_reason.startswith("agreed with all [past ")


@pytest.mark.django_db
def test_two_persons_from_plan_to_a_run_that_works(settings, plan):
    settings.STAGE_TWO_PERSON_RULE = True
    operator, approver = (
        browser_of_a("Stage operators", "ann"),
        browser_of_a("Stage approvers", "ada"),
    )
    names = ("start", "approve")
    start, approve = (reverse("admin:stageapp_run_do", args=[plan.run.pk, one]) for one in names)
    for name, pk in (("run_change", plan.run.pk), ("plan_change", plan.pk)):
        page = page_of(operator, name, pk)
        assert "someone other than ann with the permission approve_run" in page.text
        assert start not in page.text
        assert approve in page_of(approver, name, pk).text
    operator.post(start, WHY)
    plan.run.refresh_from_db()
    assert plan.run.state == "planned"
    approver.post(approve, WHY)
    assert start in page_of(operator, "run_change", plan.run.pk).text
    operator.post(start, WHY)
    plan.run.refresh_from_db()
    assert plan.run.state == "running"


@pytest.mark.django_db
def test_a_planner_who_is_an_approver_too_is_not_offered_the_approval(settings, plan):
    settings.STAGE_TWO_PERSON_RULE = True
    planner = browser_of_a("Stage approvers", "ann")
    approve = reverse("admin:stageapp_run_do", args=[plan.run.pk, "approve"])
    assert approve not in page_of(planner, "run_change", plan.run.pk).text
    planner.post(approve, WHY)
    plan.run.refresh_from_db()
    assert plan.run.state == "planned"


@pytest.mark.django_db
@pytest.mark.parametrize("role, offered", [("Stage operators", False), ("Stage approvers", True)])
def test_with_two_persons_pinning_in_is_offered_to_who_may(settings, consumer, role, offered):
    put("warn")
    settings.STAGE_TWO_PERSON_RULE = True
    browser = browser_of_a(role)
    places = page_of(browser, "rollout").text
    assert ("place=in" in places) == offered
    assert "place=out" in places
    assert ("which you do not have." in browser.get(rollout_actions.address("pin")).text) != offered
