"""The buffer: everything that was counted is written once, whatever a write or a fork does to it."""

import os
import signal
import threading
from dataclasses import dataclass

import pytest
from django.db import Error, connection, transaction
from django.db.models import Sum

from stageapp.consumers import contacts, sightings
from stageapp.infrastructure import events
from stageapp.infrastructure.buffers import Buffer
from stageapp.infrastructure.refresher import name_of, refresher
from stageapp.models import ConsumerContact, ConsumerSighting, WebhookCount
from stageapp.models.traffic import TrafficWindow
from stageapp.traffic import windows
from stageapp.validation import decide
from stageapp.vocabulary import snapshot
from stageapp.webhook import tally
from tests.processes import database_url, process


@dataclass
class Number:
    value: int = 0

    def __add__(self, other):
        return Number(self.value + other.value)


class Numbers(Buffer[str, Number]):
    """Writes into a dictionary; `before_writing` is called first, to fail or to count on."""

    most = 3

    def forget(self):
        super().forget()
        self.stored, self.writes, self.before_writing = {}, 0, lambda: None

    def new(self):
        return Number()

    def beyond(self, key):
        return "others"

    def write(self, taken):
        self.before_writing()
        self.writes += 1
        for key, number in taken.items():
            self.stored[key] = self.stored.get(key, 0) + number.value


_numbers = Numbers()


@pytest.fixture
def numbers():
    _numbers.forget()
    yield _numbers
    _numbers.forget()


def count(buffer, *keys):
    for key in keys:
        with buffer.lock:
            buffer.at(key).value += 1


def test_what_was_counted_is_written_once(numbers):
    count(numbers, "a", "b", "a")
    assert len(numbers) == 2
    for _ in range(2):
        numbers.flush()
    assert numbers.stored == {"a": 2, "b": 1}
    assert (len(numbers), numbers.writes) == (0, 1)


def test_what_is_beyond_the_bound_is_counted_as_such(numbers):
    count(numbers, "a", "b", "c", "d", "e", "a")
    assert numbers.full
    assert len(numbers) == 4
    numbers.flush()
    assert numbers.stored == {"a": 2, "b": 1, "c": 1, "others": 2}
    count(numbers, "d")
    numbers.flush()
    assert numbers.stored["d"] == 1


@pytest.mark.parametrize("fault", [Error("away"), ZeroDivisionError("away"), SystemExit("away")])
def test_whatever_a_write_fails_with_its_counts_add_up_with_what_came_meanwhile(numbers, fault):
    def fail():
        count(numbers, "a", "c")
        raise fault

    count(numbers, "a", "b")
    numbers.before_writing = fail
    with pytest.raises(type(fault), match="away"):
        numbers.flush()
    numbers.before_writing = lambda: None
    count(numbers, "b")
    numbers.flush()
    assert numbers.stored == {"a": 2, "b": 2, "c": 1}


def test_what_is_put_back_keeps_its_room_and_the_bound_holds(numbers):
    def fail():
        count(numbers, "a", "x", "y", "z", "u")
        raise Error("away")

    count(numbers, "a", "b", "c", "d")
    numbers.before_writing = fail
    for _ in range(2):
        with pytest.raises(Error, match="away"):
            numbers.flush()
        assert len(numbers) == 4
    numbers.before_writing = lambda: None
    numbers.flush()
    assert numbers.stored == {"a": 3, "b": 1, "c": 1, "others": 9}


def test_threads_that_count_and_flush_lose_nothing_and_write_nothing_twice(numbers):
    failures = iter(range(10**6))

    def fail_every_other_time():
        if next(failures) % 2:
            raise Error("away")

    def work():
        for _ in range(2000):
            count(numbers, "a", "b")

    def flush_on():
        while not done.is_set():
            try:
                numbers.flush()
            except Error:
                continue

    done = threading.Event()
    numbers.before_writing = fail_every_other_time
    counting = [threading.Thread(target=work) for _ in range(4)]
    flushing = [threading.Thread(target=flush_on) for _ in range(2)]
    for thread in [*flushing, *counting]:
        thread.start()
    for thread in counting:
        thread.join()
    done.set()
    for thread in flushing:
        thread.join()
    numbers.before_writing = lambda: None
    numbers.flush()
    assert numbers.stored == {"a": 8000, "b": 8000}
    assert numbers.writes > 1


