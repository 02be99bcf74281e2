"""Plan, start, pause, cancel and roll back, as an operator does it."""

import pytest
from django.urls import reverse

from config import celery
from stageapp.admin.run_actions import ACTIONS
from stageapp.models import Plan, PortfolioCompany, Run
from stageapp.models.normalization import MOVES, State
from stageapp.normalization import runs, worker
from tests.admin.conftest import TARGET

OPERATOR = ["view_plan", "view_run", "view_auditentry", "plan_run", "operate_run", "rollback_run"]


def do(run, name):
    return reverse("admin:stageapp_run_do", args=[run.pk, name])


def page_of(run):
    return reverse("admin:stageapp_run_change", args=[run.pk])


def stages():
    return list(PortfolioCompany.objects.order_by("id").values_list("stage", flat=True))


@pytest.fixture
def nudges(monkeypatch):
    """Record which runs a worker was asked to take up."""
    asked = []
    monkeypatch.setattr("stageapp.tasks.advance_run.delay", asked.append)
    return asked


@pytest.mark.django_db
def test_an_operator_plans_starts_and_rolls_back(companies, browser_with, nudges, post, settings):
    settings.STAGE_BATCH_PAUSE_SECONDS = 0
    browser = browser_with(*OPERATOR, name="olga")
    before = stages()

    made = browser.post(reverse("admin:stageapp_plan_make"), {"target": TARGET}, follow=True)
    run = Plan.objects.get().run
    assert made.context["plan"].rows_to_change == 3
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made.text

    assert "planned. The run can be paused" in browser.get(do(run, "start")).text
    assert Run.objects.get().state == State.PLANNED
    started = post(browser, do(run, "start"), {"reason": "looked at with the team"}, follow=True)
    assert "Started." in started.text
    assert nudges == [run.pk]

    worker.advance(Run.objects.get())
    assert stages() == ["seed", "seed", "series_a", "series_a", *before[4:]]
    done = browser.get(page_of(run))
    assert "rows and audit log agree" in done.text
    assert "looked at with the team" in done.text
    log = browser.get(reverse("admin:stageapp_auditentry_changelist"), {"run": run.pk})
    assert "&#x27;Series-A &#x27;" in log.text

    post(browser, do(run, "rollback"), {"reason": "wrong fund"})
    assert nudges == [run.pk, run.pk]
    worker.advance(Run.objects.get())
    assert stages() == before
    assert Run.objects.get().state == State.ROLLED_BACK
    assert list(run.moves.filter(actor="olga").values_list("new_state", flat=True)) == [
        State.PLANNED,
        State.APPROVED,
        State.RUNNING,
        State.ROLLING_BACK,
    ]


@pytest.mark.django_db
def test_starting_sends_a_message_that_names_the_run(plan, browser_with, post):
    with celery.app.connection_for_write() as broker:
        queue = broker.SimpleQueue("celery")
        queue.clear()
        post(browser_with(*OPERATOR), do(plan.run, "start"), {"reason": "go"})
        message = queue.get(timeout=5)
        message.ack()
        assert message.headers["task"] == "stageapp.tasks.advance_run"
        assert message.payload[0] == [plan.run.pk]
        queue.close()


@pytest.mark.django_db
def test_a_run_waits_in_the_database_when_the_broker_is_away(plan, browser_with, monkeypatch, post):
    def away(_):
        raise ConnectionRefusedError

    monkeypatch.setattr("stageapp.tasks.advance_run.delay", away)
    answer = post(browser_with(*OPERATOR), do(plan.run, "start"), {"reason": "go"})
    assert answer.status_code == 302
    assert Run.objects.get().state == State.RUNNING
    assert runs.forgotten() == [plan.run]


@pytest.mark.django_db
@pytest.mark.parametrize("reason", ["", "   "])
def test_without_a_reason_nothing_happens(plan, browser_with, reason):
    answer = browser_with(*OPERATOR).post(do(plan.run, "start"), {"reason": reason})
    assert answer.status_code == 200
    assert Run.objects.get().state == State.PLANNED


