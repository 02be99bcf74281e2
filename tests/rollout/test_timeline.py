"""The line of time: everything that was decided, in order, with actor and reason."""

import pytest

from stageapp.rollout import canary, schedule
from stageapp.rollout import timeline as marks
from stageapp.rollout.changes import downgrade
from tests.rollout.conftest import ANN, BEN

pytestmark = pytest.mark.django_db


def test_it_tells_what_was_decided_newest_first(set_mode, clock):
    decisions = [
        lambda: set_mode("warn"),
        lambda: marks.begin_warn_period(ANN, "told them again"),
        lambda: marks.record_audit(BEN, "two are left"),
        lambda: set_mode("enforce", 10),
        lambda: canary.pin("alpha", "out", person=ANN, reason="next week"),
        lambda: schedule.plan_steps(BEN, "green only", [50]),
    ]
    for decide in decisions:
        decide()
        clock.move(minutes=1)
    assert [(entry.what, entry.actor, entry.reason) for entry in marks.entries(10)] == [
        ("Planned step: enforce 50 % (waiting for its gates)", "ben", "green only"),
        ("Pin: alpha out", "ann", "next week"),
        ("Mode: enforce 10 %", "test", "for a test"),
        ("Consumers audited", "ben", "two are left"),
        ("New warn period", "ann", "told them again"),
        ("Mode: warn", "test", "for a test"),
    ]
    assert len(marks.entries(2)) == 2


def test_it_keeps_to_what_one_may_see(set_mode):
    set_mode("warn")
    canary.pin("alpha", "out", person=ANN, reason="next week")
    assert [entry.what for entry in marks.entries(10, {"modechange"})] == ["Mode: warn"]
    assert marks.entries(10, set()) == []


def test_a_downgrade_and_what_it_cancelled_are_told(set_mode, clock):
    set_mode("enforce", 10)
    schedule.plan_steps(ANN, "green only", [50])
    clock.move(minutes=1)
    downgrade(actor="guard", reason="9 of 10 refused")
    newest, *rest = marks.entries(10)
    assert (newest.what, newest.kind) == ("Mode: warn", "downgrade")
    assert any("cancelled: guard changed the mode" in entry.what for entry in rest)
