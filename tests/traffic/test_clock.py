"""Clocks that are wrong, or are set: windows are of PostgreSQL's, and no count is lost or
written over.
"""

import datetime
import time

import pytest
from django.db import Error
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from stageapp.models.traffic import TrafficWindow
from stageapp.traffic import windows
from tests.traffic.test_windows import NOW, clock, count, refuse, stored  # noqa: F401  the fixture is used by all


@pytest.mark.django_db
@pytest.mark.parametrize("jumps", [[-3600], [3600, -3600], [-3600, 3600, -3600]])
def test_a_clock_that_is_set_back_lowers_no_count_and_files_the_new_ones_under_their_time(
    clock,  # noqa: F811
    jumps,
):
    counted = 0
    for jump in [0, *jumps]:
        clock.now += jump
        for _ in range(6):
            count(5)
            windows.flush()
            clock.now += 10
            counted += 5
        assert stored() == counted
    assert set(TrafficWindow.objects.values_list("requests", flat=True)) == {5}


@pytest.mark.django_db
def test_what_was_not_written_before_the_clock_was_set_back_is_written_after_it(clock, monkeypatch):  # noqa: F811
    count(5)
    windows.flush()
    clock.now += 60
    windows.flush()  # drops the first window
    count(3)
    with monkeypatch.context() as patch:
        patch.setattr(TrafficWindow.objects, "bulk_create", refuse)
        with pytest.raises(Error):
            windows.flush()
    clock.now -= 60
    count(2)
    windows.flush()
    assert stored() == 10


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [-3600, -300, 45, 7200])
def test_windows_are_of_the_clock_of_postgres_whatever_the_process_says(clock, monkeypatch, wrong):  # noqa: F811
    clock.now = time.time() + wrong
    windows.learn_the_time()
    count(3)
    windows.flush()
    told = TrafficWindow.objects.annotate(age=Now() - F("started_at")).values_list("age", flat=True)
    assert [
        datetime.timedelta(seconds=-1) <= age <= datetime.timedelta(seconds=30) for age in told
    ] == [True]
    monkeypatch.setattr(
        timezone, "now", lambda: datetime.datetime.fromtimestamp(clock.now, datetime.UTC)
    )
    assert abs(windows.now().timestamp() - time.time()) < 5


@pytest.mark.django_db
def test_an_answer_that_took_long_teaches_no_time(clock, monkeypatch):  # noqa: F811
    monkeypatch.setattr(clock, "time", iter([NOW, NOW + 1.5]).__next__)
    windows.learn_the_time()
    assert windows.buffer.ahead == 0
