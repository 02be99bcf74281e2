"""The rollout page: what it shows is what the rollout says, and each button is there for those
who may press it.
"""

import datetime
import re

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from stageapp.admin.rollout_actions import ACTIONS, address
from stageapp.mode import store
from stageapp.models import ModeChange
from stageapp.models.rollout import ConsumerAudit, ConsumerPin, PlannedStep, WarnPeriod
from stageapp.models.traffic import TrafficHour
from stageapp.people import EVERYTHING, Person
from stageapp.rollout import canary, proposals, schedule
from stageapp.rollout.changes import Wish, downgrade
from stageapp.rollout.outlook import outlook

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:stageapp_rollout")
PREVIEW = reverse("admin:stageapp_modechange_preview")
VIEW, CHANGE, MANAGE = "view_modechange", "change_mode", "manage_consumers"
SEE = (
    VIEW,
    "view_consumersighting",
    "view_consumerpin",
    "view_plannedstep",
    "view_modeproposal",
    "view_warnperiod",
    "view_consumeraudit",
)
ANN = Person("ann", EVERYTHING)
HOSTILE = '<img src=x onerror="alert(1)">&in=1#'


def put(mode, percent=100, **more):
    return store.change(mode=mode, percent=percent, actor="ann", reason="for <b>a test</b>", **more)


def put_ago(monkeypatch, ago, *args):
    """Set a mode as if it had been done some time ago."""
    with monkeypatch.context() as patch:
        then = timezone.now() - ago
        patch.setattr(timezone, "now", lambda: then)
        put(*args)


def buttons(page):
    return {name for name in ACTIONS if f'href="{address(name)}"' in page.text}


def previews(page):
    return re.findall(rf'href="{PREVIEW}\?([^"]*)"', page.text)


def test_a_condition_without_evidence_has_an_empty_cell_which_a_narrow_screen_hides(browser_with):
    assert '<td class="sn-wrap"></td>' in browser_with(*SEE).get(PAGE).text


def test_what_it_shows_is_what_the_outlook_says(browser_with, monkeypatch):
    put_ago(monkeypatch, datetime.timedelta(days=9), "warn")
    yesterday = timezone.now().replace(minute=0, second=0, microsecond=0) - datetime.timedelta(
        days=1
    )
    for verdict, requests in {"canonical": 900, "unknown": 7}.items():
        TrafficHour.objects.create(
            started_at=yesterday, endpoint="e", mode="warn", verdict=verdict, requests=requests
        )
    page = browser_with(*SEE).get(PAGE)
    found = outlook(page.context["now"])
    assert page.context["found"] == found
    assert "enforce at 10 %" in page.text.lower()
    for gate in found.gates.values():
        for condition in gate.conditions:
            for text in (
                escape(condition.shown),
                condition.threshold.replace("<", "&lt;").replace(">", "&gt;"),
                condition.why,
            ):
                assert text in page.text, (gate.name, condition.name)
    assert "0.77 %" in page.text  # 7 of 907
    assert (
        'aria-label="Unknown by hour, %: newest 0.772, lowest 0.772, highest 0.772, limit 1, 1 of'
        in page.text
    )


def test_the_gates_that_the_next_step_needs_come_first_and_are_marked(browser_with):
    put("warn")
    gates = browser_with(*SEE).get(PAGE).context["gates"]
    assert [one["gate"].name for one in gates if one["needed"]] == [
        "run_complete",
        "consumers_audited",
        "warn_exit",
    ]
    assert [one["needed"] for one in gates] == sorted(
        (one["needed"] for one in gates), reverse=True
    )
    assert len(gates) == 8


def test_it_takes_the_right_to_see_the_mode_and_shows_no_more_than_one_may_see(browser_with, sent):
    sent("no stage at all")
    canary.pin("alpha", "out", person=ANN, reason="later")
    assert browser_with(name="nobody").get(PAGE).status_code == 403
    page = browser_with(VIEW, name="vera").get(PAGE)
    assert page.status_code == 200
    assert "alpha" not in page.text
    assert "Planned steps" not in page.text
    assert "alpha" in browser_with(*SEE, name="sue").get(PAGE).text


