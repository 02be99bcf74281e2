"""Seal, unseal and guard, as an approver does it in the admin."""

from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from stageapp.models import Fund, GuardChange, PortfolioCompany, Seal
from stageapp.sealing import guard, seal, state
from stageapp.targets import lock_wait
from stageapp.vocabulary.snapshot import newest_version
from tests.normalization.evidence import LABEL, ME
from tests.sealing import conftest
from tests.sealing.conftest import *  # noqa: F403  a database whose commits are real

PAGE = "/admin/stageapp/seals/"


@pytest.fixture
def browser(engine):
    """Return a function that opens a browser for a new staff user with some permissions; the
    users go again.
    """
    made = []

    def open_browser(*codenames, name="sam"):
        user = User.objects.create_user(name, is_staff=True)
        made.append(user.pk)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    yield open_browser
    User.objects.filter(pk__in=made).delete()


@pytest.fixture
def approver(browser):
    return browser("view_seal", "seal_target", name="olga")


def at(name, **chosen):
    more = {key: value for key, value in chosen.items() if value is not None}
    return f"{reverse(f'admin:stageapp_seals_{name}')}?{urlencode({'target': LABEL, **more}, doseq=True)}"


def confirm(browser, address, reason="the rollout is done"):
    form = browser.get(address).context["form"]
    version = form.initial.get("expected_version", "")
    return browser.post(address, {"reason": reason, "expected_version": version}, follow=True)


def write(stage):
    with transaction.atomic():
        PortfolioCompany.objects.update(stage=stage)


def test_an_approver_looks_seals_and_unseals(fill, approver):
    fill("seed", "growth")
    assert "Seal</a>" in approver.get(PAGE).text
    looked = approver.get(at("seal"))
    assert "What would fail" in looked.text
    assert Seal.objects.count() == 0
    sealed = confirm(approver, at("seal"))
    assert "accepts only the listed values." in sealed.text
    assert "Sealed: PostgreSQL refuses every other value." in sealed.text
    with pytest.raises(IntegrityError):
        write("Seed")
    assert "the rollout is done" in approver.get(PAGE).text
    assert "accepts any text again" in approver.get(at("unseal")).text
    assert state.look(LABEL).state == "sealed"
    confirm(approver, at("unseal"), "not yet")
    assert list(Seal.objects.order_by("id").values_list("action", "actor", "reason")) == [
        ("begun", "olga", "the rollout is done"),
        ("sealed", "olga", "the rollout is done"),
        ("unsealed", "olga", "not yet"),
    ]


def test_what_stands_against_it_is_said_and_there_is_no_button(fill, approver):
    fill("seed", "Seed ", "<script>alert(1)</script>", "\u202etrick")
    page = approver.get(at("seal"))
    assert "Make a plan and run it first." in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script>alert" not in page.text
    assert "\\u202etrick" in page.text
    assert "\u202e" not in page.text
    assert ">Seal</button>" not in page.text
    answer = approver.post(
        at("seal"), {"reason": "now", "expected_version": newest_version()}, follow=True
    )
    assert "cannot be sealed" in answer.text
    assert Seal.objects.count() == 0


def test_a_person_ticks_the_unknown_values_that_may_stay(fill, approver):
    fill("seed", "???", 'it\'s "quoted" & more')
    page = approver.get(at("seal"))
    offered = [choice["value"] for choice in page.context["choices"]]
    assert len(offered) == 2
    assert not page.context["found"].possible
    assert (
        approver.get(at("seal", allow=offered[:1], null="allow")).context["found"].possible is False
    )
    address = at("seal", allow=offered, null="refuse")
    looked = approver.get(address)
    assert looked.text.count(" checked>") == 3
    confirm(approver, address)
    now = state.look(LABEL)
    assert (now.state, sorted(now.seal.allowed), now.seal.nulls) == (
        "sealed",
        ["???", 'it\'s "quoted" & more'],
        False,
    )


@pytest.mark.parametrize("allow", ["no json", "17", '["a"]', "null"])
def test_an_address_that_was_not_made_here_is_refused(fill, approver, allow):
    fill("seed")
    assert approver.get(at("seal", allow=allow, null="allow")).status_code == 400


@pytest.mark.parametrize("name", ["seal", "unseal", "guard_on", "guard_off"])
def test_a_target_that_is_not_configured_is_not_found(engine, approver, name):
    address = f"{reverse(f'admin:stageapp_seals_{name}')}?target=app.Model.field"
    assert approver.get(address).status_code == 404
    assert approver.post(address, {"reason": "x"}).status_code == 404


