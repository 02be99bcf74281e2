"""Planned steps: taken after their dwell while the gates pass, cancelled by whatever was not
planned.
"""

import pytest

from stageapp.mode import store
from stageapp.mode.store import ModeError
from stageapp.models.rollout import PlannedStep
from stageapp.rollout import schedule, steps
from stageapp.rollout.changes import downgrade
from stageapp.rollout.errors import SecondPersonNeeded
from stageapp.rollout.schedule import ScheduleError
from stageapp.traffic import windows
from tests.rollout.conftest import ANN, BEN, ask

pytestmark = pytest.mark.django_db


@pytest.fixture
def canary(set_mode):
    set_mode("warn")
    set_mode("enforce", 10)


@pytest.fixture
def green(clock, arrive):
    """Return a function that lets minutes pass, each with enforced requests and none unknown."""

    def pass_by(minutes, **each):
        for _ in range(minutes):
            arrive(20, **each)
            clock.move(minutes=1)

    return pass_by


def statuses():
    return list(PlannedStep.objects.values_list("percent", "status"))


def test_steps_are_taken_one_after_the_other(canary, clock, green):
    schedule.plan_steps(ANN, "green only")
    clock.move(hours=1, minutes=29)
    green(31)
    row = schedule.take_next()
    assert (row.percent, row.kind, row.actor, row.reason) == (
        50,
        "scheduled",
        "planned by ann",
        "green only",
    )
    assert schedule.take_next() is None  # the next one has its own dwell
    clock.move(hours=3, minutes=29)
    green(32)
    assert schedule.take_next().percent == 100
    assert statuses() == [(50, "done"), (100, "done")]
    assert schedule.take_next() is None


@pytest.mark.parametrize("each", [{"unknown": 1}, {"error": True}, {"slow": True}])
def test_a_step_waits_while_a_minute_is_not_green(each, canary, clock, green):
    schedule.plan_steps(ANN, "green only")
    clock.move(hours=3)
    green(10)
    green(1, **each)
    green(20)
    assert schedule.take_next() is None
    assert statuses() == [(50, "waiting"), (100, "waiting")]
    green(11)
    assert schedule.take_next().percent == 50


def test_a_step_waits_without_traffic(canary, clock):
    schedule.plan_steps(ANN, "green only")
    clock.move(days=3)
    assert schedule.take_next() is None
    assert store.latest().percent == 10


@pytest.mark.parametrize(
    "disturb",
    [
        lambda: ask("enforce", 5),
        lambda: ask("warn"),
        lambda: ask("enforce", 10),
        lambda: downgrade(actor="guard", reason="too many"),
        lambda: store.change(mode="warn", actor="webhook", reason="an alert", kind="downgrade"),
        lambda: store.change(mode="enforce", percent=10, actor="somebody", reason="past the rules"),
    ],
)
def test_any_other_change_cancels_what_is_planned(disturb, canary, clock, green):
    schedule.plan_steps(ANN, "green only")
    clock.move(hours=3)
    green(31)
    disturb()
    before = store.latest()
    assert schedule.take_next() is None
    assert store.latest() == before
    assert statuses() == [(50, "cancelled"), (100, "cancelled")]
    assert steps.to_come() == []


def test_a_change_cancels_at_once_and_says_whose_it_was(canary):
    schedule.plan_steps(ANN, "green only")
    ask("enforce", 5, person=BEN)
    ended = set(PlannedStep.objects.values_list("status", "ended_why"))
    assert ended == {("cancelled", "ben changed the mode to enforce 5 % (manual)")}


def test_on_a_machine_whose_clock_is_behind_old_green_minutes_open_no_gate(
    canary, clock, green, monkeypatch
):
    """The worker has learned how far PostgreSQL's clock is ahead, and so knows that the green
    minutes are over.
    """
    schedule.plan_steps(ANN, "green only")
    clock.move(hours=2)
    green(31)
    green(10, unknown=9)
    clock.move(minutes=-10)
    monkeypatch.setattr(windows.buffer, "ahead", 600.0)
    assert schedule.take_next() is None
    monkeypatch.setattr(windows.buffer, "ahead", 0.0)
    assert schedule.take_next().percent == 50


def test_planning_anew_replaces_what_was_planned(canary):
    schedule.plan_steps(ANN, "first")
    schedule.plan_steps(BEN, "second", [20, 40])
    assert [(step.percent, step.actor) for step in steps.to_come()] == [(20, "ben"), (40, "ben")]


@pytest.mark.parametrize("percents", [[], [10], [5], [50, 50], [100, 50], [50, 101]])
def test_steps_have_to_rise(percents, canary):
    with pytest.raises(ScheduleError, match="ascending percentages, above 10 and at most 100"):
        schedule.plan_steps(ANN, "why", percents)


@pytest.mark.parametrize("mode, percent", [("off", 100), ("warn", 100), ("enforce", 100)])
def test_the_first_share_is_set_by_a_person(mode, percent, set_mode):
    set_mode(mode, percent)
    with pytest.raises(ScheduleError, match="Set the first share by hand"):
        schedule.plan_steps(ANN, "why")


def test_a_plan_needs_a_reason(canary):
    with pytest.raises(ModeError, match="reason"):
        schedule.plan_steps(ANN, " ")
    assert not PlannedStep.objects.exists()


def test_with_the_two_person_rule_steps_wait_for_somebody_else(canary, clock, green, settings):
    settings.STAGE_TWO_PERSON_RULE = True
    schedule.plan_steps(ANN, "green only", [50])
    clock.move(hours=3)
    green(31)
    assert schedule.take_next() is None
    with pytest.raises(SecondPersonNeeded):
        schedule.approve_steps(ANN)
    assert schedule.approve_steps(BEN) == 1
    row = schedule.take_next()
    assert "Approved by ben" in row.reason


def test_a_plan_from_before_the_two_person_rule_is_cancelled(canary, clock, green, settings):
    schedule.plan_steps(ANN, "green only", [50])
    settings.STAGE_TWO_PERSON_RULE = True
    clock.move(hours=3)
    green(31)
    assert schedule.take_next() is None
    assert statuses() == [(50, "cancelled")]


def test_nothing_waits_for_an_approval(canary):
    with pytest.raises(ScheduleError, match="No planned step"):
        schedule.approve_steps(BEN)


def test_why_steps_were_approved_is_kept_with_why_they_were_planned(canary, settings):
    settings.STAGE_TWO_PERSON_RULE = True
    schedule.plan_steps(ANN, "green only")
    schedule.approve_steps(BEN, " I looked ")
    assert set(PlannedStep.objects.values_list("reason", flat=True)) == {
        "green only\nben: I looked"
    }
