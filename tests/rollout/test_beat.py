"""What beat sends: every entry is a task, and each of the rollout's does its work."""

import pytest
from django.conf import settings as configured

from config.celery import app
from stageapp import tasks
from stageapp.mode import store
from stageapp.models.traffic import TrafficHour
from stageapp.rollout import schedule
from tests.rollout.conftest import ANN

pytestmark = pytest.mark.django_db


def test_every_entry_of_the_schedule_names_a_task():
    app.loader.import_default_modules()
    named = {entry["task"] for entry in configured.CELERY_BEAT_SCHEDULE.values()}
    assert named <= app.tasks.keys()
    assert {
        f"stageapp.tasks.{name}"
        for name in ("roll_up_traffic", "watch_enforcement", "take_planned_steps")
    } <= named


def test_messages_that_nobody_took_do_not_pile_up():
    entries = [
        entry for entry in configured.CELERY_BEAT_SCHEDULE.values() if entry["schedule"] <= 5
    ]
    assert all(entry["options"]["expires"] <= 30 for entry in entries)


def test_the_guard_takes_enforcement_back(set_mode, clock, arrive):
    set_mode("enforce", 10)
    clock.move(minutes=1)
    for _ in range(3):
        arrive(30, unknown=30)
        clock.move(seconds=10)
    clock.move(seconds=16)
    tasks.watch_enforcement()
    assert store.latest().mode == "warn"


def test_a_planned_step_is_taken(set_mode, clock, arrive):
    set_mode("enforce", 10)
    schedule.plan_steps(ANN, "green only", [50])
    clock.move(hours=2)
    for _ in range(31):
        arrive(20)
        clock.move(minutes=1)
    tasks.take_planned_steps()
    assert store.latest().percent == 50


def test_windows_become_hours_and_old_hours_go(clock, arrive):
    arrive(5, mode="warn")
    clock.move(days=2)
    tasks.roll_up_traffic()
    assert TrafficHour.objects.get().requests == 5
    clock.move(days=35)
    tasks.roll_up_traffic()
    assert not TrafficHour.objects.exists()
