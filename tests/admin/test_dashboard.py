"""The first page: what each person may see there, and what it proposes."""

import pytest
from django.test import Client
from django.urls import reverse

from stageapp import modes, traffic
from stageapp.admin import site
from stageapp.models import Run
from stageapp.models.normalization import State

pytestmark = pytest.mark.django_db

INDEX = reverse("admin:index")
VIEWS = ["view_modechange", "view_run", "view_plan", "view_trafficwindow", "view_vocabularyversion"]


def test_it_shows_mode_traffic_run_and_vocabulary(plan, browser_with):
    modes.change(mode="enforce", percent=10, actor="olga", reason="the first canary")
    traffic.count(endpoint="strategies", mode="enforce", verdict="unknown")
    traffic.flush()
    page = browser_with(*VIEWS).get(INDEX)
    assert set(page.context["panels"]) == {"mode", "traffic", "run", "vocabulary"}
    for text in ("10&nbsp;%", "the first canary", "olga", f"Run {plan.run.pk}", 'role="progressbar"', "1 requests"):
        assert text in page.text


def test_each_panel_needs_the_right_to_see_what_is_in_it(plan, browser_with):
    assert set(browser_with("view_run").get(INDEX).context["panels"]) == {"run"}
    assert browser_with(name="nobody").get(INDEX).context["panels"] == {}


def test_without_runs_and_traffic_it_says_what_will_be_there(browser_with):
    text = browser_with(*VIEWS).get(INDEX).text
    assert "No run yet" in text
    assert "No request has arrived" in text


def step(browser):
    return browser.get(INDEX).context["step"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.PLANNED, "has changed nothing yet"),
        (State.RUNNING, "is at work"),
        (State.ROLLING_BACK, "is at work"),
        (State.PAUSED, "is paused"),
        (State.FAILED, "has failed"),
    ],
)
def test_the_next_step_follows_the_newest_run(plan, browser_with, state, words):
    Run.objects.update(state=state)
    found = step(browser_with(*VIEWS))
    assert words in found.text
    assert found.url == reverse("admin:stageapp_run_change", args=[plan.run.pk])


@pytest.mark.parametrize(
    ("mode", "percent", "query"),
    [
        ("off", 100, "?mode=warn"),
        ("warn", 100, "?mode=enforce&percent=10"),
        ("enforce", 10, "?mode=enforce&percent=50"),
        ("enforce", 50, "?mode=enforce&percent=100"),
    ],
)
def test_with_a_run_that_is_done_the_next_step_is_the_mode(plan, browser_with, mode, percent, query):
    Run.objects.update(state=State.DONE)
    modes.change(mode=mode, percent=percent, actor="ann", reason="so far")
    browser = browser_with(*VIEWS, "change_mode")
    found = step(browser)
    assert found.url.endswith(query)
    assert browser.get(found.url).context["preview"]


def test_when_all_is_done_nothing_is_proposed(plan, browser_with):
    Run.objects.update(state=State.DONE)
    modes.change(mode="enforce", actor="ann", reason="the end")
    assert step(browser_with(*VIEWS, "change_mode")) is None


def test_nothing_is_proposed_to_who_may_not_do_it(browser_with):
    assert step(browser_with(*VIEWS)) is None
    assert "Make a plan" in step(browser_with(*VIEWS, "plan_run", name="polly")).label


def test_the_page_costs_a_bounded_number_of_questions(plan, browser_with, django_assert_max_num_queries):
    browser = browser_with(*VIEWS)
    with django_assert_max_num_queries(20):
        browser.get(INDEX)


def test_every_screen_is_in_exactly_one_section(root, browser_of):
    sections = browser_of(root).get(INDEX).context["app_list"]
    names = [model["object_name"] for section in sections for model in section["models"]]
    assert len(names) == len(set(names))
    assert {name for group in site.SECTIONS.values() for name in group} <= set(names)


def test_the_login_leads_to_no_other_site(root):
    root.set_password("correct horse")
    root.save()
    form = {"username": "root", "password": "correct horse"}
    for evil in ("//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"):
        answer = Client().post(reverse("admin:login") + f"?next={evil}", {**form, "next": evil})
        assert answer.status_code == 302
        assert "evil" not in answer["location"]
        assert "javascript" not in answer["location"]