def in_a_fork(answer):
    """Return what a forked child answers."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # a lock that its parent held would keep it for good
        os.write(write, str(answer()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        return pipe.read()


def test_a_forked_child_begins_anew_also_while_a_thread_of_its_parent_counts_and_another_flushes(
    numbers,
):
    count(numbers, "a")
    forked = threading.Event()
    writing = threading.Event()

    def hold():
        writing.set()
        with numbers.lock:
            assert forked.wait(20)

    def answer():
        before = len(numbers)
        count(numbers, "b")
        numbers.flush()
        return before, numbers.stored

    numbers.before_writing = hold
    flushing = threading.Thread(target=numbers.flush)
    flushing.start()
    assert writing.wait(20)
    while not numbers.lock.locked():
        pass
    answered = in_a_fork(answer)
    forked.set()
    flushing.join()
    assert answered == "(0, {'b': 1})"
    assert numbers.stored == {"a": 1}


def test_the_refresher_flushes_it_and_the_log_tells_which_one_failed(numbers, monkeypatch):
    failed = []
    monkeypatch.setattr(events, "refresh_job_failed", lambda **fields: failed.append(fields))
    monkeypatch.setattr(refresher, "_fallbacks", [])
    monkeypatch.setattr(refresher, "_jobs", [job for job in refresher._jobs if is_flush(job)])
    count(numbers, "a")
    refresher.run_jobs()
    assert numbers.stored == {"a": 1}
    count(numbers, "a")
    numbers.before_writing = lambda: 1 / 0
    refresher.run_jobs()
    assert [each["job"] for each in failed] == ["Numbers.flush"]


def is_flush(job):
    return name_of(job).endswith(".flush")


# --- the four of the product


def note_window():
    windows.count(endpoint="simulate", mode="warn", verdict="unknown", reasons=["junk"])


def note_sighting():
    decision = decide([("/0", "Fondo X")], mode="warn", vocabulary=snapshot.current())
    sightings.note(consumer="alpha", endpoint="simulate", decision=decision)


def note_contact():
    contacts.note(consumer="alpha", endpoint="stages", meta={"REMOTE_ADDR": "10.0.0.1"})


def note_delivery():
    tally.note(tally.Uneventful("none", "refused", "no_credentials", remote="192.0.2.1"))


FOUR = pytest.mark.parametrize(
    ("part", "note", "model", "column"),
    [
        pytest.param(windows, note_window, TrafficWindow, "requests", id="windows"),
        pytest.param(sightings, note_sighting, ConsumerSighting, "count", id="sightings"),
        pytest.param(contacts, note_contact, ConsumerContact, "requests", id="contacts"),
        pytest.param(tally, note_delivery, WebhookCount, "deliveries", id="tally"),
    ],
)


@FOUR
@pytest.mark.django_db
@pytest.mark.parametrize("fault", [Error("away"), UnicodeError("away")])
def test_each_keeps_what_was_not_written_whatever_the_fault(part, note, model, column, fault):
    def refuse(execute, sql, params, many, context):
        if "INSERT" in sql:
            note()
            raise fault
        return execute(sql, params, many, context)

    note()
    failing = pytest.raises(type(fault), match="away")
    with connection.execute_wrapper(refuse), failing, transaction.atomic():
        part.flush()
    assert not model.objects.exists()
    note()
    for _ in range(2):
        part.flush()
    assert model.objects.aggregate(sum=Sum(column))["sum"] == 3


@FOUR
@pytest.mark.django_db
def test_of_each_a_forked_child_begins_anew(part, note, model, column):
    note()
    assert in_a_fork(lambda: len(part.buffer)) == "0"
    part.flush()
    assert model.objects.aggregate(sum=Sum(column))["sum"] == 1


@FOUR
def test_each_is_flushed_by_the_refresher(part, note, model, column):
    assert refresher._jobs.count(part.flush) == 1


END = """
from stageapp.consumers import contacts
from stageapp.webhook import tally
modes.current()
traffic.count(endpoint="leaving", mode="warn", verdict="unknown")
contacts.note(consumer="alpha", endpoint="stages", meta={"REMOTE_ADDR": "10.0.0.1"})
tally.note(tally.Uneventful("none", "refused", "no_credentials"))
"""


@pytest.mark.django_db(transaction=True)
def test_at_the_end_of_a_process_all_of_them_are_written():
    with process(END, DATABASE_URL=database_url(), STAGE_REFRESH_SECONDS="600") as leaving:
        assert leaving.end() == 0
    for model, column in (
        (TrafficWindow, "requests"),
        (ConsumerContact, "requests"),
        (WebhookCount, "deliveries"),
    ):
        assert model.objects.aggregate(sum=Sum(column))["sum"] == 1, model
