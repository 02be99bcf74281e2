"""The queue as a person reads it: by impact, with places and suggestions, and without what is too old."""

import datetime

import pytest
from django.utils import timezone

from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import UnknownCount, UnknownEntry
from stageapp.normalization.plan import make_plan
from stageapp.unknowns import decisions, records
from stageapp.unknowns.queue import forget_old, places, queue, suggestions
from stageapp.vocabulary import load
from tests.unknowns.conftest import TARGET, find

pytestmark = pytest.mark.django_db
WHO = {"actor": "petra", "reason": "a test"}


def test_the_greatest_impact_comes_first(stored, sent):
    stored("Fondo X", "Fondo X", "Fondo Y")
    records.record_table(make_plan(TARGET, actor="test"))
    for _ in range(3):
        sent("Fondo Y")
    sent("Fondo Z")
    assert [(e.key, e.rows, e.requests, e.impact) for e in queue()] == [
        ("fondo y", 1, 3, 4), ("fondo x", 2, 0, 2), ("fondo z", 0, 1, 1),
    ]  # fmt: skip


def test_imported_rows_are_not_counted_again_when_a_plan_finds_them(stored):
    stored("Fondo X", "Fondo X", "Fondo X")
    records.record_import("First", {"Fondo X": 3})
    records.record_table(make_plan(TARGET, actor="test"))
    assert [(e.rows, e.imported, e.impact) for e in queue()] == [(3, 3, 3)]


def test_only_the_requests_of_the_last_seven_days_count(sent):
    sent("Fondo X", days_ago=8)
    sent("Fondo X", days_ago=6)
    assert [entry.requests for entry in queue()] == [1]


def test_the_queue_has_no_n_plus_one(entry, django_assert_num_queries):
    entry(*(f"Fondo {number}x" for number in range(20)))
    with django_assert_num_queries(1):
        assert len(list(queue())) == 20


def test_an_entry_tells_where_it_was_seen(stored, sent, entry):
    entry("Fondo X", place="a file", source="a file")
    sent("Fondo X", consumer="beta", endpoint="allocations")
    sent("Fondo X", consumer="beta", endpoint="allocations")
    found = [(place.kind, place.place, place.source, place.count) for place in places(find("Fondo X"))]
    assert found == [("traffic", "allocations", "beta", 2), ("import", "a file", "a file", 1)]


def test_the_look_alike_is_the_suggestion(entry):
    assert suggestions(entry("Sеries A"), load()) == ("series_a",)  # a Cyrillic e
    assert suggestions(entry("Fondo X"), load()) == ()


def age(days, *models):
    then = timezone.now() - datetime.timedelta(days=days)
    UnknownEntry.stored.update(last_seen=then)
    ConsumerSighting.objects.update(day=then.date())
    UnknownCount.objects.update(day=then.date())


def test_what_was_not_seen_for_long_is_forgotten(entry, sent, settings):
    settings.STAGE_UNKNOWN_RETENTION_DAYS, settings.STAGE_SIGHTING_RETENTION_DAYS = 30, 10
    entry("Fondo X")
    sent("Fondo Y")
    age(9)
    assert forget_old() == {"sightings": 0, "counts": 0, "entries": 0}
    age(11)
    assert forget_old()["sightings"] == 1
    age(31)
    assert forget_old() == {"sightings": 0, "counts": 1, "entries": 2}
    assert not UnknownEntry.objects.exists()


def test_a_decision_is_never_forgotten(entry, settings):
    settings.STAGE_UNKNOWN_RETENTION_DAYS = 30
    entry("Fondo X", "Fondo Y", "Fondo Z")
    decisions.ignore([find("Fondo X")], **WHO)
    decisions.declare([find("Fondo Y")], "not_a_stage", **WHO)
    age(1000)
    forget_old()
    assert {entry.key: entry.state for entry in UnknownEntry.objects.all()} == {
        "fondo x": "ignored", "fondo y": "declared",
    }  # fmt: skip


def test_what_a_table_still_holds_is_not_forgotten(stored, settings):
    settings.STAGE_UNKNOWN_RETENTION_DAYS = 30
    stored("Fondo X")
    records.record_table(make_plan(TARGET, actor="test"))
    age(1000)
    assert forget_old()["entries"] == 0
