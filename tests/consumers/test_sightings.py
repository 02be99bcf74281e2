"""What each consumer sends: counted without I/O, added up over processes, never dropped
silently.
"""

import datetime
import threading
import time

import pytest
from django.db import Error, connection, transaction
from django.db.models import Sum

from stageapp.consumers import sightings
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import OVERFLOW, UnknownEntry
from stageapp.unknowns import records
from stageapp.validation import decide
from stageapp.vocabulary import snapshot as vocabulary
from tests.processes import database_url, process

DAY = datetime.date(2030, 3, 17)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Begin with no counts, on a day that the test moves."""

    class Clock:
        day = DAY

        def time(self):
            return (self.day - datetime.date(1970, 1, 1)).days * 86_400 + 5.0

    sightings.buffer.forget()
    clock = Clock()
    monkeypatch.setattr(sightings, "time", clock)
    yield clock
    sightings.buffer.forget()


def note(*raws, consumer="alpha", endpoint="simulate", mode="warn"):
    values = [(f"/{index}", raw) for index, raw in enumerate(raws)]
    decision = decide(values, mode=mode, vocabulary=vocabulary.current(), source=consumer)
    sightings.note(consumer=consumer, endpoint=endpoint, decision=decision)


def stored(*columns):
    return sorted(ConsumerSighting.objects.values_list(*columns))


@pytest.mark.django_db
def test_counting_does_no_io(django_assert_num_queries):
    vocabulary.current()
    with django_assert_num_queries(0):
        note("Seed", "Fondo X", "\x00")


@pytest.mark.django_db
def test_every_value_is_counted_by_consumer_day_endpoint_key_and_outcome(clock):
    note("seed", "Series A", "Fondo X")
    note("Series-A")
    note("seed", consumer="beta", endpoint="allocations")
    clock.day += datetime.timedelta(days=1)
    note("seed")
    sightings.flush()
    assert stored("consumer", "day", "endpoint", "key", "outcome", "count") == [
        ("alpha", DAY, "simulate", "fondo x", "unknown", 1),
        ("alpha", DAY, "simulate", "seed", "canonical", 1),
        ("alpha", DAY, "simulate", "series a", "normalized", 2),
        ("alpha", DAY + datetime.timedelta(days=1), "simulate", "seed", "canonical", 1),
        ("beta", DAY, "allocations", "seed", "canonical", 1),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["off", "warn", "enforce"])
def test_the_outcome_is_the_same_in_every_mode(mode):
    note("seed", "Seed", "Fondo X", mode=mode)
    sightings.flush()
    assert stored("key", "outcome") == [
        ("fondo x", "unknown"),
        ("seed", "canonical"),
        ("seed", "normalized"),
    ]


@pytest.mark.django_db
def test_a_request_counts_once_however_often_it_holds_a_value():
    note("Fondo X", "FONDO X", "fondo-x", "Seed", "SEED")
    sightings.flush()
    assert stored("key", "count") == [("fondo x", 1), ("seed", 1)]


@pytest.mark.django_db
def test_flushes_add_up():
    for _ in range(3):
        note("Fondo X")
        sightings.flush()
    sightings.flush()
    assert stored("key", "count") == [("fondo x", 3)]


@pytest.mark.django_db
def test_an_unknown_value_comes_into_the_queue_as_it_was_sent():
    note("  Fondo X\ud800", "")
    note("Fondo X")
    sightings.flush()
    assert {tuple(entry.examples) for entry in UnknownEntry.objects.all()} == {
        ('"  Fondo X\\ud800"',),
        ('""',),
        ('"Fondo X"',),
    }


@pytest.mark.django_db
def test_what_could_not_be_written_stays_for_the_next_flush(monkeypatch):
    note("Fondo X", "Seed")

    def fail(_seen):
        raise Error("away")

    with monkeypatch.context() as away:
        away.setattr(records, "keep", fail)
        with pytest.raises(Error):
            sightings.flush()
    assert not ConsumerSighting.objects.exists()
    note("Fondo X")
    sightings.flush()
    assert stored("key", "count") == [("fondo x", 2), ("seed", 1)]
    assert UnknownEntry.objects.get().examples == ['"Fondo X"']


@pytest.mark.django_db
def test_beyond_a_consumers_bound_values_are_counted_together(monkeypatch):
    monkeypatch.setattr(sightings, "MOST_A_CONSUMER", 2)
    note("Fondo A1", "Fondo B1", "Fondo C1", "Seed")
    note("Fondo A1")
    note("Fondo C1", consumer="beta")
    sightings.flush()
    assert stored("consumer", "key", "outcome", "count") == [
        ("alpha", "fondo a1", "unknown", 2),
        ("alpha", "fondo b1", "unknown", 1),
        ("alpha", OVERFLOW, "normalized", 1),
        ("alpha", OVERFLOW, "unknown", 1),
        ("beta", "fondo c1", "unknown", 1),
    ]
    assert UnknownEntry.objects.filter(key=OVERFLOW).exists()


@pytest.mark.django_db
def test_a_new_day_gives_room_again(monkeypatch, clock):
    monkeypatch.setattr(sightings, "MOST_A_CONSUMER", 1)
    note("Fondo A1", "Fondo B1")
    clock.day += datetime.timedelta(days=1)
    note("Fondo B1")
    sightings.flush()
    assert stored("day", "key")[-1] == (DAY + datetime.timedelta(days=1), "fondo b1")


@pytest.mark.django_db
def test_between_two_flushes_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(sightings.buffer, "most", 10)
    for number in range(500):
        note(f"Fondo {number}x")
    assert len(sightings.buffer) == 11

    def fail(_seen):
        note(*(f"Fonda {number}x" for number in range(30)))
        raise Error("away")

    with monkeypatch.context() as away:
        away.setattr(records, "keep", fail)
        with pytest.raises(Error, match="away"):
            sightings.flush()
    assert len(sightings.buffer) == 11
    sightings.flush()
    assert UnknownEntry.objects.count() == 11
    assert ConsumerSighting.objects.aggregate(sum=Sum("count"))["sum"] == 530


@pytest.mark.django_db
def test_threads_lose_nothing():
    snapshot = vocabulary.current()
    decision = decide([("/0", "Fondo X")], mode="warn", vocabulary=snapshot)

    def send():
        for _ in range(500):
            sightings.note(consumer="alpha", endpoint="simulate", decision=decision)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sightings.flush()
    assert stored("key", "count") == [("fondo x", 2000)]


@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_holds_is_not_waited_for_and_nothing_is_lost():
    note("Fondo X")
    sightings.flush()
    held, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            list(UnknownEntry.stored.select_for_update())
            held.set()
            done.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    note("Fondo X")
    began = time.monotonic()
    with pytest.raises(Error):
        sightings.flush()
    assert time.monotonic() - began < 5
    done.set()
    holder.join()
    sightings.flush()
    assert stored("key", "count") == [("fondo x", 2)]


SEND = """
from stageapp.consumers import sightings
from stageapp.validation import decide
say(ready=True)
for line in sys.stdin:
    values = [("/0", "Fondo X"), ("/1", "Fondo Y")]
    for _ in range(int(line)):
        decision = decide(values, mode="warn", vocabulary=vocabulary.current())
        sightings.note(consumer="alpha", endpoint="simulate", decision=decision)
    sightings.flush()
    say(done=True)
