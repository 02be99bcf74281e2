"""Deciding unknown values: chosen, previewed, confirmed with a reason, in one version; and taken
back.
"""

import pytest
from django.urls import reverse

from stageapp.models import StageAlias, VocabularyVersion
from stageapp.models.unknowns import UnknownEntry
from stageapp.normalization.plan import make_plan
from stageapp.unknowns import decisions
from stageapp.vocabulary import snapshot
from tests.unknowns.conftest import TARGET, find

pytestmark = pytest.mark.django_db

LIST = reverse("admin:stageapp_unknownentry_changelist")
DECIDE = reverse("admin:stageapp_unknownentry_decide")
CONFIRM = reverse("admin:stageapp_unknownentry_confirm")


@pytest.fixture
def cora(browser_with):
    """Return the browser of a curator."""
    return browser_with("curate_vocabulary", "view_unknownentry", "plan_run", name="cora")


def named(*raws):
    return ",".join(str(find(raw).pk) for raw in raws)


def version():
    return snapshot.newest_version()


def confirm(browser, *raws, decision="map", **more):
    form = {
        "entries": named(*raws),
        "decision": decision,
        "expected_version": version(),
        "reason": "asked them",
    }
    return browser.post(CONFIRM, {**form, **more}, follow=True)


def said(answer):
    return " ".join(str(message) for message in answer.context["messages"])


def test_several_selected_values_go_to_one_preview_and_nothing_changes_yet(entry, cora):
    entry("Fondo X", "Fondo Y")
    before = version()
    ticked = {"action": "decide", "_selected_action": [find("Fondo X").pk, find("Fondo Y").pk]}
    page = cora.post(LIST, ticked, follow=True)
    assert page.redirect_chain[0][0].startswith(DECIDE)
    assert {choice["name"] for choice in page.context["choices"]} == {"map", "declare", "ignore"}
    page = cora.get(
        DECIDE, {"entries": named("Fondo X", "Fondo Y"), "decision": "map", "stage": "seed"}
    )
    assert "Map 2 values" in page.text
    assert (version(), find("Fondo X").state) == (before, "open")


def test_several_values_are_mapped_in_one_version_with_links_to_it_and_to_a_plan(entry, cora):
    entry("Fondo X", "Fondo Y")
    before = version()
    answer = confirm(cora, "Fondo X", "Fondo Y", stage="seed")
    made = VocabularyVersion.objects.first()
    assert made.number == version() > before
    assert VocabularyVersion.objects.filter(number__gt=before).count() == 1
    assert (made.actor, made.reason) == ("cora", "asked them")
    assert {find("Fondo X").state, find("Fondo Y").state} == {"mapped"}
    assert snapshot.load().normalize("FONDO-x").stage == "seed"
    assert f"vocabulary version {made.number}" in said(answer)
    assert reverse("admin:stageapp_plan_make") in said(answer)


def test_a_value_may_be_mapped_for_one_source_only(sent, cora):
    sent("Fondo X", consumer="alpha")
    sent("Fondo X", consumer="beta")
    confirm(cora, "Fondo X", stage="growth", source="alpha")
    now = snapshot.load()
    assert (now.normalize("Fondo X", "alpha").stage, now.normalize("Fondo X", "beta").stage) == (
        "growth",
        None,
    )


def test_only_sources_that_sent_it_can_be_chosen(sent, cora):
    sent("Fondo X", consumer="alpha")
    before = version()
    page = confirm(cora, "Fondo X", stage="growth", source="somebody")
    assert (page.status_code, version()) == (200, before)
    assert "not one of the available choices" in page.text


def test_a_value_is_declared_no_stage_and_another_one_ignored(entry, cora):
    entry("Fondo X", "Fondo Y")
    confirm(cora, "Fondo X", decision="declare", code="not_a_stage")
    before = version()
    answer = confirm(cora, "Fondo Y", decision="ignore")
    assert (find("Fondo X").state, find("Fondo Y").state) == ("declared", "ignored")
    assert (version(), "The vocabulary is unchanged." in said(answer)) == (before, True)


@pytest.mark.parametrize(
    ("decision", "choice"),
    [("map", {"stage": "seed"}), ("declare", {"code": "not_a_stage"}), ("ignore", {})],
)
def test_every_decision_can_be_taken_back(entry, cora, decision, choice):
    entry("Fondo X")
    assert "undo" not in {
        c["name"] for c in cora.get(DECIDE, {"entries": named("Fondo X")}).context["choices"]
    }
    confirm(cora, "Fondo X", decision=decision, **choice)
    assert find("Fondo X").state != "open"
    assert "undo" in {
        c["name"] for c in cora.get(DECIDE, {"entries": named("Fondo X")}).context["choices"]
    }
    page = cora.get(DECIDE, {"entries": named("Fondo X"), "decision": "undo"})
    assert "Undo 1 value" in page.text
    confirm(cora, "Fondo X", decision="undo")
    assert find("Fondo X").state == "open"
    assert not StageAlias.objects.filter(key="fondo x").exists()


def test_the_preview_tells_exactly_what_happens(stored, sent, cora):
    stored("Fondo X", "fondo-x", "Fondo X", "Fondo Y", "Seed", "seed")
    for _ in range(3):
        sent("Fondo X", "Seed", consumer="alpha")
    sent("Fondo X", consumer="beta", days_ago=1)
    before = make_plan(TARGET, actor="ann")
    page = cora.get(DECIDE, {"entries": named("Fondo X"), "decision": "map", "stage": "growth"})
    found = page.context["preview"]
    assert (found.rows, found.requests) == ({TARGET: 3}, {"alpha": 3, "beta": 1})
    assert page.context["held"] == [("'Fondo X'", 2), ("'fondo-x'", 1)]
    confirm(cora, "Fondo X", stage="growth")
    after = make_plan(TARGET, actor="ann")
    assert after.rows_to_change - before.rows_to_change == found.rows_total
    assert before.rows_unknown - after.rows_unknown == found.rows_total
    assert snapshot.load().normalize("Fondo X", "alpha").stage == "growth"


