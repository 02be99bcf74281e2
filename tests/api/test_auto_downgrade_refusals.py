"""Faults 19, 20, 22 and 23: what is not believed has no effect, is told nothing, and costs
nothing.
"""

import datetime
import statistics
import time

import pytest

from stageapp.mode import store
from stageapp.models import ModeChange, WebhookCount, WebhookDelivery
from stageapp.webhook import authenticators, deliveries, tally
from stageapp.webhook.authenticators import NotVerified, Sent, Why
from tests.api.senders import (
    OTHER,
    SECRET,
    TOKEN,
    bearing,
    body,
    deliver,
    hex_signed,
    signed,
    stamped,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("believed")]

BODY = body()
NOW = 1_800_000_000.0
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


def why(sent, headers, now=NOW):
    """Return why it is not believed, None where it is."""
    try:
        authenticators.verify(
            Sent({name.lower(): value for name, value in headers.items()}, sent), now
        )
    except NotVerified as error:
        return error.why
    return None


def flipped(text):
    """Yield the text with each character changed in each of its bits."""
    for place, character in enumerate(text):
        for bit in range(8):
            yield text[:place] + chr(ord(character) ^ (1 << bit)) + text[place + 1 :]


def test_each_bit_of_body_id_timestamp_and_signature_counts():
    headers = signed(BODY, at=NOW)
    assert why(BODY, headers) is None
    tried = 0
    for name in headers:
        for changed in flipped(headers[name]):
            assert why(BODY, {**headers, name: changed}) in (Why.WRONG_SIGNATURE, Why.MALFORMED), (
                name,
                changed,
            )
            tried += 1
    for place in range(len(BODY)):
        for bit in range(8):
            changed = bytearray(BODY)
            changed[place] ^= 1 << bit
            assert why(bytes(changed), headers) is Why.WRONG_SIGNATURE
            tried += 1
    assert tried == 8 * (len(BODY) + sum(map(len, headers.values())))


def test_each_bit_counts_where_the_body_is_signed_as_a_whole_or_a_token_comes():
    sent = stamped(str(int(NOW)))
    headers = hex_signed(sent)
    assert why(sent, headers) is None
    for changed in flipped(headers["X-Alertmanager-Signature"]):
        if changed.lower() != headers["X-Alertmanager-Signature"]:  # bit 5 is the case of a letter
            assert why(sent, {"X-Alertmanager-Signature": changed}) in (
                Why.WRONG_SIGNATURE,
                Why.MALFORMED,
            )
    for place in range(len(sent)):
        changed = bytearray(sent)
        changed[place] ^= 1
        assert why(bytes(changed), headers) is Why.WRONG_SIGNATURE
    for changed in flipped(TOKEN):
        assert why(BODY, {"Authorization": f"Bearer {changed}"}) is Why.WRONG_TOKEN


@pytest.mark.parametrize(
    "shift, fresh",
    [(-301, False), (-300, True), (-299, True), (0, True), (299, True), (300, True), (301, False)],
)
def test_three_hundred_seconds_either_way(shift, fresh):
    at = int(NOW) + shift
    iso = datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat()
    for stamp in (
        str(at),
        str(at * 1000),
        at,
        iso,
        iso.replace("+00:00", "Z"),
        iso.replace("+00:00", ".000+00:00"),
    ):
        sent = stamped(stamp)
        assert (why(sent, hex_signed(sent)) is None) is fresh, stamp
    assert (why(BODY, signed(BODY, at=at)) is None) is fresh


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "nan",
        "inf",
        "1e99",
        "1800000000.9",
        " 1800000000",
        "1800000000 ",
        "1_800000000",
        "+180000000",
        "-180000000",
        "١٨٠٠٠٠٠٠٠٠",
        "18000000",
        "1800000000\n",
        "hello",
        "0x6b49d200",
    ],
)
def test_a_time_is_written_one_way(stamp):
    assert why(BODY, {**signed(BODY, at=NOW), TIMESTAMP: stamp}) is Why.MALFORMED
    sent = stamped(stamp)
    assert why(sent, hex_signed(sent)) is Why.MALFORMED


@pytest.mark.parametrize(
    "stamp",
    [
        None,
        [],
        {},
        True,
        1.8e9,
        "2027-01-15",
        "2027-01-15T08:00:00",
        "2027-13-15T08:00:00Z",
        "2027-01-15 08:00:00Z",
        "20270115T080000Z",
        "2027-W02-5T08:00:00Z",
        "0000-01-01T00:00:00Z",
        "2027-01-15T08:00:00+99:99",
    ],
)
def test_a_body_that_does_not_say_when_it_was_sent_is_not_fresh(stamp):
    sent = stamped(stamp)
    assert why(sent, hex_signed(sent)) in (Why.MALFORMED, Why.NOT_FRESH)
    sent = body(groupLabels=stamp)
    assert why(sent, hex_signed(sent)) in (Why.MALFORMED, Why.NOT_FRESH)
    assert why(b"no JSON", hex_signed(b"no JSON")) is Why.NOT_FRESH


