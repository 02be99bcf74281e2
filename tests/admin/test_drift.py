"""Drift and what consumers send: shown, never edited."""

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from stageapp.models import DriftCheck, Run
from stageapp.models.normalization import State
from stageapp.normalization.plan import make_plan
from stageapp.unknowns import drift
from tests.unknowns.conftest import TARGET

pytestmark = pytest.mark.django_db

INDEX = reverse("admin:index")
SIGHTINGS = reverse("admin:stageapp_consumersighting_changelist")


@pytest.fixture
def drifted(stored):
    """Return the look at a column into which a bypass wrote two values after its run."""
    stored("seed", "Fondo Q")
    plan = make_plan(TARGET, actor="ann")
    Run.objects.update(state=State.DONE, started_at=timezone.now())
    stored("Fondo Z", "Fondo Z", "Series-A")
    (look,) = drift.watch()
    assert look.run == plan.run.pk
    return look


def test_a_look_lists_what_came_back_with_its_meaning(drifted, browser_with):
    browser = browser_with("view_driftcheck", "view_unknownentry")
    page = browser.get(reverse("admin:stageapp_driftcheck_change", args=[drifted.pk]))
    found = {value["value"]: (value["stage"], value["rows"]) for value in page.context["values"]}
    assert found == {"'Fondo Z'": (None, 2), "'Series-A'": ("series_a", 1)}
    assert "?kind=bypass" in page.text


def test_the_overview_tells_of_drift_and_links_to_the_queue(drifted, browser_with):
    page = browser_with("view_driftcheck", "view_unknownentry").get(INDEX)
    (look,) = page.context["panels"]["drift"]["checks"]
    assert (look["check"].unknown_rows, look["check"].known_rows) == (2, 1)
    assert page.context["panels"]["unknowns"]["open"] == 1
    link = reverse("admin:stageapp_unknownentry_changelist") + "?kind=bypass"
    assert link in page.text
    assert "&#x27;Fondo Z&#x27;" in page.text


def test_the_overview_shows_each_panel_to_who_may_see_it(drifted, browser_with):
    assert set(browser_with("view_driftcheck").get(INDEX).context["panels"]) == {"drift"}
    page = browser_with("view_unknownentry", name="vera").get(INDEX)
    assert set(page.context["panels"]) == {"unknowns"}
    assert [value for _, value in page.context["panels"]["unknowns"]["first"]] == ["'Fondo Z'"]


def test_a_problem_of_the_watch_is_said(drifted, browser_with):
    DriftCheck.objects.update(problem="the table could not be read in 5 s")
    browser = browser_with("view_driftcheck")
    for path in (INDEX, reverse("admin:stageapp_driftcheck_change", args=[drifted.pk])):
        assert "could not be read in 5 s" in browser.get(path).text


def test_without_drift_and_unknowns_the_overview_says_what_would_be_there(browser_with):
    text = browser_with("view_driftcheck", "view_unknownentry").get(INDEX).text
    assert "No column is checked yet" in text
    assert "No value is open" in text


def test_a_column_that_was_normalized_and_not_looked_at_yet_is_named(stored, browser_with):
    stored("seed")
    run = make_plan(TARGET, actor="ann").run
    Run.objects.update(state=State.DONE, started_at=timezone.now())
    text = browser_with("view_driftcheck").get(INDEX).text
    assert "No column is checked yet" not in text
    assert f"Run {run.pk}</a> is done, and the drift check has not run yet" in text
    drift.watch()
    assert "has not run yet" not in browser_with("view_driftcheck", name="vera").get(INDEX).text


def test_what_consumers_send_is_found_by_a_whole_name_or_key(sent, browser_with):
    sent("Fondo X", "Seed", consumer="alpha")
    sent("Fondo X", consumer="beta")
    browser = browser_with("view_consumersighting")

    def found(**query):
        rows = browser.get(SIGHTINGS, query).context["cl"].result_list
        return sorted((row.consumer, row.key, row.outcome) for row in rows)

    assert found(q="beta") == [("beta", "fondo x", "unknown")]
    assert len(found(q="fondo x")) == len(found(q="Fondo-X")) == 2
    assert found(outcome__exact="normalized") == [("alpha", "seed", "normalized")]
    assert found(q="bet") == []


def test_nobody_may_be_given_the_right_to_change_them():
    names = ["driftcheck", "consumersighting", "unknownentry"]
    codenames = Permission.objects.filter(content_type__model__in=names).values_list(
        "codename", flat=True
    )
    assert {name for name in codenames if not name.startswith("view_")} & {
        f"{verb}_{name}" for verb in ("add", "change", "delete") for name in names
    } == set()


def test_the_navigation_speaks_plainly(root, browser_of):
    apps = browser_of(root).get(INDEX).context["app_list"]
    sections = {app["name"]: [model["name"] for model in app["models"]] for app in apps}
    assert {"Rollout", "Mode"} & set(sections["Rollout"])
    assert sections["Vocabulary"] == ["Unknown values", "Stages", "Aliases", "Versions"]
    assert "Drift" in sections["Normalization"]
    assert "Values sent" in sections["Callers"]
