"""What the gates are given from PostgreSQL is what happened there."""

import datetime

import pytest
from django.utils import timezone

from stageapp import conf
from stageapp.mode import store
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from stageapp.people import Person
from stageapp.rollout import canary, timeline
from stageapp.rollout.gates import judging
from stageapp.rollout.gates.measures import BackupFact
from stageapp.traffic.history import Step
from stageapp.unknowns import drift
from tests.traffic.test_history import window

pytestmark = pytest.mark.django_db
TARGET = "stageapp.PortfolioCompany.stage"
ANN = Person("ann")
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def planned(settings):
    """Return a function that makes a plan over one company and returns its run."""
    settings.STAGE_BATCH_PAUSE_SECONDS = 0.0
    PortfolioCompany.objects.create(fund=Fund.objects.create(name="F"), name="C", stage="Series A")
    return lambda: plans.make_plan(TARGET, actor="ann").run


def test_before_anything_happened_there_is_nothing(now):
    found = judging.read(now)
    assert (
        list(found.days),
        list(found.minutes),
        found.done_sample,
        found.audit,
        found.backup,
    ) == (
        [],
        [],
        0,
        None,
        BackupFact(),
    )
    assert [(it.target, it.run, it.missing) for it in found.proofs] == [(TARGET, None, True)]
    assert found.mode.changes == ()


def test_a_plan_that_nobody_has_started_is_no_run(now, planned):
    planned()
    (found,) = judging.read(now).proofs
    assert (found.run, found.missing, found.sentence) == (None, True, "No run has started.")


def test_the_newest_run_that_has_begun_counts_with_its_verification(now, planned):
    run = planned()

    def proof():
        (found,) = judging.read(timezone.now()).proofs
        return found.run, found.stands, found.sentence

    runs.start(run, actor="ann", reason="a test")
    assert proof() == (run, False, f"Run {run.pk} is running.")
    worker.advance(run)
    assert proof()[:2] == (run, False)
    assert "has not read the rows yet; the scheduler (beat) starts it every 60 s" in proof()[2]
    drift.watch()
    assert proof()[:2] == (run, True)
    planned()
    assert proof()[:2] == (run, True)


def test_days_are_whole_and_hours_reach_until_now(now):
    today = Step.DAY.floor(now)
    for at in (today - HOUR, today - 8 * 24 * HOUR, now - HOUR / 60):
        window(at, 5)
    found = judging.read(now)
    assert [slot.started_at for slot in found.days] == [today - 24 * HOUR]
    assert sum(slot.requests for slot in found.hours) == 10


def test_minutes_and_the_last_day_are_those_that_met_enforce(now):
    window(now - HOUR / 30, 5, mode="enforce")
    window(now - HOUR / 30, 7, mode="warn")
    window(now - 5 * HOUR, 3, mode="enforce")
    for mode, percent in (("warn", 100), ("enforce", 50)):
        store.change(mode=mode, percent=percent, actor="ann", reason="a test")
        assert judging.read(now).done_sample == 0
    store.change(mode="enforce", actor="ann", reason="a test")
    found = judging.read(now)
    assert sum(slot.requests for slot in found.minutes) == 5
    assert found.done_sample == 8


def test_who_is_pinned_out_and_who_still_sends_unknown_values_are_named(now):
    for consumer, place in (("late", "out"), ("early", "in"), ("back", "out"), ("back", "free")):
        canary.pin(consumer, place, person=ANN, reason="a test")
    for consumer, days, outcome in (
        ("old", 9, "unknown"),
        ("bad", 1, "unknown"),
        ("good", 1, "canonical"),
    ):
        day = now.date() - datetime.timedelta(days=days)
        ConsumerSighting.objects.create(
            consumer=consumer, day=day, endpoint="e", key="k", outcome=outcome, count=1
        )
    found = judging.read(now)
    assert list(found.pinned_out) == ["late"]
    assert list(found.still_unknown) == ["bad"]


def test_the_newest_audit_and_warn_period_count(now):
    store.change(mode="warn", actor="ann", reason="begin")
    first, second = (timeline.begin_warn_period(ANN, "again") for _ in range(2))
    timeline.record_audit(ANN, "first")
    timeline.record_audit(Person("ben"), "second")
    found = judging.read(now)
    assert found.audit.actor == "ben"
    assert first.created_at < second.created_at == found.mode.warn_period()


def test_it_asks_few_questions(now, django_assert_max_num_queries):
    with django_assert_max_num_queries(15):
        judging.read(now)


def test_more_days_are_read_where_the_gate_wants_more(now, settings):
    settings.STAGE_GATE_WARN_DAYS = 10
    window(Step.DAY.floor(now) - 10 * 24 * HOUR, 5)
    assert conf.gates().warn_days == 10
    assert len(judging.read(now).days) == 1