def test_who_may_only_look_finds_no_button(browser_with):
    put("enforce", 10)
    schedule.plan_steps(ANN, "green only")
    page = browser_with(*SEE).get(PAGE)
    assert buttons(page) == set()
    assert previews(page) == []
    assert "pin/?" not in page.text


@pytest.mark.parametrize(
    ("state", "permission", "expected"),
    [
        (("off", 100), CHANGE, {"pin"}),
        (("warn", 100), CHANGE, {"pin", "warn_period"}),
        (("warn", 100), MANAGE, {"audited"}),
        (("enforce", 10), CHANGE, {"pin", "plan_steps"}),
        (("enforce", 100), CHANGE, {"pin"}),
    ],
)
def test_a_button_is_there_when_the_permission_and_the_rollout_allow_it(
    browser_with, state, permission, expected
):
    put(*state)
    assert buttons(browser_with(*SEE, permission).get(PAGE)) == expected


def test_the_moves_offered_are_those_of_the_table(browser_with):
    put("enforce", 50)
    browser = browser_with(*SEE, CHANGE)
    assert previews(browser.get(PAGE)) == ["mode=enforce&amp;percent=10", "mode=warn", "mode=off"]
    put("off")
    assert previews(browser.get(PAGE)) == ["mode=warn"]
    for url in ("mode=warn",):
        assert browser.get(f"{PREVIEW}?{url}").status_code == 200


def test_past_red_gates_the_step_is_offered_only_to_who_may_override(browser_with):
    put("warn")
    forward = "mode=enforce&amp;percent=10"
    assert forward not in previews(browser_with(*SEE, CHANGE, name="olga").get(PAGE))
    page = browser_with(*SEE, CHANGE, "override_gate", name="ben").get(PAGE)
    assert forward in previews(page)
    assert "overriding the gates" in page.text


def test_a_latch_is_loud_names_who_may_rearm_and_holds_the_others(browser_with, staff_with):
    put("enforce", 10)
    downgrade(actor="guard", reason="9 of 10 requests were refused")
    staff_with("rearm", CHANGE, name="rita")
    staff_with("rearm", name="rudi")
    staff_with(CHANGE, name="otto")
    page = browser_with(*SEE, CHANGE, "override_gate").get(PAGE)
    latch = page.context["latch"]
    assert latch["people"] == ["rita"]
    assert 'role="alert"' in page.text
    assert "9 of 10 requests were refused" in page.text
    assert "mode=enforce&amp;percent=10" not in previews(page)
    assert "The mode is latched" in page.text
    assert "You may" not in page.text
    assert "You may" not in browser_with(*SEE, "rearm", name="rick").get(PAGE).text
    armed = browser_with(*SEE, CHANGE, "override_gate", "rearm", name="rosa").get(PAGE)
    assert "mode=enforce&amp;percent=10" in previews(armed)
    assert "You may raise it." in armed.text


def test_without_a_downgrade_there_is_no_latch(browser_with):
    put("enforce", 10)
    assert 'role="alert"' not in browser_with(*SEE).get(PAGE).text


def test_who_would_be_refused_stands_with_values_and_counts(browser_with, sent, consumer_named):
    consumer_named("beta", "write")
    for _ in range(3):
        sent("Venture Debt", "seed", consumer="alpha")
    sent("no stage at all", consumer="beta")
    sent("seed", "Series-A ", consumer="gamma")
    page = browser_with(*SEE).get(PAGE)
    assert [(one["consumer"], one["times"]) for one in page.context["refused"]] == [
        ("alpha", 3),
        ("beta", 1),
    ]
    text = " ".join(page.text.split())
    assert "&#x27;Venture Debt&#x27;</code> <i>3×, not_a_stage" in text
    assert "2 consumers sent what enforce refuses, 4 times" in text


