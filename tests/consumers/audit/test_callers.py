"""Who calls and what each caller still sends, from requests that were really made."""

import csv
import datetime
import io

import pytest
from django.utils import timezone

from stageapp.consumers import contacts, sightings, tokens
from stageapp.consumers.audit.callers import audit
from stageapp.consumers.audit.files import COLUMNS, export_audit
from stageapp.models import Consumer, ConsumerSighting, Stage, StageAlias
from stageapp.vocabulary import snapshot
from tests.api.calls import post

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_pending(db):
    contacts.buffer.forget()
    sightings.buffer.forget()


@pytest.fixture
def traffic(client_of, consumer, consumer_named):
    """Make requests of one consumer, leave another silent, and write the counts."""
    consumer_named("silent", "read", revoked_at=timezone.now())
    client = client_of(consumer)
    for _ in range(3):
        post(client, "monte_carlo", {"Series A": 0.5, "Seires B": 0.25, "seed": 0.25})
    post(client, "strategies", {"series-a": 1}, "object")
    client.get("/api/stages", HTTP_USER_AGENT="reporter/1.0", REMOTE_ADDR="8.8.8.8")
    contacts.flush()
    sightings.flush()


def caller(name, **more):
    (found,) = audit(names=[name], **more)
    return found


def test_a_caller_has_its_endpoints_and_what_it_still_sends(traffic):
    alpha = caller("alpha")
    assert alpha.endpoints == {"monte_carlo": 3, "stages": 1, "strategies": 1}
    assert alpha.networks == ["external", "internal"]
    assert alpha.agents == ["", contacts.agent_hash("reporter/1.0")]
    assert timezone.now() - alpha.last_seen < datetime.timedelta(minutes=1)
    known, unknown = alpha.still_sends
    assert (known.value, known.send, known.requests) == ("series a", "series_a", 4)
    assert known.endpoints == ("monte_carlo", "strategies")
    assert (unknown.value, unknown.send, unknown.reason) == ("seires b", None, "unmapped")
    assert (unknown.suggestions, unknown.requests) == (("series_b",), 3)
    assert unknown.examples == ('"Seires B"',)
    assert unknown.last_sent == timezone.now().date()


def test_the_share_of_unknowns_is_of_all_stages_sent(traffic):
    alpha = caller("alpha")
    assert (alpha.values, alpha.unknown) == (10, 3)
    assert alpha.unknown_share == 0.3


def test_who_sends_nothing_is_listed_too(traffic):
    silent = caller("silent")
    assert (silent.status, silent.last_seen, silent.unknown_share, silent.still_sends) == (
        "revoked",
        None,
        None,
        (),
    )


def test_every_kind_of_caller_is_told_apart(traffic, consumer_named):
    consumer_named("late", "read", expires_at=timezone.now() - datetime.timedelta(days=1))
    for name in ("session:ann", "renamed"):
        contacts.note(consumer=name, endpoint="stages", meta={})
    contacts.flush()
    found = {it.name: it.status for it in audit()}
    assert found == {
        "alpha": "valid",
        "late": "expired",
        "renamed": "gone",
        "session:ann": "session",
        "silent": "revoked",
    }


def test_what_was_sent_before_the_days_that_are_looked_at_is_left_out(traffic):
    old = timezone.now().date() - datetime.timedelta(days=7)
    ConsumerSighting.objects.filter(outcome="unknown").update(day=old)
    assert [it.outcome for it in caller("alpha").still_sends] == ["normalized"]
    assert len(caller("alpha", days=8).still_sends) == 2
    assert caller("alpha").unknown_share == 0


def test_the_advice_follows_the_vocabulary_of_now_and_the_callers_own_aliases(traffic):
    StageAlias.objects.create(
        spelling="x", key="seires b", source="alpha", stage=Stage.objects.get(slug="growth")
    )
    snapshot.forget()
    now_known = caller("alpha").still_sends[1]
    assert (now_known.outcome, now_known.send, now_known.reason, now_known.suggestions) == (
        "unknown",
        "growth",
        None,
        (),
    )


def test_the_number_of_queries_does_not_grow_with_the_callers(
    traffic, django_assert_max_num_queries
):
    for number in range(20):
        tokens.create(f"more {number}", ["read"])
        contacts.note(consumer=f"more {number}", endpoint="stages", meta={})
    contacts.flush()
    with django_assert_max_num_queries(7):
        assert len(audit()) == 22


def test_the_table_has_a_row_for_each_value_and_one_for_the_silent(traffic):
    Consumer.objects.filter(name="silent").update(name="=cmd|' /C calc'!A1")
    file = io.StringIO()
    assert export_audit(file, audit()) == 3
    header, silent, known, unknown = csv.reader(io.StringIO(file.getvalue()))
    assert tuple(header) == COLUMNS
    assert len({len(row) for row in (header, silent, known, unknown)}) == 1
    assert silent[0] == "'=cmd|' /C calc'!A1"
    row = dict(zip(header, unknown, strict=True))
    assert (row["consumer"], row["value"], row["suggestions"], row["unknown_share"]) == (
        "alpha",
        "seires b",
        "series_b",
        "0.3000",
    )
