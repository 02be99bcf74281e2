"""Traffic windows: absolute counts under a process's own id, whatever happens to the process."""

import datetime
import os
import threading
import time

import pytest
from django.db import Error
from django.db.models import Sum
from django.utils import timezone

from stageapp.infrastructure import events
from stageapp.models.traffic import TrafficWindow
from stageapp.traffic import windows as traffic
from stageapp.traffic.windows import Summary
from tests.processes import database_url, process

NOW = 1_900_000_000


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Begin with no counts, at a time that the test moves."""

    class Clock:
        now = float(NOW)

        def time(self):
            return self.now

    traffic.buffer.forget()
    clock = Clock()
    monkeypatch.setattr(traffic, "time", clock)
    yield clock
    traffic.buffer.forget()


def count(times=1, endpoint="simulate", mode="warn", verdict="canonical", **flags):
    for _ in range(times):
        traffic.count(endpoint=endpoint, mode=mode, verdict=verdict, **flags)


def stored(name="requests", **only):
    return TrafficWindow.objects.filter(**only).aggregate(sum=Sum(name))["sum"] or 0


def refuse(*_, **__):
    raise Error("PostgreSQL is away")


def test_counting_does_no_io(django_assert_num_queries, db):
    with django_assert_num_queries(0):
        count(1000)


@pytest.mark.django_db
def test_a_window_is_ten_seconds_of_one_endpoint_mode_and_verdict(clock):
    count(2)
    count(1, verdict="unknown")
    count(1, mode="enforce")
    count(1, endpoint="allocations")
    clock.now += 9.9
    count(3)
    clock.now += 0.1
    count(4)
    traffic.flush()
    assert TrafficWindow.objects.count() == 5
    windows = TrafficWindow.objects.filter(endpoint="simulate", mode="warn", verdict="canonical")
    start = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    assert list(windows.order_by("started_at").values_list("started_at", "requests")) == [
        (start, 5),
        (start + datetime.timedelta(seconds=10), 4),
    ]


@pytest.mark.django_db
def test_rejects_errors_and_slow_validations_are_counted_beside_the_requests():
    count(5)
    count(1, rejected=True)
    count(2, error=True, slow=True)
    traffic.flush()
    window = TrafficWindow.objects.get()
    assert (window.requests, window.rejects, window.errors, window.slow) == (8, 1, 2, 2)


@pytest.mark.django_db
def test_flushing_twice_changes_nothing_and_counting_on_adds_up():
    count(3)
    traffic.flush()
    traffic.flush()
    assert stored() == 3
    count(2)
    traffic.flush()
    assert stored() == 5
    assert TrafficWindow.objects.count() == 1


@pytest.mark.django_db
def test_a_flush_with_nothing_new_asks_nothing_of_the_database(django_assert_num_queries):
    count()
    traffic.flush()
    with django_assert_num_queries(0):
        traffic.flush()


@pytest.mark.django_db
def test_an_old_window_is_dropped_from_memory_only_after_it_is_written(clock):
    count(3)
    clock.now += 3600
    traffic.flush()
    assert stored() == 3
    assert len(traffic.buffer) == 0
    count(2)
    traffic.flush()
    assert stored() == 5


@pytest.mark.django_db
def test_a_flush_that_fails_keeps_its_counts_for_the_next_one(monkeypatch):
    count(3)
    with monkeypatch.context() as patch:
        patch.setattr(TrafficWindow.objects, "bulk_create", refuse)
        with pytest.raises(Error):
            traffic.flush()
        count(2)
        with pytest.raises(Error):
            traffic.flush()
    assert stored() == 0
    traffic.flush()
    assert stored() == 5


@pytest.mark.django_db
def test_unknown_requests_are_counted_by_reason_within_a_bound():
    count(3, verdict="unknown", reasons={"junk", "blank"})
    count(2, verdict="unknown", reasons={"junk"})
    for number in range(100):
        count(verdict="unknown", reasons={f"reason {number}"})
    traffic.flush()
    found = TrafficWindow.objects.get().reasons
    assert (found["junk"], found["blank"]) == (5, 3)
    assert len(found) == traffic._MOST_REASONS + 1
    assert found["other"] == 100 - (traffic._MOST_REASONS - 2)


@pytest.mark.django_db
def test_what_postgres_does_not_take_for_hours_is_given_up_loudly_and_memory_stays_bounded(
    clock, monkeypatch
):
    lost = []
    monkeypatch.setattr(events, "traffic_lost", lambda **fields: lost.append(fields["requests"]))
    count(3)
    with monkeypatch.context() as patch:
        patch.setattr(TrafficWindow.objects, "bulk_create", refuse)
        clock.now += traffic.GIVE_UP_SECONDS - 10
        count(2)
        with pytest.raises(Error):
            traffic.flush()
        assert lost == []
        clock.now += 20
        with pytest.raises(Error):
            traffic.flush()
    assert lost == [3]
    assert len(traffic.buffer) == 1
    traffic.flush()
    assert stored() == 2


@pytest.mark.django_db
def test_given_up_is_only_what_was_not_written_and_nothing_stays_in_memory(clock, monkeypatch):
    lost = []
    monkeypatch.setattr(events, "traffic_lost", lambda **fields: lost.append(fields["requests"]))
    count(3)
    traffic.flush()
    count(2)
    monkeypatch.setattr(TrafficWindow.objects, "bulk_create", refuse)
    clock.now += traffic.GIVE_UP_SECONDS + 20
    with pytest.raises(Error, match="away"):
        traffic.flush()
    assert lost == [2]
    assert (stored(), len(traffic.buffer), traffic.buffer._written) == (3, 0, {})


@pytest.mark.django_db
def test_beyond_the_bound_requests_are_counted_by_the_hour(clock, monkeypatch):
    monkeypatch.setattr(traffic.buffer, "most", 2)
    clock.now += 3600 - NOW % 3600  # the hour begins
    began = clock.now
    for _ in range(5):
        clock.now += 10
        count(3)
    assert len(traffic.buffer) == 3
    traffic.flush()
    windows = TrafficWindow.objects.order_by("started_at").values_list("started_at", "requests")
    assert [(start.timestamp() - began, requests) for start, requests in windows] == [
        (0, 9),
        (10, 3),
        (20, 3),
    ]


@pytest.mark.django_db
def test_a_write_that_fails_after_it_was_committed_counts_nothing_twice(clock, monkeypatch):
    count(3)
    write = TrafficWindow.objects.bulk_create

    def write_and_fail(*rows, **how):
        write(*rows, **how)
        raise Error("the connection was cut at COMMIT")

    with monkeypatch.context() as patch:
        patch.setattr(TrafficWindow.objects, "bulk_create", write_and_fail)
        with pytest.raises(Error, match="COMMIT"):
            traffic.flush()
    assert stored() == 3
    clock.now += 600
    count(1)
    traffic.flush()  # drops the window of before
    clock.now -= 600
    count(2)
    traffic.flush()
    assert stored() == 6


@pytest.mark.django_db
def test_threads_sum_up():
    threads = [threading.Thread(target=count, args=(2000,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    traffic.flush()
    assert stored() == 8000


@pytest.mark.django_db
def test_processes_sum_up():
    count(3)
    traffic.flush()
    traffic.buffer.forget()
    count(4)
    traffic.flush()
    assert stored() == 7
    assert TrafficWindow.objects.count() == 2


@pytest.mark.django_db
def test_a_forked_child_begins_anew_under_its_own_id():
    count(3)
    parent = traffic.buffer.id
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, f"{traffic.buffer.id} {len(traffic.buffer)}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        its_id, its_counts = pipe.read().split()
    assert its_id != str(parent)
    assert its_counts == "0"
    assert traffic.buffer.id == parent
    traffic.flush()
    assert stored() == 3


# --- at the end of a real process


LEAVE = """
modes.current()
for _ in range(7):
    traffic.count(endpoint="leaving", mode="warn", verdict="unknown")
{then}
"""
FORK = """
traffic.count(endpoint="leaving", mode="warn", verdict="unknown")
child = os.fork()
traffic.count(endpoint="leaving", mode="warn", verdict="unknown")
modes.current()
if child:
    os.waitpid(child, 0)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("then", ["", "sys.exit(3)", "raise RuntimeError('a crash of the code')"])
