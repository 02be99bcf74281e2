"""What has arrived, by slots; and how windows become hours, whatever happens on the way."""

import datetime
import threading
import uuid

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from stageapp import conf
from stageapp.models.traffic import TrafficHour, TrafficWindow
from stageapp.traffic import history as traffic_history
from stageapp.traffic.history import Slot, Step, by_day, history, reasons, roll_up

NOW = datetime.datetime(2030, 6, 15, 12, 34, 56, tzinfo=datetime.UTC)
DAY, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)
NOON = NOW.replace(minute=0, second=0)


def window(
    at, requests=1, mode="warn", verdict="canonical", endpoint="simulate", process=None, **counts
):
    return TrafficWindow.objects.create(
        process=process or uuid.uuid4(),
        started_at=Step.WINDOW.floor(at),
        endpoint=endpoint,
        mode=mode,
        verdict=verdict,
        requests=requests,
        **counts,
    )


def totals(model):
    return model.objects.aggregate(sum=Sum("requests"))["sum"] or 0


def rows(step, **more):
    return [
        (slot.started_at, slot.requests)
        for slot in history(step, NOON - 3 * DAY, NOON + DAY, **more)
    ]


# --- slots


@pytest.mark.django_db
def test_a_slot_sums_processes_endpoints_verdicts_and_modes():
    window(NOON, 5)
    window(NOON, 3, mode="enforce", verdict="unknown", rejects=3, slow=1)
    window(NOON, 2, endpoint="allocations", errors=1)
    window(NOON, 4, verdict="malformed", rejects=4)
    found = history(Step.WINDOW, NOON, NOON + HOUR)
    assert found == [Slot(NOON, requests=14, judged=10, unknown=3, rejects=3, errors=1, slow=1)]


@pytest.mark.django_db
def test_it_can_keep_to_one_effective_mode():
    window(NOON, 5)
    window(NOON, 3, mode="enforce")
    assert rows(Step.MINUTE, mode="enforce") == [(NOON, 3)]
    assert rows(Step.MINUTE) == [(NOON, 8)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "step, expected",
    [
        (Step.WINDOW, [(0, 1), (10, 2), (60, 3), (3600, 4)]),
        (Step.MINUTE, [(0, 3), (60, 3), (3600, 4)]),
        (Step.HOUR, [(0, 6), (3600, 4)]),
        (Step.DAY, [(-12 * 3600, 10)]),
    ],
)
def test_the_same_windows_by_every_step(step, expected):
    for seconds, requests in ((0, 1), (10, 2), (60, 3), (3600, 4)):
        window(NOON + datetime.timedelta(seconds=seconds), requests)
    assert rows(step) == [
        (NOON + datetime.timedelta(seconds=seconds), requests) for seconds, requests in expected
    ]


@pytest.mark.django_db
def test_days_made_of_hours_are_the_days():
    for hours in range(60):
        window(
            NOW - hours * HOUR,
            hours,
            verdict="unknown" if hours % 3 else "canonical",
            errors=1,
            slow=2,
        )
    bounds = (Step.DAY.floor(NOW - 3 * DAY), NOW)
    assert by_day(history(Step.HOUR, *bounds)) == history(Step.DAY, *bounds)


@pytest.mark.django_db
def test_the_first_bound_belongs_to_it_and_the_last_does_not():
    for at in (NOON - HOUR, NOON, NOON + HOUR):
        window(at)
    assert [slot.started_at for slot in history(Step.HOUR, NOON, NOON + HOUR)] == [NOON]


@pytest.mark.django_db
def test_without_traffic_there_are_no_slots():
    assert history(Step.DAY, NOON - DAY, NOON) == []


@pytest.mark.django_db
def test_unknown_requests_are_known_by_reason_before_and_after_the_roll_up():
    window(NOON - 2 * DAY, 3, verdict="unknown", reasons={"junk": 2, "blank": 1})
    window(NOON - 2 * DAY, 1, verdict="unknown", reasons={"junk": 1})
    window(NOON, 1, verdict="unknown", reasons={"blank": 1})
    for _ in range(2):
        assert reasons(NOON - 3 * DAY, NOON + HOUR) == {"junk": 3, "blank": 2}
        roll_up(NOW)
    assert TrafficHour.objects.get().reasons == {"junk": 3, "blank": 1}