def test_the_suggestion_is_a_link_to_a_preview_and_never_chosen_by_itself(entry, cora):
    entry("Sead")
    page = cora.get(reverse("admin:stageapp_unknownentry_change", args=[find("Sead").pk]))
    link = f"{DECIDE}?entries={named('Sead')}&amp;decision=map&amp;stage=seed"
    assert link in page.text
    assert '<option value="seed">' in page.text


def test_a_decision_on_an_older_vocabulary_is_a_conflict_that_names_who_was_first(entry, cora):
    entry("Fondo X")
    seen = version()
    with snapshot.change(actor="petra", reason="the funds agreed."):
        StageAlias.objects.create(spelling="Elsewhere", key="elsewhere", reason="not_a_stage")
    page = confirm(cora, "Fondo X", stage="seed", expected_version=seen)
    assert "petra made vocabulary version" in said(page)
    assert "the funds agreed." in said(page)
    assert find("Fondo X").state == "open"
    assert page.context["form"]["expected_version"].value() == version()
    assert page.context["form"]["reason"].value() == "asked them"
    confirm(
        cora,
        "Fondo X",
        stage="seed",
        expected_version=page.context["form"]["expected_version"].value(),
    )
    assert find("Fondo X").state == "mapped"


def test_what_cannot_mean_a_stage_is_named_and_the_others_are_one_click_away(entry, cora):
    entry("Fondo X", "Series A or B", "")
    asked = {"entries": named("Fondo X", "Series A or B", ""), "decision": "map", "stage": "seed"}
    page = cora.get(DECIDE, asked)
    assert len(page.context["preview"].refused) == 2
    assert "<button" not in page.text.split('id="preview-confirm"')[1]
    assert (
        page.context["others_query"]
        == f"entries={named('Fondo X')}&decision=map&stage=seed&source="
    )
    refused = confirm(cora, "Fondo X", "Series A or B", stage="seed")
    assert "multiple_stages" in said(refused)
    assert find("Fondo X").state == "open"


@pytest.mark.parametrize("reason", ["", "   "])
def test_without_a_reason_nothing_is_decided(entry, cora, reason):
    entry("Fondo X")
    page = confirm(cora, "Fondo X", stage="seed", reason=reason)
    assert page.context["form"].errors["reason"]
    assert find("Fondo X").state == "open"


@pytest.mark.parametrize("choice", [{}, {"stage": "series_z"}, {"stage": "seed' OR 1"}])
def test_a_stage_must_be_one_there_is(entry, cora, choice):
    entry("Fondo X")
    assert (
        cora.get(DECIDE, {"entries": named("Fondo X"), "decision": "map", **choice}).context.get(
            "preview"
        )
        is None
    )
    confirm(cora, "Fondo X", **choice)
    assert find("Fondo X").state == "open"


@pytest.mark.parametrize(
    "entries", ["", "x", "1,,2", "-1", "9" * 30, "999999999999", ",".join(map(str, range(300)))]
)
def test_entries_that_are_not_there_lead_back_to_the_queue(cora, entries):
    page = cora.get(DECIDE, {"entries": entries}, follow=True)
    assert (page.status_code, page.redirect_chain[0][0]) == (200, LIST)
    assert "Choose values" in said(page)


def test_confirming_takes_a_post_and_looking_takes_a_get(entry, cora):
    entry("Fondo X")
    form = {
        "entries": named("Fondo X"),
        "decision": "map",
        "stage": "seed",
        "reason": "x",
        "expected_version": version(),
    }
    assert cora.get(CONFIRM, form).status_code == 405
    assert cora.post(DECIDE, form).status_code == 405
    assert find("Fondo X").state == "open"


def test_only_curators_decide(entry, browser_with):
    entry("Fondo X")
    viewer = browser_with("view_unknownentry")
    assert viewer.get(DECIDE, {"entries": named("Fondo X")}).status_code == 403
    assert confirm(viewer, "Fondo X", stage="seed").status_code == 403
    ticked = {"action": "decide", "_selected_action": [find("Fondo X").pk]}
    assert viewer.post(LIST, ticked).status_code == 200
    assert find("Fondo X").state == "open"


def test_more_values_than_one_decision_takes_are_sent_to_the_file(entry, cora, monkeypatch):
    entry("Fondo X", "Fondo Y")
    monkeypatch.setattr("stageapp.admin.unknowns.MOST", 1)
    ticked = {"action": "decide", "_selected_action": [find("Fondo X").pk, find("Fondo Y").pk]}
    assert "At most 1 values" in said(cora.post(LIST, ticked, follow=True))


def test_who_may_not_plan_is_not_sent_there(entry, browser_with):
    entry("Fondo X")
    answer = confirm(browser_with("curate_vocabulary"), "Fondo X", stage="seed")
    assert "Make a plan" not in said(answer)
    assert UnknownEntry.objects.in_state("mapped").count() == 1


def test_a_decision_that_the_alias_outlived_cannot_be_taken_back(entry, cora):
    entry("Fondo X")
    confirm(cora, "Fondo X", stage="seed")
    with snapshot.change(actor="petra", reason="no"):
        StageAlias.objects.filter(key="fondo x").delete()
    page = confirm(cora, "Fondo X", decision="undo")
    assert "changed since" in said(page)
    assert decisions.why_not(find("Fondo X"), names_stage=True) == ""
