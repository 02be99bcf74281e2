"""The webhook by HTTP: who is believed, what follows, and what each answer is."""

import json
import time

import pytest
from django.db import OperationalError

from stageapp.mode import store
from stageapp.models import ModeChange, WebhookCount, WebhookDelivery
from stageapp.webhook import deliveries, tally
from stageapp.webhook.sending import PATH
from tests.api.senders import (
    JSON,
    OTHER,
    SECRET,
    TOKEN,
    alert,
    bearing,
    body,
    deliver,
    hex_signed,
    signed,
    stamped,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("believed")]

BODY = body()


def now():
    return str(int(time.time()))


def by_standard():
    return BODY, signed(BODY)


def by_hex():
    sent = stamped(now())
    return sent, hex_signed(sent)


def by_bearer():
    return BODY, bearing()


WAYS = {"standard": by_standard, "alertmanager": by_hex, "bearer": by_bearer}
EACH_WAY = pytest.mark.parametrize("way", WAYS)


@EACH_WAY
def test_a_firing_alert_takes_enforce_back_and_latches(way, client, enforced, mode_now):
    sent, headers = WAYS[way]()
    answer = deliver(client, sent, headers)
    change = ModeChange.objects.first()
    assert (answer.status_code, answer.json()) == (
        200,
        {"result": "downgraded", "version": change.version},
    )
    assert (change.mode, change.kind, change.actor) == ("warn", "downgrade", f"webhook:{way}")
    assert "RejectsFastBurn" in change.reason
    (row,) = WebhookDelivery.objects.all()
    assert (row.authenticator, row.result, row.alerts, row.mode_change) == (
        way,
        "downgraded",
        ["RejectsFastBurn"],
        change,
    )
    assert row.remote == "127.0.0.1"


@EACH_WAY
def test_a_repeat_has_no_effect_even_after_a_person_has_raised_the_mode_unless_it_is_news(
    way, client, enforced, mode_now
):
    sent, headers = WAYS[way]()
    assert deliver(client, sent, headers).json()["result"] == "downgraded"
    assert deliver(client, sent, headers).json() == {"result": "duplicate", "version": None}
    assert mode_now() == "warn"
    enforced()
    again = deliver(client, sent, headers).json()["result"]
    # A bearer's repeat cannot be told from a new notification of an alert that fires on: it is
    # taken for one.
    assert (again, mode_now()) == (
        ("downgraded", "warn") if way == "bearer" else ("duplicate", "enforce")
    )


@EACH_WAY
def test_a_new_firing_after_a_person_has_raised_the_mode_takes_it_back_again(
    way, client, enforced, mode_now
):
    deliver(client, *WAYS[way]())
    enforced()
    sent = stamped(now(), alert(since="2026-02-01T00:00:00Z"))
    headers = {
        "standard": signed(sent, "msg_2"),
        "alertmanager": hex_signed(sent),
        "bearer": bearing(),
    }[way]
    assert deliver(client, sent, headers).json()["result"] == "downgraded"
    assert mode_now() == "warn"


@EACH_WAY
@pytest.mark.parametrize("mode", ["off", "warn"])
def test_where_nothing_is_enforced_it_changes_nothing(way, mode, client, mode_now):
    store.change(mode=mode, actor="ann", reason="a test")
    sent, headers = WAYS[way]()
    assert deliver(client, sent, headers).json() == {"result": "not_enforced", "version": None}
    assert (mode_now(), ModeChange.objects.count()) == (mode, 1)


QUIET = {
    "resolved": [alert(status="resolved")],
    "a page": [alert(action="page")],
    "no action": [alert(action="")],
    "asks for enforce": [alert(action="enforce", mode="enforce")],
    "a resolved downgrade and a firing page": [
        alert(status="resolved"),
        alert("Slow", action="page"),
    ],
    "nothing": [],
}


@pytest.mark.parametrize("alerts", QUIET.values(), ids=QUIET)
@pytest.mark.parametrize("mode", ["off", "warn", "enforce"])
def test_what_asks_for_no_downgrade_changes_nothing_in_any_mode(alerts, mode, client, mode_now):
    store.change(mode=mode, actor="ann", reason="a test")
    sent = json.dumps(
        {"status": "firing", "mode": "enforce", "percent": 100, "alerts": alerts}
    ).encode()
    assert deliver(client, sent, signed(sent)).json() == {"result": "no_downgrade", "version": None}
    assert (mode_now(), ModeChange.objects.count()) == (mode, 1)


def test_of_many_alerts_one_that_fires_is_enough(client, enforced, mode_now):
    sent = body(alert(status="resolved"), alert("Slow", action="page"), alert("Fast"))
    assert deliver(client, sent, signed(sent)).json()["result"] == "downgraded"
    assert ModeChange.objects.first().reason == "Alertmanager reports these alerts as firing: Fast."