@pytest.mark.django_db
def test_a_day_is_one_of_utc_wherever_the_server_stands_and_whenever_its_clocks_are_changed(
    settings,
):
    """On 10 March 2030 New York sets its clocks forward, and its day has 23 hours."""
    settings.TIME_ZONE = "America/New_York"
    first = datetime.datetime(2030, 3, 9, tzinfo=datetime.UTC)
    for hours in range(3 * 24):
        window(first + hours * HOUR)
    expected = [(first + days * DAY, 24) for days in range(3)]
    for found in (
        history(Step.DAY, first, first + 3 * DAY),
        by_day(history(Step.HOUR, first, first + 3 * DAY)),
    ):
        assert [(slot.started_at, slot.requests) for slot in found] == expected


# --- roll-up


@pytest.mark.django_db
def test_windows_become_hours_when_their_hour_is_a_day_old():
    kept = window(NOW - DAY)
    window(NOON - DAY - datetime.timedelta(seconds=10), 2)
    window(NOON - DAY - HOUR, 3, verdict="unknown")
    assert roll_up(NOW) == 2
    assert list(TrafficWindow.objects.all()) == [kept]
    found = TrafficHour.objects.order_by("verdict").values_list("started_at", "verdict", "requests")
    assert list(found) == [(NOON - DAY - HOUR, "canonical", 2), (NOON - DAY - HOUR, "unknown", 3)]


@pytest.mark.django_db
def test_a_window_belongs_to_the_hour_in_which_it_begins():
    first = NOON - 2 * DAY
    for seconds, requests in ((0, 1), (3590, 2), (3600, 4)):
        window(first + datetime.timedelta(seconds=seconds), requests)
    roll_up(NOW)
    found = TrafficHour.objects.order_by("started_at").values_list("started_at", "requests")
    assert list(found) == [(first, 3), (first + HOUR, 4)]


@pytest.mark.django_db
def test_hours_and_days_read_the_same_before_and_after():
    for hours in range(60):
        window(
            NOW - hours * HOUR, hours + 1, verdict="unknown" if hours % 3 else "canonical", slow=1
        )
    before = [rows(step) for step in (Step.HOUR, Step.DAY)]
    assert roll_up(NOW) > 30
    assert [rows(step) for step in (Step.HOUR, Step.DAY)] == before


@pytest.mark.django_db
def test_repeating_it_changes_nothing_and_a_window_that_comes_late_is_added():
    window(NOW - 2 * DAY, 5, errors=1)
    assert [roll_up(NOW), roll_up(NOW), totals(TrafficHour)] == [1, 0, 5]
    window(NOW - 2 * DAY, 2, errors=1, slow=1)
    assert roll_up(NOW) == 1
    hour = TrafficHour.objects.get()
    assert (hour.requests, hour.errors, hour.slow) == (7, 2, 1)


@pytest.mark.django_db(transaction=True)
def test_one_that_is_cut_off_before_its_commit_leaves_the_windows_for_the_next():
    window(NOW - 2 * DAY, 5)
    with transaction.atomic():
        assert roll_up(NOW) == 1
        transaction.set_rollback(True)
    assert (totals(TrafficWindow), totals(TrafficHour)) == (5, 0)
    assert roll_up(NOW) == 1
    assert (totals(TrafficWindow), totals(TrafficHour)) == (0, 5)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_count_nothing_twice():
    for number in range(300):
        window(NOW - 2 * DAY - number * HOUR / 10, 1)
    barrier = threading.Barrier(2)

    def go():
        barrier.wait(timeout=10)
        roll_up(NOW)
        connection.close()

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (totals(TrafficWindow), totals(TrafficHour)) == (0, 300)


def test_hours_are_kept_for_longer_than_a_gate_may_look_back():
    assert conf.gates().warn_max_days < traffic_history.RETENTION_DAYS


@pytest.mark.django_db
def test_hours_are_kept_for_35_days():
    for days in (34, 36):
        window(NOW - days * DAY)
    roll_up(NOW)
    assert traffic_history.forget_old(NOW) == 1
    assert TrafficHour.objects.get().started_at == NOON - 34 * DAY