@pytest.mark.django_db
@pytest.mark.parametrize("name", ACTIONS)
def test_each_operation_needs_its_own_permission(plan, browser_with, name):
    mine = ACTIONS[name].permission
    others = {operation.permission for operation in ACTIONS.values()} - {mine}
    lacking = browser_with("view_run", *others, name="lacking")
    for method in (lacking.get, lacking.post):
        assert method(do(plan.run, name), {"reason": "go"}).status_code == 403
    assert Run.objects.get().state == State.PLANNED
    assert browser_with("view_run", mine, name="holding").get(do(plan.run, name)).status_code in (
        200,
        302,
    )


def offered_in(browser, run, state):
    Run.objects.filter(pk=run.pk).update(state=state)
    return {button["name"] for button in browser.get(page_of(run)).context["actions"]}


@pytest.mark.django_db
def test_buttons_are_those_that_the_state_table_allows(plan, root, browser_of):
    leads_to = {
        "approve": State.APPROVED,
        "pause": State.PAUSING,
        "resume": State.RUNNING,
        "cancel": State.CANCELLED,
        "rollback": State.ROLLING_BACK,
    }
    for state in State:
        expected = {name for name, new in leads_to.items() if new in MOVES[state]}
        if state in (State.PLANNED, State.APPROVED):
            expected = expected - {"resume"} | {"start"}
        if state == State.ROLLING_BACK:
            expected -= {
                "cancel"
            }  # the worker that ends the rollback of a part moves it back, no person does
        if state in (State.PAUSED, State.DONE, State.FAILED, State.CANCELLED, State.ROLLED_BACK):
            expected |= {"verify"}  # it moves nothing
        assert offered_in(browser_of(root), plan.run, state) == expected, state


@pytest.mark.django_db
def test_an_operation_that_the_state_does_not_allow_is_refused_in_words(plan, browser_with):
    answer = browser_with(*OPERATOR).post(do(plan.run, "pause"), {"reason": "stop"}, follow=True)
    assert "is not possible now." in answer.text
    assert Run.objects.get().state == State.PLANNED


@pytest.mark.django_db
def test_a_refusal_of_the_domain_is_shown(plan, browser_with, settings):
    settings.STAGE_PLAN_MAX_AGE_HOURS = 0
    answer = browser_with(*OPERATOR).post(do(plan.run, "start"), {"reason": "go"}, follow=True)
    assert "Make a new one" in answer.text
    assert Run.objects.get().state == State.PLANNED


@pytest.mark.django_db
def test_the_page_asks_for_progress_only_while_the_run_is_active(plan, browser_with):
    browser = browser_with("view_run")
    fragment = reverse("admin:stageapp_run_progress", args=[plan.run.pk])
    Run.objects.update(state=State.RUNNING)
    running = browser.get(fragment)
    assert f'hx-get="{fragment}"' in running.text
    assert "every 2s" in running.text
    assert "HX-Refresh" not in running
    Run.objects.update(state=State.PAUSED)
    paused = browser.get(fragment)
    assert "hx-get" not in paused.text
    assert paused["HX-Refresh"] == "true"


@pytest.mark.django_db
def test_a_plan_page_asks_the_database_a_bounded_number_of_things(
    plan, browser_with, django_assert_max_num_queries
):
    browser = browser_with("view_plan")
    with django_assert_max_num_queries(50):
        browser.get(reverse("admin:stageapp_plan_change", args=[plan.pk]))


@pytest.mark.django_db
def test_a_target_that_is_not_configured_cannot_be_planned(companies, browser_with):
    answer = browser_with("plan_run").post(
        reverse("admin:stageapp_plan_make"), {"target": "auth.User.email"}
    )
    assert answer.status_code == 200
    assert not Plan.objects.exists()


@pytest.mark.django_db
def test_rows_that_a_rollback_leaves_alone_are_counted_and_listed(
    plan, companies, browser_with, settings
):
    settings.STAGE_BATCH_PAUSE_SECONDS = 0
    run = worker.advance(runs.start(plan.run, actor="ann", reason="go"))
    PortfolioCompany.objects.filter(pk=companies[1].pk).update(stage="series_b")
    worker.advance(runs.request_rollback(run, actor="ann", reason="back"))
    browser = browser_with("view_run")
    left = reverse("admin:stageapp_run_left", args=[run.pk])
    assert left in browser.get(page_of(run)).text
    page = browser.get(left)
    assert [row.row_key for row in page.context["rows"]] == [str(companies[1].pk)]
    assert "&#x27;Seed&#x27;" in page.text
    assert stages()[1] == "series_b"