def test_a_resolved_alert_after_the_downgrade_leaves_the_mode(client, enforced, mode_now):
    deliver(client, BODY, signed(BODY))
    sent = body(alert(status="resolved"))
    for number, headers in enumerate((signed(sent, "msg_2"), bearing())):
        assert deliver(client, sent, headers).json()["result"] == "no_downgrade", number
    assert mode_now() == "warn"


def test_both_secrets_are_believed_while_one_takes_the_place_of_the_other(
    client, enforced, settings
):
    settings.ALERTMANAGER_WEBHOOK_SECRET = f"{OTHER} {SECRET}"
    settings.ALERTMANAGER_BEARER_TOKEN = f"{'n3w-' * 10} {TOKEN}"
    for number, secret in enumerate((SECRET, OTHER)):
        assert (
            deliver(client, BODY, signed(BODY, f"msg_{number}", secret=secret)).status_code == 200
        )
        sent = stamped(now(), alert(f"A{number}"))
        assert deliver(client, sent, hex_signed(sent, secret=secret)).status_code == 200
    for token in (TOKEN, "n3w-" * 10):
        assert deliver(client, BODY, bearing(token)).status_code == 200
    both = signed(BODY, "msg_both", secret="unknown-" * 5)
    both["webhook-signature"] += " " + signed(BODY, "msg_both")["webhook-signature"]
    assert deliver(client, BODY, both).status_code == 200  # a sender that signs with two
    settings.ALERTMANAGER_WEBHOOK_SECRET = OTHER
    assert deliver(client, BODY, signed(BODY, "msg_late")).status_code == 401


UNREADABLE = [
    b"",
    b"\xff",
    b"this is not JSON",
    b"[]",
    b"{}",
    b'{"alerts": 1}',
    b"[" * 100_000,
    b'{"alerts": [1]}',
    b'{"alerts": [{"status": "firing"}]}',
    b'{"alerts": [{"status": "x", "labels": {}}]}',
    b'{"mode": "enforce"}',
    b'{"alerts": [{"status": "firing", "labels": {"alertname": 1}}]}',
    b"9" * 5000,
]


@pytest.mark.parametrize("sent", UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_is_signed_but_no_notification_is_400(sent, client, enforced, mode_now):
    answer = deliver(client, sent, signed(sent))
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/no-notification")
    tally.flush()
    assert WebhookDelivery.objects.get().result == "unreadable"
    assert mode_now() == "enforce"


def test_what_cannot_be_stored_or_seen_is_shown_as_a_question_mark(client, enforced):
    hostile = alert("a\x00b\ud800c\u202ed\ne" + "x" * 500)
    sent = body(hostile)
    assert deliver(client, sent, signed(sent)).json()["result"] == "downgraded"
    (name,) = WebhookDelivery.objects.get().alerts
    assert name.startswith("a?b?c?d?e")
    assert len(name) == 200


def test_a_test_says_so_and_lowers_nothing(client, enforced, mode_now):
    sent = body(test="ann: before the rollout")
    assert deliver(client, sent, signed(sent)).json() == {"result": "test", "version": None}
    assert WebhookDelivery.objects.get().detail == "ann: before the rollout"
    assert mode_now() == "enforce"


def test_where_postgres_does_not_answer_it_is_503_and_alertmanager_comes_again(
    client, enforced, monkeypatch
):
    def away(*_):
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "_once", away)
        answer = deliver(client, BODY, signed(BODY))
    assert (answer.status_code, answer.json()["type"], answer["Retry-After"]) == (
        503,
        "/problems/unavailable",
        "5",
    )
    assert deliver(client, BODY, signed(BODY)).json()["result"] == "downgraded"


def test_the_address_and_the_method_are_the_only_ones(client):
    assert client.get(PATH).status_code == 405
    assert client.put(PATH, BODY, content_type=JSON, headers=signed(BODY)).status_code == 405
    assert deliver(client, BODY, signed(BODY)).status_code == 200
    assert (
        client.post(
            f"{PATH}?x=1", BODY, content_type=JSON, headers=signed(BODY, "msg_9")
        ).status_code
        == 400
    )


def test_nobody_is_throttled_whoever_else_called_from_the_same_address(client, enforced, settings):
    settings.STAGE_THROTTLE_ANONYMOUS_PER_MINUTE = 5.0
    for _ in range(20):
        assert deliver(client, BODY, {}).status_code == 401
    assert deliver(client, BODY, signed(BODY)).status_code == 200
    tally.flush()
    assert WebhookCount.objects.get().deliveries == 20


def test_where_no_secret_is_set_nobody_is_believed(client, enforced, settings, mode_now):
    settings.ALERTMANAGER_WEBHOOK_SECRET = settings.ALERTMANAGER_BEARER_TOKEN = ""
    for way in WAYS.values():
        assert deliver(client, *way()).status_code == 401
    assert deliver(client, BODY, bearing("")).status_code == 401
    assert mode_now() == "enforce"
    tally.flush()
    assert set(WebhookCount.objects.values_list("why", flat=True)) == {"not_configured"}
