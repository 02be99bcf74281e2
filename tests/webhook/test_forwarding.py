"""A notification is handed on until the receiver has it, always freshly signed and under one id."""

import threading
import time

import pytest

from stageapp.infrastructure import events
from stageapp.webhook import notification, relay
from stageapp.webhook import signatures as reading
from stageapp.webhook.relay import SLOT_SECONDS, Forwarder, delivery_id
from tests.api.gunicorn import free_port
from tests.api.senders import alert, body
from tests.webhook.receiver import receiving

KEY = b"k" * 31 + b"x"
BODY = body()
TOLD = notification.read(BODY)


@pytest.fixture(autouse=True)
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(events, "notification_forwarded", lambda **fields: lines.append(fields))
    return lines


def forwarder(url, seconds=5.0, clock=None):
    times = iter(range(1_800_000_000, 1_900_000_000))
    return Forwarder(url, KEY, seconds, threading.Event(), clock or (lambda: next(times)))


@pytest.mark.parametrize("status", [200, 202, 301, 400, 401, 404, 413])
def test_what_a_repeat_cannot_change_is_passed_through_at_once(status, logged):
    with receiving(status) as receiver:
        assert forwarder(receiver.url).forward(BODY, TOLD) == status
        ((path, headers, sent),) = receiver.got
    assert (path, sent) == ("/_ops/stage-validation/auto-downgrade", BODY)
    read = reading.read_signatures(headers["webhook-signature"])
    assert reading.is_signed([KEY], headers["webhook-id"], headers["webhook-timestamp"], BODY, read)
    assert logged[0]["attempts"] == 1


def test_a_transient_fault_is_tried_again_with_a_fresh_timestamp_and_the_same_id(logged):
    with receiving(503, 500, 429, 200) as receiver:
        assert forwarder(receiver.url).forward(BODY, TOLD) == 200
        sent = [headers for _, headers, _ in receiver.got]
    assert len(sent) == 4
    assert len({headers["webhook-id"] for headers in sent}) == 1
    assert len({headers["webhook-timestamp"] for headers in sent}) == 4
    assert logged == [
        {"id": sent[0]["webhook-id"], "status": 200, "attempts": 4, "alerts": ["RejectsFastBurn"]}
    ]


def test_after_its_time_it_passes_the_last_status_on():
    with receiving(503) as receiver:
        began = time.monotonic()
        assert forwarder(receiver.url, seconds=1.0).forward(BODY, TOLD) == 503
        assert time.monotonic() - began < 5
        assert len(receiver.got) >= 2


def test_nobody_there_is_503_for_alertmanager_to_come_again():
    assert forwarder(f"http://127.0.0.1:{free_port()}/", seconds=0.5).forward(BODY, TOLD) == 503


def test_a_receiver_that_takes_all_and_answers_nothing_costs_no_more_than_its_time(monkeypatch):
    monkeypatch.setattr(relay, "ATTEMPT_SECONDS", 0.3)
    with receiving(200) as receiver:
        receiver.gate.clear()
        began = time.monotonic()
        assert forwarder(receiver.url, seconds=1.0).forward(BODY, TOLD) == 503
        assert time.monotonic() - began < 5
        assert len(receiver.got) >= 2


def test_a_process_that_stops_tries_no_longer():
    with receiving(503) as receiver:
        one = forwarder(receiver.url, seconds=60)
        one.stopping.set()
        assert one.forward(BODY, TOLD) == 503
        assert len(receiver.got) == 1


def test_the_id_is_that_of_what_is_told():
    slot = 6_000_000 * SLOT_SECONDS

    def id_of(*alerts, now=slot):
        return delivery_id(notification.read(body(*alerts)), now)

    first, second = alert("A"), alert("B")
    same = {
        id_of(first, second),
        id_of(second, first),
        id_of(first, second, now=slot + SLOT_SECONDS - 1),
    }
    assert len(same) == 1
    assert delivery_id(notification.read(body(first, externalURL="http://other")), slot) == id_of(
        first
    )
    others = [
        id_of(first),
        id_of(second),
        id_of(alert("A", status="resolved")),
        id_of(first, now=slot + SLOT_SECONDS),
        id_of(alert("A", since="2026-02-01T00:00:00Z")),
        id_of(alert("A", instance="a")),
    ]
    assert len({*same, *others}) == 7
    assert all(reading.read_id(one) == one for one in others)