@pytest.mark.parametrize("name", ["seal", "unseal", "guard_on", "guard_off"])
def test_who_may_only_look_is_offered_nothing_and_refused(fill, browser, name):
    fill("seed")
    viewer = browser("view_seal", name="vera")
    page = viewer.get(PAGE)
    assert page.status_code == 200
    assert "sn-button" not in page.text
    assert viewer.get(at(name)).status_code == 403
    assert viewer.post(at(name), {"reason": "x", "expected_version": 1}).status_code == 403
    assert (Seal.objects.count(), GuardChange.objects.count()) == (0, 0)


def test_the_guard_is_switched_and_its_counts_are_shown(fill, approver):
    fill("seed")
    confirm(approver, at("guard_on"), "the importer is old")
    assert guard.look(LABEL).state == "on"
    PortfolioCompany.objects.create(fund=Fund.objects.get(), name="c", stage="S\u00e9ries B")
    page = approver.get(PAGE).text
    assert "guard on" in page
    assert "it turned 1 value into stages" in page
    assert "S\u00e9ries B" in page
    assert "the importer is old" in page
    confirm(approver, at("guard_off"), "it is new")
    assert guard.look(LABEL).state == "off"
    assert [change.actor for change in GuardChange.objects.all()] == ["olga", "olga"]


@pytest.mark.parametrize("name", ["unseal", "guard_off"])
def test_what_is_not_possible_any_more_is_said(fill, approver, name):
    fill("seed")
    assert "is not possible in" in approver.post(at(name), {"reason": "x"}, follow=True).text


def test_a_reason_is_asked_for(fill, approver):
    fill("seed")
    for name in ("seal", "guard_on"):
        confirm(approver, at(name), reason=" ")
    assert (Seal.objects.count(), GuardChange.objects.count()) == (0, 0)


def test_a_vocabulary_that_changed_after_the_look_is_looked_at_again(fill, approver, new_stage):
    fill("seed")
    version = approver.get(at("seal")).context["form"].initial["expected_version"]
    new_stage("bridge")
    answer = approver.post(at("seal"), {"reason": "x", "expected_version": version}, follow=True)
    assert "Check the preview again, then decide." in answer.text
    assert Seal.objects.count() == 0


def test_a_seal_that_is_behind_missing_or_half_says_so(sealed, approver, new_stage):
    sealed()
    new_stage("bridge")
    assert "has bridge, which the seal refuses" in approver.get(PAGE).text
    conftest.sql(f"ALTER TABLE {conftest.TABLE} DROP CONSTRAINT {conftest.constraints()[0]}")
    page = approver.get(PAGE).text
    assert "sn-seal-missing" in page
    assert "somebody dropped it" in page


def test_a_locked_table_is_told_and_nothing_stays(fill, approver, monkeypatch):
    fill("seed")
    monkeypatch.setattr(lock_wait, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(lock_wait, "_FIRST_REST_SECONDS", 0.01)
    other = conftest.connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(f"SELECT FROM {conftest.TABLE}")
        answer = confirm(approver, at("seal"))
    finally:
        other.rollback()
        other.close()
    assert "was locked at each of 4 attempts" in answer.text
    assert conftest.constraints() == []


def test_the_page_of_a_run_tells_how_its_target_stands(done, browser):
    run = done("Seed ")
    seal.seal(LABEL, **ME)
    address = reverse("admin:stageapp_run_change", args=[run.pk])
    assert "sn-seal-sealed" in browser("view_run", "view_seal").get(address).text
    assert "sn-seal-sealed" not in browser("view_run", name="nosy").get(address).text


def test_a_company_that_the_column_would_not_take_is_told_beside_the_field(sealed, browser):
    sealed()
    editor = browser("change_portfoliocompany", "view_portfoliocompany")
    company = PortfolioCompany.objects.get()
    address = reverse("admin:stageapp_portfoliocompany_change", args=[company.pk])
    form = {"fund": company.fund_id, "name": "c", "sector": "", "stage": "Seed "}
    answer = editor.post(address, form)
    assert answer.status_code == 200
    assert "The column is sealed; it accepts pre_seed, seed" in answer.text
    guard.switch_on(LABEL, **ME)
    assert editor.post(address, form | {"stage": "Growth "}).status_code == 302
    assert PortfolioCompany.objects.get().stage == "growth"
    assert editor.post(address, form | {"stage": "nobody"}).status_code == 200
