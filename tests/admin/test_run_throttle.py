"""What holds a run, on its page, and the form that changes its limits."""

import pytest
from django.urls import reverse
from django.utils import timezone

from stageapp.models import RunThrottle, ThrottleLook
from stageapp.normalization import limits, runs
from tests.admin.test_runs import OPERATOR, page_of

pytestmark = pytest.mark.django_db
TEXT = "replica lag 12 s; the limit is 10 s, work continues at 8 s"


@pytest.fixture
def run(plan):
    return runs.start(plan.run, actor="ann", reason="go")


def limits_of(run):
    return reverse("admin:stageapp_run_throttle", args=[run.pk])


def held(run, **more):
    readings = [
        {
            "factor": "replica_lag",
            "title": "replica lag",
            "state": "holds",
            "value": 12.0,
            "limit": 10,
            "resume": 8,
            "unit": "s",
            "note": "",
        },
        {
            "factor": "active_sessions",
            "title": "active sessions",
            "state": "not measured",
            "value": None,
            "limit": 50,
            "resume": 40,
            "unit": "",
            "note": "grant pg_monitor",
        },
    ]
    fields = {
        "looked_at": timezone.now(),
        "reason": "replica_lag",
        "text": TEXT,
        "readings": readings,
    }
    return ThrottleLook.objects.create(run=run, **fields | more)


def test_the_page_says_what_holds_the_run_what_is_not_measured_and_what_it_cost(run, browser_with):
    held(run)
    limits.add_seconds(run, "replica_lag", 42.4)
    page = browser_with(*OPERATOR).get(page_of(run)).text
    assert f"Waits: {TEXT}." in page
    assert "Not measured: active sessions (grant pg_monitor)" in page
    assert "42 s" in page


def test_so_does_the_part_that_moves(run, browser_with):
    held(run)
    answer = browser_with(*OPERATOR).get(reverse("admin:stageapp_run_progress", args=[run.pk]))
    assert f"Waits: {TEXT}." in answer.text


def test_an_old_look_says_nothing_about_now(run, browser_with):
    held(run, looked_at=timezone.now() - limits.CURRENT_FOR * 2)
    assert "Waits:" not in browser_with(*OPERATOR).get(page_of(run)).text


def test_an_operator_changes_limits_with_a_reason(run, browser_with):
    browser = browser_with(*OPERATOR, name="olga")
    form = browser.get(limits_of(run))
    assert "Replica lag, in s" in form.text
    assert not RunThrottle.objects.exists()
    answer = browser.post(
        limits_of(run), {"replica_lag": "30", "disk_free": "0", "reason": "the standby is a spare"}
    )
    assert answer["location"] == page_of(run)
    rows = RunThrottle.objects.order_by("factor").values_list("factor", "limit", "actor", "reason")
    assert list(rows) == [
        ("disk_free", 0, "olga", "the standby is a spare"),
        ("replica_lag", 30, "olga", "the standby is a spare"),
    ]
    page = browser.get(page_of(run)).text
    assert "by olga" in page
    assert "the standby is a spare" in page


@pytest.mark.parametrize(
    "form",
    [
        {"reason": "x"},
        {"replica_lag": "5"},
        {"replica_lag": "-1", "reason": "x"},
        {"disk_free": "101", "reason": "x"},
        {"replica_lag": "nan", "reason": "x"},
    ],
)
def test_a_form_that_makes_no_sense_changes_nothing(run, browser_with, form):
    answer = browser_with(*OPERATOR).post(limits_of(run), form)
    assert answer.status_code == 200
    assert "errorlist" in answer.text
    assert not RunThrottle.objects.exists()


def test_without_operate_run_there_is_neither_link_nor_form(run, browser_with):
    browser = browser_with("view_run", name="vera")
    assert limits_of(run) not in browser.get(page_of(run)).text
    assert browser.get(limits_of(run)).status_code == 403
    assert browser.post(limits_of(run), {"replica_lag": "30", "reason": "x"}).status_code == 403
    assert not RunThrottle.objects.exists()


def test_a_plan_that_may_start_shows_what_the_run_would_meet(plan, browser_with):
    browser = browser_with(*OPERATOR)
    address = reverse("admin:stageapp_plan_change", args=[plan.pk])
    assert "normalize_stage() exists" in browser.get(address).text
    runs.start(plan.run, actor="ann", reason="go")
    assert "normalize_stage() exists" not in browser.get(address).text
