"""The mode page: its figures, and a change from preview to confirm."""

import datetime

import pytest
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from stageapp.admin.mode import MEANINGS, met, preview
from stageapp.mode import store
from stageapp.mode.store import ModeState
from stageapp.models import ModeChange, ModeProposal
from stageapp.traffic import windows
from stageapp.traffic.windows import Summary

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:stageapp_modechange_changelist")
PREVIEW = reverse("admin:stageapp_modechange_preview")
SET = reverse("admin:stageapp_modechange_set")
VIEW, CHANGE, OVERRIDE = "view_modechange", "change_mode", "override_gate"


def choice(**more):
    return {
        "mode": "enforce",
        "percent": "10",
        "expected_version": "0",
        "reason": "the partners are ready",
        **more,
    }


def cells(page):
    """Return the figures of the traffic table, row by row, by mode."""
    return {
        bar.label: {part.name: part.count for part in bar.parts} for bar in page.context["bars"]
    }


def test_it_shows_the_mode_with_who_when_and_why(browser_with):
    store.change(mode="enforce", percent=10, actor="olga", reason="first <b>canary</b>")
    page = browser_with(VIEW).get(PAGE).text
    assert "enforce" in page
    assert "10&nbsp;%" in page
    assert "olga" in page
    assert "first &lt;b&gt;canary" in page


def test_without_any_change_it_says_that_the_default_holds(browser_with):
    assert "it has not been changed yet" in browser_with(VIEW).get(PAGE).text


def test_its_figures_are_those_of_the_counted_traffic(browser_with):
    for verdict, times in {"canonical": 5, "normalized": 3, "unknown": 2, "malformed": 1}.items():
        for _ in range(times):
            windows.count(endpoint="strategies", mode="warn", verdict=verdict)
    windows.flush()
    page = browser_with(VIEW).get(PAGE)
    assert cells(page) == {
        "off": {"accepted": 10, "warned": 0, "rejected": 1},
        "warn": {"accepted": 5, "warned": 5, "rejected": 1},
        "enforce": {"accepted": 5, "warned": 3, "rejected": 3},
    }
    assert "the 11 requests of the last day" in page.text
    assert 'aria-label="enforce: 5 accepted, 3 warned, 3 rejected"' in page.text


def test_only_who_may_change_it_is_offered_the_form(browser_with):
    assert PREVIEW not in browser_with(VIEW).get(PAGE).text
    assert PREVIEW in browser_with(VIEW, CHANGE, name="olga").get(PAGE).text


def test_the_preview_changes_nothing_and_carries_the_version_seen(browser_with):
    store.change(mode="warn", actor="ann", reason="begin")
    page = browser_with(CHANGE, OVERRIDE).get(PREVIEW, {"mode": "enforce", "percent": "10"})
    assert page.context["confirm"].initial["expected_version"] == 1
    assert 'name="expected_version" value="1"' in page.text
    assert store.latest().mode == "warn"


def test_a_preview_without_a_valid_choice_asks_again(browser_with):
    page = browser_with(CHANGE).get(PREVIEW, {"mode": "warn", "percent": "10"})
    assert "applies only to enforce" in page.text
    assert "preview" not in page.context


def test_a_confirmed_change_is_made_under_the_users_name(browser_with):
    browser = browser_with(VIEW, CHANGE, OVERRIDE, name="olga")
    answer = browser.post(SET, choice(override="a test"), follow=True)
    made = ModeChange.objects.get()
    assert (made.mode, made.percent, made.actor, made.reason) == (
        "enforce",
        10,
        "olga",
        "the partners are ready",
    )
    assert "The mode was changed" in answer.text


@pytest.mark.parametrize(
    "wrong", [{"reason": "  "}, {"percent": "0"}, {"mode": "strict"}, {"expected_version": ""}]
)
def test_a_wrong_confirmation_changes_nothing(browser_with, wrong):
    answer = browser_with(CHANGE).post(SET, choice(**wrong))
    assert answer.status_code == 200
    assert not ModeChange.objects.exists()


def test_setting_is_post_only(browser_with):
    assert browser_with(CHANGE).get(SET, choice()).status_code == 405
    assert not ModeChange.objects.exists()


def test_of_two_operators_the_second_is_told_who_was_first_and_what_it_is_now(browser_with):
    first, second = browser_with(VIEW, CHANGE, name="olga"), browser_with(VIEW, CHANGE, name="ben")
    first.get(PREVIEW, {"mode": "enforce"})
    second.get(PREVIEW, {"mode": "enforce", "percent": "10"})
    first.post(SET, choice(mode="off", percent="", reason="partner outage"))
    answer = second.post(SET, choice(), follow=True)
    assert store.latest().mode == "off"
    message = str(next(iter(answer.context["messages"])))
    assert "olga" in message
    assert "off" in message
    assert "partner outage" in message


