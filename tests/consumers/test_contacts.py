"""From where consumers call: counted without I/O, kept bounded, no agent and no address in it."""

import datetime
import threading

import pytest
from django.db import Error, connection
from django.utils import timezone

from stageapp import tasks
from stageapp.consumers import contacts
from stageapp.models import ConsumerContact
from tests.api.calls import post

pytestmark = pytest.mark.django_db
HERE = {"REMOTE_ADDR": "10.0.0.1", "HTTP_USER_AGENT": "reporter/1.0"}


@pytest.fixture(autouse=True)
def _nothing_pending(db):
    contacts.buffer.forget()
    yield
    contacts.buffer.forget()


def note(consumer="alpha", endpoint="stages", **meta):
    contacts.note(consumer=consumer, endpoint=endpoint, meta={**HERE, **meta})


def stored(*names):
    contacts.flush()
    return list(
        ConsumerContact.objects.order_by(
            "consumer", "endpoint", "agent_hash", "network"
        ).values_list(*names)
    )


def test_noting_talks_to_no_store(django_assert_num_queries):
    with django_assert_num_queries(0):
        note()


def test_requests_add_up_over_flushes_and_keep_the_first_and_last_time():
    before = timezone.now()
    note()
    note()
    first = stored("first_seen", "last_seen", "requests")
    note()
    (later,) = stored("first_seen", "last_seen", "requests")
    assert first[0][2] == 2
    assert later[0] == first[0][0] >= before
    assert later[1] > first[0][1]
    assert later[2] == 3


def test_each_endpoint_program_and_side_of_the_network_is_a_contact():
    note()
    note(endpoint="companies")
    note(HTTP_USER_AGENT="reporter/2.0")
    note(REMOTE_ADDR="8.8.8.8")
    found = stored("endpoint", "agent_hash", "network")
    assert len(found) == len(set(found)) == 4


def test_neither_the_agent_nor_the_address_is_kept():
    note(HTTP_USER_AGENT="bob@example.org crawler", REMOTE_ADDR="10.9.8.7")
    text = str(list(ConsumerContact.objects.values())) + str(stored())
    assert "bob" not in text
    assert "10.9.8.7" not in text


def test_the_hash_depends_on_the_secret_key(settings):
    one = contacts.agent_hash("curl/8")
    assert one == contacts.agent_hash("curl/8") != contacts.agent_hash("curl/9")
    settings.SECRET_KEY = "another" * 10
    assert contacts.agent_hash("curl/8") != one
    assert len(one) == 16


@pytest.mark.parametrize("agent", ["", "\ud800", "\x00", "é" * 10_000])
def test_any_agent_can_be_noted(agent):
    note(HTTP_USER_AGENT=agent)
    assert stored("requests") == [(1,)]


def test_programs_beyond_the_bound_are_counted_together_over_flushes_and_processes():
    for number in range(contacts.MOST_AGENTS + 5):
        note(HTTP_USER_AGENT=f"agent/{number}")
    assert len(stored("agent_hash")) == contacts.MOST_AGENTS + 1
    contacts.buffer.forget()  # as a new process
    for number in range(100, 130):
        note(HTTP_USER_AGENT=f"agent/{number}")
    note(HTTP_USER_AGENT="agent/0")
    note(consumer="beta")
    found = dict(stored("agent_hash", "requests"))
    assert len(found) == contacts.MOST_AGENTS + 2
    assert found["others"] == 35
    assert found[contacts.agent_hash("agent/0")] == 2


def test_what_is_pending_is_bounded(monkeypatch):
    monkeypatch.setattr(contacts.buffer, "most", 3)
    for number in range(10):
        note(HTTP_USER_AGENT=f"agent/{number}")
    assert len(contacts.buffer) == 4
    assert dict(stored("agent_hash", "requests"))["others"] == 7


def test_what_could_not_be_written_is_written_the_next_time():
    note()
    with connection.execute_wrapper(_refuse), pytest.raises(Error):
        contacts.flush()
    note()
    assert stored("requests") == [(2,)]


def _refuse(execute, sql, params, many, context):
    raise Error("PostgreSQL does not answer")


def test_threads_lose_no_request():
    threads = [threading.Thread(target=lambda: [note() for _ in range(200)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored("requests") == [(1600,)]


def test_old_contacts_are_forgotten_with_the_sightings(settings):
    settings.STAGE_SIGHTING_RETENTION_DAYS = 30
    note()
    note(endpoint="companies")
    contacts.flush()
    old = timezone.now() - datetime.timedelta(days=31)
    ConsumerContact.objects.filter(endpoint="stages").update(last_seen=old)
    tasks.forget_old_sightings()
    assert stored("endpoint") == [("companies",)]


def test_every_endpoint_notes_its_caller(client_of, consumer):
    client = client_of(consumer)
    client.get(
        "/api/stages",
        HTTP_USER_AGENT="reporter/1.0",
        HTTP_X_FORWARDED_FOR="10.0.0.1",
        REMOTE_ADDR="8.8.8.8",
    )
    client.get("/api/deprecations", REMOTE_ADDR="10.0.0.1")
    post(client, "monte_carlo", {"seed": 1})
    found = stored("consumer", "endpoint", "agent_hash", "network")
    assert found == [
        ("alpha", "deprecations", "", "internal"),
        ("alpha", "monte_carlo", "", "internal"),
        ("alpha", "stages", contacts.agent_hash("reporter/1.0"), "external"),
    ]


def test_a_caller_that_is_not_let_in_is_not_noted(client):
    assert client.get("/api/stages", headers={"authorization": "Token wrong"}).status_code == 401
    assert stored("endpoint") == []


def test_what_could_not_be_written_is_added_up_once_also_beyond_the_bound_of_programs():
    for number in range(contacts.MOST_AGENTS + 5):
        note(HTTP_USER_AGENT=f"agent/{number}")
    with connection.execute_wrapper(_refuse_to_insert), pytest.raises(Error, match="read-only"):
        contacts.flush()
    found = dict(stored("agent_hash", "requests"))
    assert found["others"] == 5
    assert sum(found.values()) == contacts.MOST_AGENTS + 5


def _refuse_to_insert(execute, sql, params, many, context):
    if "INSERT" in sql:
        raise Error("PostgreSQL is read-only")
    return execute(sql, params, many, context)