def test_no_part_can_be_shifted_over_a_delimiter():
    old, now = str(int(NOW) - 9999), str(int(NOW))
    inner = f"{now}.".encode() + BODY
    headers = signed(inner, "x", at=int(old))  # signed long ago: x.<old>.<now>.{…}
    assert why(inner, headers) is Why.NOT_FRESH
    assert why(BODY, {**headers, ID: f"x.{old}", TIMESTAMP: now}) is Why.MALFORMED


def broken():
    good = signed(BODY, at=NOW)
    one = good[SIGNATURE]
    yield from (
        ({name: text for name, text in good.items() if name != left}, Why.HEADER_MISSING)
        for left in good
    )
    for text in (
        "abc",
        "v1,x,y",
        "v1,abc!",
        "v1,é",
        "",
        f"{one},{one}",
        " ".join([one] * 20_000),
        f"{one} ",
        "v1",
    ):
        yield {**good, SIGNATURE: text}, Why.MALFORMED
    for text in (
        "v1,abc",
        "v1,AAAA",
        one[:11],
        one.replace("v1,", "v2,"),
        one.replace("v1,", "v1a,"),
    ):
        yield {**good, SIGNATURE: text}, Why.WRONG_SIGNATURE
    yield {**good, ID: "msg_1,msg_1"}, Why.MALFORMED  # sent twice, as WSGI joins them
    yield {**good, ID: "msg_2"}, Why.WRONG_SIGNATURE
    yield {**good, TIMESTAMP: f"{good[TIMESTAMP]},{good[TIMESTAMP]}"}, Why.MALFORMED
    yield {**good, TIMESTAMP: str(int(NOW) + 1)}, Why.WRONG_SIGNATURE
    yield signed(BODY, secret=OTHER, at=NOW), Why.WRONG_SIGNATURE
    yield {"X-Alertmanager-Signature": "00" * 32}, Why.WRONG_SIGNATURE
    for text in (
        "",
        "zz" * 32,
        "00" * 31,
        "é",
        "00" * 10_000,
        hex_signed(BODY)["X-Alertmanager-Signature"] + ",x",
    ):
        yield {"X-Alertmanager-Signature": text}, Why.MALFORMED
    for text in (
        "",
        "Bearer",
        "Bearer ",
        f"Token {TOKEN}",
        f"Bearer {SECRET}",
        TOKEN,
        "Bearer é",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
    ):
        yield {"Authorization": text}, Why.WRONG_TOKEN
    yield {}, Why.NO_CREDENTIALS
    yield (
        {**bearing(), SIGNATURE: one},
        Why.HEADER_MISSING,
    )  # one way decides; there is no second try
    yield {**bearing(), "X-Alertmanager-Signature": "00" * 32}, Why.WRONG_SIGNATURE


BROKEN = list(broken())


@pytest.mark.parametrize("headers, reason", BROKEN, ids=range(len(BROKEN)))
def test_whatever_headers_hold_the_answer_is_the_same_401(
    headers, reason, client, enforced, mode_now, monkeypatch
):
    assert why(BODY, headers) is reason
    monkeypatch.setattr(deliveries.time, "time", lambda: NOW)
    answer = deliver(
        client, BODY, {name: text.encode().decode("latin-1") for name, text in headers.items()}
    )
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["detail"] == (
        "Sign the raw body, with a current timestamp and a secret that both sides share. The log says what was wrong."
    )
    assert (mode_now(), WebhookDelivery.objects.count()) == ("enforce", 0)
    tally.flush()
    count = WebhookCount.objects.get()
    assert (count.result, count.why, count.deliveries) == ("refused", reason, 1)


def test_a_refusal_takes_less_than_fifty_milliseconds_and_no_query(
    client, enforced, django_assert_num_queries
):
    sent = b"x" * 200_000
    took = []
    for headers, _ in BROKEN:
        with django_assert_num_queries(0):
            began = time.perf_counter()
            assert deliver(client, sent, headers).status_code == 401
            took.append(time.perf_counter() - began)
    assert (
        statistics.median(took) < 0.05
    )  # of each 8 ms on a quiet machine; a busy one delays a few, not most


def test_a_replayed_body_under_another_id_is_not_believed(client, enforced):
    headers = signed(BODY)
    assert deliver(client, BODY, headers).status_code == 200
    assert deliver(client, BODY, {**headers, ID: "msg_2"}).status_code == 401


def test_the_same_json_with_one_space_more_is_another_body(client, enforced, mode_now):
    assert deliver(client, BODY + b" ", signed(BODY)).status_code == 401
    assert mode_now() == "enforce"
    assert ModeChange.objects.count() == 1
    assert store.latest().mode == "enforce"