def test_members_stand_with_their_share_as_the_canary_says(browser_with, sent, consumer_named):
    put("enforce", 10)
    consumer_named("beta", "write")
    sent("seed", "Venture Debt", consumer="alpha", days_ago=1)
    canary.pin("alpha", "in", person=ANN, reason="they asked for it")
    found = canary.members(10)
    page = browser_with(*SEE).get(PAGE)
    assert [row["member"] for row in page.context["members"]] == found
    assert page.context["share_percent"] == 100 * canary.canary_share(found) == 100
    assert "pinned in" in page.text
    assert "100 %" in page.text


def test_an_empty_canary_is_said(browser_with):
    put("enforce", 10)
    assert "The canary is empty" in browser_with(*SEE).get(PAGE).text


def test_hostile_names_and_values_are_escaped_on_the_page_and_when_pinned(
    browser_with, sent, consumer_named
):
    consumer_named(HOSTILE, "write")
    sent("<script>alert(2)</script>\u202e", consumer=HOSTILE)
    canary.pin(HOSTILE, "out", person=ANN, reason="<script>alert(3)</script>")
    browser = browser_with(*SEE, CHANGE)
    page = browser.get(PAGE)
    pin = re.search(r'href="([^"]*pin/\?[^"]*place=in)"', page.text)[1].replace("&amp;", "&")
    confirm = browser.get(pin)
    assert confirm.context["form"]["consumer"].value() == HOSTILE
    for text in (page.text, confirm.text):
        assert "<img src=x" not in text
        assert "<script>alert" not in text
    assert "\\u202e" in page.text
    assert "\u202e" not in page.text


def test_planned_steps_and_waiting_proposals_are_listed_with_their_reasons(browser_with, settings):
    settings.STAGE_TWO_PERSON_RULE = True
    put("enforce", 10)
    schedule.plan_steps(ANN, "green only")
    proposal = proposals.propose(ANN, Wish("enforce", "the partner is ready", 50))
    page = browser_with(*SEE).get(PAGE)
    assert [(step.percent, step.status) for step in page.context["planned"]] == [
        (50, "proposed"),
        (100, "proposed"),
    ]
    assert "green only" in page.text
    assert "the partner is ready" in page.text
    assert reverse("admin:stageapp_modeproposal_change", args=[proposal.pk]) in page.text


def test_the_history_tells_actors_reasons_and_what_was_set_aside(browser_with):
    put("enforce", 10, override_reason="they are ready [past warn_exit (fail)]")
    WarnPeriod.objects.create(actor="olga", reason="told them again")
    page = browser_with(*SEE).get(PAGE)
    assert [(entry.what, entry.actor) for entry in page.context["past"]] == [
        ("New warn period", "olga"),
        ("Mode: enforce 10 %", "ann"),
    ]
    assert "for &lt;b&gt;a test" in page.text
    assert "past warn_exit (fail)" in page.text


FORMS = {
    "pin": {"consumer": "alpha", "place": "out"},
    "plan_steps": {"percents": "50 100"},
    "approve_steps": {},
    "cancel_steps": {},
    "audited": {},
    "warn_period": {},
}


def marks():
    return [
        list(model.objects.order_by("pk").values())
        for model in (ModeChange, ConsumerPin, ConsumerAudit, PlannedStep, WarnPeriod)
    ]


def make_possible(name, settings):
    if name == "warn_period":
        put("warn")
    else:
        put("enforce", 10)
    if name in ("approve_steps", "cancel_steps"):
        settings.STAGE_TWO_PERSON_RULE = name == "approve_steps"
        schedule.plan_steps(ANN, "green only")


@pytest.mark.parametrize("name", ACTIONS)
def test_each_action_needs_its_permission_changes_nothing_on_get_and_asks_why(
    browser_with, settings, name
):
    make_possible(name, settings)
    before = marks()
    permission = ACTIONS[name].permission
    others = EVERYTHING - {permission}
    stranger = browser_with(VIEW, *others, name="otto")
    assert stranger.get(address(name)).status_code == 403
    assert stranger.post(address(name), {**FORMS[name], "reason": "I want it"}).status_code == 403
    browser = browser_with(*SEE, permission)
    assert f'href="{address(name)}"' in browser.get(PAGE).text
    asked = browser.get(address(name), {**FORMS[name], "reason": "no reason on GET"})
    assert 'name="reason"' in asked.text
    assert browser.post(address(name), {**FORMS[name], "reason": "  "}).status_code == 200
    assert marks() == before


