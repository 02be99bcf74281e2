"""What had no effect is counted in full and kept in part, whoever sends however much."""

import datetime

import pytest
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from stageapp.infrastructure import events
from stageapp.models import ModeChange, WebhookCount, WebhookDelivery
from stageapp.webhook import tally as retention
from stageapp.webhook.tally import MOST_PENDING, ROWS_AN_HOUR, Uneventful

pytestmark = pytest.mark.django_db
REFUSED = Uneventful("none", "refused", "no_credentials", remote="192.0.2.1")


def rows():
    return WebhookDelivery.objects.filter(result="refused").count()


def test_all_are_counted_and_a_bounded_number_is_kept(django_assert_max_num_queries):
    for flood in range(1, 11):
        for _ in range(1000):
            retention.note(REFUSED)
        with django_assert_max_num_queries(12):
            retention.flush()
        assert rows() == min(flood * MOST_PENDING, ROWS_AN_HOUR)
    assert WebhookCount.objects.get().deliveries == 10_000
    assert WebhookDelivery.objects.first().remote == "192.0.2.1"


def test_a_flood_of_one_kind_leaves_room_for_the_others():
    for _ in range(2 * ROWS_AN_HOUR // MOST_PENDING):
        for _ in range(MOST_PENDING):
            retention.note(REFUSED)
        retention.flush()
    retention.note(Uneventful("standard", "duplicate", webhook_id="msg_1", alerts=("A",)))
    retention.flush()
    assert rows() == ROWS_AN_HOUR
    assert WebhookDelivery.objects.get(result="duplicate").webhook_id == "msg_1"


def test_what_could_not_be_written_is_written_the_next_time(monkeypatch):
    retention.note(REFUSED)
    with monkeypatch.context() as patch:
        patch.setattr(retention, "_write", lambda *_: (_ for _ in ()).throw(OperationalError()))
        with pytest.raises(OperationalError):
            retention.flush()
    retention.note(REFUSED)
    retention.flush()
    assert (WebhookCount.objects.get().deliveries, rows()) == (2, 2)
    retention.flush()
    assert WebhookCount.objects.get().deliveries == 2


def test_every_delivery_that_is_kept_apart_has_a_row_and_the_others_are_counted():
    for number in range(2 * MOST_PENDING):
        for _ in range(3):
            retention.note(Uneventful("none", "refused", "x", remote=f"192.0.2.{number}"))
    assert len(retention.buffer) == MOST_PENDING + 1
    retention.flush()
    assert WebhookCount.objects.get().deliveries == 6 * MOST_PENDING
    assert set(WebhookDelivery.objects.values_list("remote", flat=True)) == {
        f"192.0.2.{number}" for number in range(MOST_PENDING)
    }
    assert rows() == MOST_PENDING


def test_the_log_has_a_line_for_each_kind_and_not_for_each_delivery(monkeypatch):
    lines = []
    monkeypatch.setattr(events, "webhook_uneventful", lambda **fields: lines.append(fields))
    for _ in range(500):
        retention.note(REFUSED)
    retention.flush()
    assert lines == [
        {"authenticator": "none", "result": "refused", "why": "no_credentials", "deliveries": 500}
    ]


def test_a_key_can_be_there_once_whatever_the_code_does():
    WebhookDelivery.objects.create(
        authenticator="standard", result="downgraded", key="standard:msg_1"
    )
    with pytest.raises(IntegrityError, match="one_effect_per_key"), transaction.atomic():
        WebhookDelivery.objects.create(
            authenticator="standard", result="downgraded", key="standard:msg_1"
        )
    for _ in range(2):
        WebhookDelivery.objects.create(authenticator="none", result="refused")


@pytest.fixture
def aged(monkeypatch):
    """Return a function that makes a row as if so many days ago."""

    def make(days, **fields):
        then = timezone.now() - datetime.timedelta(days=days)
        with monkeypatch.context() as patch:
            patch.setattr(timezone, "now", lambda: then)
            return WebhookDelivery.objects.create(
                authenticator="standard", result="downgraded", **fields
            )

    return make


def test_what_its_retention_has_passed_goes_and_the_mode_it_made_stays(aged):
    change = ModeChange.objects.create(version=1, mode="warn", actor="t", reason="t")
    old, new = aged(31, key="a", mode_change=change), aged(29, key="b")
    hour = timezone.now() - datetime.timedelta(days=31)
    WebhookCount.objects.create(
        hour=hour, authenticator="none", result="refused", why="x", deliveries=1
    )
    assert retention.forget_old() == 1
    assert list(WebhookDelivery.objects.all()) == [new]
    assert not WebhookCount.objects.exists()
    assert ModeChange.objects.filter(pk=change.pk).exists()
    assert not WebhookDelivery.objects.filter(pk=old.pk).exists()
    with pytest.raises(IntegrityError), transaction.atomic():  # the way to delete is closed again
        WebhookDelivery.objects.all()._raw_delete("default")
