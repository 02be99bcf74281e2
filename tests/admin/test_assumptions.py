"""What simulations assume of a stage: shown, previewed, changed with a reason, in the admin."""

from decimal import Decimal

import pytest
from django.urls import reverse

from stageapp.finance import assumption_store
from stageapp.models import AssumptionChange, Stage
from stageapp.vocabulary import snapshot

pytestmark = pytest.mark.django_db

LIST = reverse("admin:stageapp_assumptionchange_changelist")
PREVIEW = reverse("admin:stageapp_assumptionchange_preview")
SET = reverse("admin:stageapp_assumptionchange_set")


@pytest.fixture
def cora(browser_with):
    """Return the browser of a curator."""
    return browser_with("curate_vocabulary", name="cora")


def shown(cora, stage="growth"):
    """Return the figures as the form of a stage has them."""
    initial = cora.get(PREVIEW, {"stage": stage}).context["form"].initial
    return {name: value for name, value in initial.items() if value is not None}


def confirm(cora, figures, **more):
    return cora.post(
        SET,
        {**figures, "expected_version": 1, "reason": "new data", **more},
        follow=True,
    )


def said(answer):
    return " ".join(str(message) for message in answer.context["messages"])


def test_every_stage_is_listed_with_its_figures_in_words(cora):
    page = cora.get(LIST)
    assert [one["stage"].slug for one in page.context["stages"]] == list(
        Stage.objects.values_list("slug", flat=True),
    )
    assert page.context["stages"][1]["figures"] == [
        "68 %",
        "power law",
        "7 years",
        "1,500,000.00",
        "40 %, up to 2 × the first check",
        "2.16 ×, 11.6 % a year",
    ]
    assert "first recorded" in page.text


def test_the_form_begins_with_the_figures_in_force_as_a_person_writes_them(cora):
    figures = shown(cora)
    assert (figures["sigma"], figures["failure_rate"], figures["average_check"]) == (
        "0.4",
        "0.15",
        "50000000",
    )


def test_a_preview_shows_what_would_change_and_what_follows_and_changes_nothing(cora):
    page = cora.get(PREVIEW, {**shown(cora), "sigma": "0.6"})
    changed = {line.label: (line.now, line.then) for line in page.context["lines"] if line.changes}
    assert changed == {
        "Spread (sigma)": ("0.4", "0.6"),
        "Expected return of one company": ("1.38 ×, 9.7 % a year", "1.53 ×, 12.8 % a year"),
    }
    assert AssumptionChange.objects.filter(stage="growth").count() == 1


def test_a_confirmed_change_has_its_actor_and_reason_and_makes_no_vocabulary_version(cora):
    before = snapshot.newest_version()
    answer = confirm(cora, {**shown(cora), "sigma": "0.6"})
    made = assumption_store.newest("growth")
    assert (made.version, made.sigma, made.actor, made.reason) == (
        2,
        Decimal("0.6"),
        "cora",
        "new data",
    )
    assert "The assumptions were changed" in said(answer)
    assert "Spread (sigma): 0.4 → 0.6" in answer.text
    assert snapshot.newest_version() == before


def test_what_does_not_differ_is_not_recorded(cora):
    assert "Nothing is different, so nothing was changed" in said(confirm(cora, shown(cora)))
    assert AssumptionChange.objects.filter(stage="growth").count() == 1


def test_a_change_after_the_preview_is_a_conflict_that_names_who_was_first(cora):
    figures = shown(cora)
    assumption_store.change(
        "growth",
        {**assumption_store.newest("growth").figures, "sigma": Decimal("0.5")},
        expected_version=1,
        actor="olga",
        reason="a new study",
    )
    assert "olga changed these assumptions after you looked: a new study" in said(
        confirm(cora, {**figures, "sigma": "0.6"})
    )
    assert assumption_store.newest("growth").sigma == Decimal("0.5")