def test_the_next_parameter_leads_nowhere_else(browser_with):
    answer = browser_with(CHANGE).post(
        f"{SET}?next=//evil.example/", choice(next="//evil.example/")
    )
    assert answer["location"] == PAGE


def test_the_preview_counts_what_would_change():
    summary = Summary(canonical=5, normalized=3, unknown=2, malformed=1)
    found = preview(ModeState("warn"), ModeState("enforce"), summary)
    assert [(row.outcome, row.now, row.then, row.difference) for row in found.rows] == [
        ("accepted", 5, 5, 0),
        ("warned", 5, 3, -2),
        ("rejected", 1, 3, 2),
    ]
    assert found.direction == "stricter"
    assert not found.estimated


def test_a_canarys_figures_are_estimates_with_a_bound_and_a_lower_share_is_looser():
    found = preview(
        ModeState("enforce", 50),
        ModeState("enforce", 10),
        Summary(normalized=10, unknown=20, malformed=3),
    )
    assert [(row.outcome, row.now, row.then) for row in found.rows] == [
        ("accepted", 0, 0),
        ("warned", 20, 28),
        ("rejected", 13, 5),
    ]
    assert found.estimated
    assert found.at_most == 23
    assert found.direction == "looser"


@given(
    st.builds(Summary, *[st.integers(0, 10**6)] * 4),
    st.sampled_from(list(MEANINGS)),
    st.integers(1, 100),
)
def test_every_request_is_in_exactly_one_outcome_at_any_share(summary, mode, percent):
    found = met(ModeState(mode, percent if mode == "enforce" else 100), summary)
    assert sum(found.values()) == summary.total
    assert min(found.values()) >= 0


def test_at_all_consumers_the_preview_is_what_enforce_means():
    summary = Summary(canonical=5, normalized=3, unknown=2, malformed=1)
    for mode in MEANINGS:
        assert met(ModeState(mode), summary) == summary.outcomes[mode]


def test_previewing_is_closed_without_the_permission(browser_with):
    assert browser_with(VIEW).get(PREVIEW, {"mode": "warn"}).status_code == 403
    assert preview(ModeState("warn"), ModeState("warn"), Summary()).direction == "same"


def test_every_mode_is_explained():
    assert set(MEANINGS) == {mode for mode, _ in ModeChange.MODES}


def test_the_preview_shows_the_gates_and_asks_who_may_for_an_override(browser_with):
    page = browser_with(CHANGE, OVERRIDE, name="olga").get(
        PREVIEW, {"mode": "enforce", "percent": "10"}
    )
    assert [gate.name for gate in page.context["ahead"].gates] == [
        "run_complete",
        "consumers_audited",
        "warn_exit",
    ]
    assert "The stored rows are normalized and verified" in page.text
    assert 'name="override"' in page.text
    assert 'name="break_glass"' not in page.text


def test_who_may_not_go_past_gates_is_not_offered_the_change(browser_with):
    browser = browser_with(VIEW, CHANGE)
    page = browser.get(PREVIEW, {"mode": "enforce", "percent": "10"})
    assert "This step is blocked" in page.text
    assert f'action="{SET}"' not in page.text
    answer = browser.post(SET, choice(override="I would"), follow=True)
    assert "override_gate" in str(next(iter(answer.context["messages"])))
    assert not ModeChange.objects.exists()


def test_to_lower_the_mode_no_gate_is_asked(browser_with):
    store.change(mode="enforce", actor="ann", reason="all of it")
    browser = browser_with(VIEW, CHANGE)
    assert browser.get(PREVIEW, {"mode": "off"}).context["ahead"].gates == ()
    browser.post(SET, choice(mode="off", percent="", expected_version="1"))
    assert store.latest().mode == "off"


def test_with_the_two_person_rule_a_confirmation_proposes_and_another_approves(
    browser_with, settings
):
    settings.STAGE_TWO_PERSON_RULE = True
    view = "view_modeproposal"
    olga = browser_with(VIEW, CHANGE, OVERRIDE, view, name="olga")
    ben = browser_with(VIEW, CHANGE, OVERRIDE, view, name="ben")
    olga.post(SET, choice(override="a test"))
    proposal = ModeProposal.objects.get()
    assert (proposal.actor, proposal.percent, proposal.status) == ("olga", 10, "open")
    assert not ModeChange.objects.exists()
    approve = reverse("admin:stageapp_modeproposal_approve", args=[proposal.pk])
    page = reverse("admin:stageapp_modeproposal_change", args=[proposal.pk])
    assert approve not in olga.get(page).text
    assert approve in ben.get(page).text
    olga.post(approve, {"reason": "I want it"})
    assert not ModeChange.objects.exists()
    ben.post(approve, {"reason": "looks good"})
    made = ModeChange.objects.get()
    assert (made.mode, made.percent, made.actor) == ("enforce", 10, "olga")
    assert "Approved by ben" in made.reason
    assert made.override_reason.startswith("a test [past")


