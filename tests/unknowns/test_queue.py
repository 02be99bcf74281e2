"""The queue as a person reads it: by impact, with places and suggestions, and without what is
too old.
"""

import pytest

from stageapp.normalization.plan import make_plan
from stageapp.unknowns import records
from stageapp.unknowns.queue import places, queue, suggestions
from stageapp.vocabulary.snapshot import load
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
        ("fondo y", 1, 3, 4),
        ("fondo x", 2, 0, 2),
        ("fondo z", 0, 1, 1),
    ]


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
    found = [
        (place.kind, place.place, place.source, place.count) for place in places(find("Fondo X"))
    ]
    assert found == [("traffic", "allocations", "beta", 2), ("import", "a file", "a file", 1)]


def test_the_look_alike_is_the_suggestion(entry):
    assert suggestions(entry("Sеries A"), load()) == ("series_a",)  # a Cyrillic e
    assert suggestions(entry("Fondo X"), load()) == ()