@pytest.mark.parametrize("reason", ["", "  "])
def test_without_a_reason_nothing_changes_and_the_preview_stays(cora, reason):
    page = confirm(cora, {**shown(cora), "sigma": "0.6"}, reason=reason)
    assert page.context["confirm"].errors["reason"]
    assert page.context["lines"]
    assert assumption_store.newest("growth").version == 1


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"failure_rate": "1.5"}, "failure_rate is 1.5; it must lie between 0 and 1"),
        ({"failure_rate": "nan"}, "Enter a number"),
        ({"distribution": "power_law", "alpha": ""}, "alpha must be a number"),
        ({"distribution": "normal"}, "normal is not one of the available choices"),
        ({"sigma": "-1"}, "sigma is -1"),
        ({"average_check": "0"}, "average_check is 0"),
        ({"average_check": "0.001"}, "no more than 2 decimal places"),
        ({"follow_on_share": "2"}, "a share from 0 to 1"),
        ({"sigma": "0." + "1" * 40}, "no more than"),
    ],
)
def test_figures_that_no_simulation_could_use_are_refused_before_and_at_the_confirmation(
    cora,
    wrong,
    message,
):
    figures = {**shown(cora), **wrong}
    page = cora.get(PREVIEW, figures)
    assert "confirm" not in page.context
    assert message in str(page.context["form"].errors)
    assert "lines" not in confirm(cora, figures).context
    assert assumption_store.newest("growth").version == 1


@pytest.mark.parametrize("stage", ["", "no_such", "x" * 500, "a\0b"])
def test_a_stage_that_is_not_there_leads_back_to_the_list(cora, stage):
    assert "Choose one of the stages" in said(cora.get(PREVIEW, {"stage": stage}, follow=True))
    assert "no longer exists." in said(cora.post(SET, {"stage": stage}, follow=True))


def test_a_viewer_looks_and_does_not_change(browser_with):
    viewer = browser_with("view_assumptionchange")
    page = viewer.get(LIST)
    assert "1,500,000.00" in page.text
    assert PREVIEW not in page.text
    assert viewer.get(PREVIEW, {"stage": "seed"}).status_code == 403
    assert viewer.post(SET, {"stage": "seed"}).status_code == 403
    assert browser_with(name="nobody").get(LIST).status_code == 403


def test_looking_is_no_post_and_changing_no_get(cora):
    assert cora.get(SET).status_code == 405
    assert cora.post(PREVIEW).status_code == 405


def test_a_new_stage_is_added_without_assumptions_and_says_where_to_enter_them(browser_with):
    browser = browser_with("curate_vocabulary", "view_stage", name="cora")
    form = {
        "label": "Series Z",
        "slug": "series_z",
        "rank": 95,
        "active": "on",
        "why": "it exists now",
    }
    answer = browser.post(reverse("admin:stageapp_stage_add"), form, follow=True)
    assert "Simulations and allocations refuse Series Z until you" in said(answer)
    assert "There are no assumptions yet" in browser.get(LIST).text
    figures = {**shown(browser, "growth"), "stage": "series_z"}
    assert {line.now for line in browser.get(PREVIEW, figures).context["lines"]} == {"–"}
    confirm(browser, figures, expected_version=0)
    assert assumption_store.newest("series_z").figures == assumption_store.newest("growth").figures


def test_a_stage_that_gets_another_slug_keeps_its_assumptions(cora):
    stage = Stage.objects.get(slug="growth")
    form = {
        "label": stage.label,
        "slug": "expansion",
        "rank": stage.rank,
        "active": "on",
        "why": "our word for it",
    }
    answer = cora.post(reverse("admin:stageapp_stage_change", args=[stage.pk]), form, follow=True)
    assert "refuse" not in said(answer)
    kept = assumption_store.newest("expansion")
    assert (kept.sigma, kept.actor, kept.reason) == (Decimal("0.4"), "cora", "our word for it")