def test_breaking_the_glass_is_offered_to_who_may_and_shows_in_the_history(browser_with, settings):
    settings.STAGE_TWO_PERSON_RULE = True
    browser = browser_with(VIEW, CHANGE, OVERRIDE)
    assert 'name="break_glass"' in browser.get(PREVIEW, {"mode": "enforce", "percent": "10"}).text
    page = browser.post(
        SET, choice(override="a test", break_glass="nobody else is awake"), follow=True
    )
    assert "BREAK-GLASS: nobody else is awake" in page.text


@pytest.mark.parametrize("page", [PAGE, "/admin/", "/admin/stageapp/rollout/"])
def test_a_mode_for_which_rules_were_set_aside_is_loud_as_long_as_it_holds(
    browser_with, settings, page
):
    settings.STAGE_TWO_PERSON_RULE = True
    browser = browser_with(VIEW, CHANGE, OVERRIDE)
    browser.post(SET, choice(override="a test", break_glass="nobody else is awake"))
    alert = 'role="alert">Rules were overridden for this mode: BREAK-GLASS: nobody else is awake'
    assert alert in browser.get(page).text
    browser.post(SET, choice(mode="warn", percent="", expected_version="1"))
    assert "Rules were set aside" not in browser.get(page).text


def announce(day, mode="warn", percent=100):
    return store.change(mode=mode, percent=percent, actor="ann", reason="begin", enforce_on=day)


def test_the_announced_day_stays_and_the_preview_tells_whom_it_concerns(browser_with):
    announce(datetime.date(2099, 3, 1))
    browser = browser_with(VIEW, CHANGE, OVERRIDE)
    page = browser.get(PREVIEW, {"mode": "enforce", "percent": "10"})
    assert "The announced day, 2099-03-01, stays." in page.text
    assert "Callers in the share of 10 % are refused unknown stages now" in page.text
    assert "Sunset: Sun, 01 Mar 2099 00:00:00 GMT" in page.text
    browser.post(SET, choice(expected_version="1", override="a test"))
    newest = store.latest()
    assert (newest.mode, newest.enforce_on) == ("enforce", datetime.date(2099, 3, 1))


def test_withdrawing_the_day_is_chosen_previewed_and_confirmed_with_a_reason(browser_with):
    browser = browser_with(VIEW, CHANGE, name="olga")
    store.change(mode="warn", actor="ann", reason="begin")
    assert "withdraw_enforce_on" not in browser.get(PAGE).text
    announce(datetime.date(2099, 3, 1))
    assert "withdraw_enforce_on" in browser.get(PAGE).text
    chosen = {"mode": "warn", "withdraw_enforce_on": "on"}
    page = browser.get(PREVIEW, chosen)
    assert "The announced day, 2099-03-01, is withdrawn." in page.text
    assert store.latest().enforce_on == datetime.date(2099, 3, 1)
    hidden = page.context["confirm"]["withdraw_enforce_on"]
    assert hidden.field.widget.input_type == "hidden"
    form = {"mode": "warn", "expected_version": "2", "reason": "not yet"}
    browser.post(SET, {**form, "withdraw_enforce_on": hidden.value()})
    made = ModeChange.objects.first()
    assert (made.enforce_on, made.actor) == (None, "olga")
    assert made.reason == "not yet\nWithdrew the announced day, 2099-03-01."
    assert "Withdrew the announced day" in browser.get(PAGE).text


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"enforce_on": "2020-01-01"}, "2020-01-01 is in the past."),
        ({"enforce_on": "2099-01-01", "withdraw_enforce_on": "on"}, "not both"),
        ({"withdraw_enforce_on": "on"}, "there is none to withdraw"),
    ],
)
def test_a_day_that_cannot_be_is_refused_before_and_at_the_confirmation(browser_with, wrong, told):
    store.change(mode="warn", actor="ann", reason="begin")
    browser = browser_with(VIEW, CHANGE)
    assert told in browser.get(PREVIEW, {"mode": "warn", **wrong}, follow=True).text
    form = {"mode": "warn", "expected_version": "1", "reason": "because", **wrong}
    assert told in browser.post(SET, form, follow=True).text
    assert ModeChange.objects.count() == 1


def test_a_day_that_has_passed_is_said_to_have(browser_with, monkeypatch):
    today = timezone.now()
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: today - datetime.timedelta(days=9))
        announce((today - datetime.timedelta(days=1)).date())
    assert (
        "That day has passed, so callers are not told about it."
        in browser_with(VIEW).get(PAGE).text
    )