@pytest.mark.parametrize("name", ACTIONS)
def test_each_confirmed_action_is_carried_out_under_the_users_name_and_reason(
    browser_with, settings, name
):
    make_possible(name, settings)
    browser = browser_with(*SEE, ACTIONS[name].permission, name="olga")
    answer = browser.post(address(name), {**FORMS[name], "reason": "I looked"}, follow=True)
    assert str(next(iter(answer.context["messages"]))) == ACTIONS[name].done
    said = "".join(str(rows) for rows in marks())
    assert "olga" in said
    assert "I looked" in said


@pytest.mark.parametrize("name", ["plan_steps", "approve_steps", "cancel_steps", "warn_period"])
def test_what_is_not_possible_now_is_refused_in_words(browser_with, name):
    put("off")
    before = marks()
    for method in ("get", "post"):
        browser = browser_with(*SEE, CHANGE, name=method)
        answer = getattr(browser, method)(
            address(name), {**FORMS[name], "reason": "x"}, follow=True
        )
        assert "is not possible" in str(next(iter(answer.context["messages"])))
    assert marks() == before


def test_who_planned_the_steps_is_not_offered_their_approval(browser_with, settings):
    settings.STAGE_TWO_PERSON_RULE = True
    put("enforce", 10)
    schedule.plan_steps(Person("sam", EVERYTHING), "green only")
    browser = browser_with(*SEE, CHANGE)
    assert "approve_steps" not in buttons(browser.get(PAGE))
    browser.post(address("approve_steps"), {"reason": "my own"})
    assert set(PlannedStep.objects.values_list("status", flat=True)) == {"proposed"}


@pytest.mark.parametrize("percents", ["fifty", "50 x", "5 0.5", "١٠", "9999", "100 50", "10", " "])
def test_shares_that_make_no_plan_are_refused(browser_with, percents):
    put("enforce", 10)
    answer = browser_with(*SEE, CHANGE).post(
        address("plan_steps"), {"percents": percents, "reason": "x"}, follow=True
    )
    assert answer.status_code == 200
    assert not PlannedStep.objects.exists()


def test_marking_the_audit_shows_who_still_sends_what_to_those_who_may_see_it(browser_with, sent):
    sent("Venture Debt")
    assert (
        "“alpha” (1 times)" in browser_with(*SEE, MANAGE, name="mia").get(address("audited")).text
    )
    assert "alpha" not in browser_with(VIEW, MANAGE, name="max").get(address("audited")).text


def test_before_a_pin_its_figures_are_shown_to_those_who_may_see_them(browser_with, sent):
    sent("seed", "Venture Debt", days_ago=1)
    asked = {"consumer": "alpha", "place": "out"}
    page = browser_with(*SEE, CHANGE, name="mia").get(address("pin"), asked)
    assert f"in bucket {canary.bucket('alpha')} of 0 to 99" in page.text
    assert "2 stages, 1 of them unknown" in page.text
    assert "2 stages" not in browser_with(VIEW, CHANGE, name="max").get(address("pin"), asked).text


def test_overview_mode_page_and_navigation_lead_to_it(browser_with):
    browser = browser_with(VIEW)
    for page in (reverse("admin:index"), reverse("admin:stageapp_modechange_changelist")):
        assert browser.get(page).text.count(f'href="{PAGE}"') >= 2
    assert 'aria-current="page">Rollout' in browser.get(PAGE).text
    assert PAGE not in browser_with("view_plan", name="paul").get(reverse("admin:index")).text


def test_the_page_itself_takes_no_post(browser_with):
    assert browser_with(*SEE, CHANGE).post(PAGE).status_code == 405