def test_a_process_that_ends_writes_its_last_counts(then):
    with process(LEAVE.format(then=then), DATABASE_URL=database_url()) as leaving:
        leaving.end()
    assert stored(endpoint="leaving") == 7


COUNT_ON = """
modes.current()
counted = 0
for line in sys.stdin:
    for _ in range(int(line)):
        traffic.count(endpoint="killed", mode="warn", verdict="unknown", reasons=["junk"])
        counted += 1
    say(counted=counted)
"""


@pytest.mark.django_db(transaction=True)
def test_a_killed_process_loses_at_most_what_it_counted_since_its_last_flush():
    with process(COUNT_ON, DATABASE_URL=database_url(), STAGE_REFRESH_SECONDS="0.5") as doomed:
        doomed.ask("1000")
        deadline = time.monotonic() + 20
        while stored(endpoint="killed") < 1000:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert doomed.ask("70")["counted"] == 1070
        doomed.popen.kill()
        doomed.popen.wait()
    assert stored(endpoint="killed") in range(1000, 1071)
    reasons = TrafficWindow.objects.filter(endpoint="killed").values_list("reasons", flat=True)
    assert sum(window["junk"] for window in reasons) == stored(endpoint="killed")


@pytest.mark.django_db(transaction=True)
def test_parent_and_forked_child_count_nothing_twice():
    with process(FORK, DATABASE_URL=database_url()) as parent:
        assert parent.end() == 0
    assert stored(endpoint="leaving") == 3
    assert (
        TrafficWindow.objects.filter(endpoint="leaving").values("process").distinct().count() == 2
    )


# --- what the traffic would have met


def test_the_outcomes_of_every_mode_follow_from_the_verdicts():
    summary = Summary(canonical=10, normalized=20, unknown=30, malformed=40)
    assert summary.total == 100
    assert summary.outcomes == {
        "off": {"accepted": 60, "warned": 0, "rejected": 40},
        "warn": {"accepted": 10, "warned": 50, "rejected": 40},
        "enforce": {"accepted": 10, "warned": 20, "rejected": 70},
    }
    assert {sum(outcome.values()) for outcome in summary.outcomes.values()} == {100}


@pytest.mark.django_db
def test_the_summary_counts_the_last_day_over_all_processes(clock):
    now = timezone.now().timestamp()
    for age, times in ((0, 2), (23 * 3600, 3), (25 * 3600, 100)):
        traffic.buffer.forget()
        clock.now = now - age
        count(times, verdict="unknown")
        count(times, verdict="malformed", rejected=True)
        traffic.flush()
    assert traffic.summary() == Summary(unknown=5, malformed=5)
    assert traffic.summary(datetime.timedelta(hours=1)) == Summary(unknown=2, malformed=2)


@pytest.mark.django_db
def test_no_traffic_is_an_empty_summary():
    assert traffic.summary() == Summary()
    assert traffic.summary().total == 0


@pytest.mark.django_db
def test_whatever_a_flush_fails_with_its_counts_stay(monkeypatch):
    count(3)
    with monkeypatch.context() as patch:
        patch.setattr(TrafficWindow.objects, "bulk_create", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            traffic.flush()
    traffic.flush()
    assert stored() == 3