"""


@pytest.mark.django_db(transaction=True)
def test_two_processes_add_up_and_make_one_entry_of_each_value():
    environment = {"DATABASE_URL": database_url(), "STAGE_REFRESHER": "0"}
    with process(SEND, **environment) as one, process(SEND, **environment) as other:
        assert one.hear()["ready"]
        assert other.hear()["ready"]
        for _ in range(5):
            for each in (one, other):
                each.popen.stdin.write("30\n")
                each.popen.stdin.flush()
            assert one.hear()["done"]
            assert other.hear()["done"]
        assert (one.end(), other.end()) == (0, 0)
    assert stored("key", "count") == [("fondo x", 300), ("fondo y", 300)]
    assert UnknownEntry.objects.count() == 2


STOP = """
from stageapp.consumers import sightings
from stageapp.validation import decide
vocabulary.current()
say(ready=True)
for line in sys.stdin:
    decision = decide([("/0", "Fondo X")], mode="warn", vocabulary=vocabulary.current())
    sightings.note(consumer="alpha", endpoint="simulate", decision=decision)
    say(noted=True)
"""


@pytest.mark.django_db(transaction=True)
def test_a_process_that_ends_writes_its_last_counts():
    with process(STOP, DATABASE_URL=database_url(), STAGE_REFRESH_SECONDS="600") as sender:
        assert sender.hear()["ready"]
        assert sender.ask("x")["noted"]
        assert sender.end() == 0
    assert stored("key", "count") == [("fondo x", 1)]
