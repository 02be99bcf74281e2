"""Recording unknown values: byte for byte, counted, bounded."""

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stageapp.models.unknowns import OVERFLOW, UnknownCount, UnknownEntry
from stageapp.normalization.plan import make_plan
from stageapp.unknowns import examples, records
from stageapp.unknowns.records import Seen
from stageapp.vocabulary import snapshot
from tests.unknowns.conftest import TARGET, find

pytestmark = pytest.mark.django_db

# Every code point that a Python str may hold, the lone surrogates and NUL too.
ANY = st.text(st.characters(codec=None, categories=None), max_size=80)


def counts(kind):
    rows = UnknownCount.objects.filter(kind=kind).values_list(
        "entry__key", "place", "source", "count"
    )
    return sorted(rows)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(ANY, min_size=1, max_size=6))
@example(["\x00", "\ud800", '"\\'])
def test_whatever_is_unknown_is_stored_as_it_was_written(raws):
    records.record_import("a file", Counter(raws))
    meaning_of = snapshot.load()
    for raw in raws:
        if meaning_of.normalize(raw).stage is None:
            found = UnknownEntry.objects.get(key=examples.identity(raw, meaning_of.normalize(raw)))
            assert (
                examples.example(raw) in found.examples
                or len(found.examples) == UnknownEntry.MOST_EXAMPLES
            )


def test_spellings_of_one_key_are_one_entry_with_the_first_five_as_examples():
    spellings = ["Fondo X", "fondo x", "FONDO X", "fondo-x", "Fondo  X", "fondo_x", "fOnDo X"]
    for spelling in spellings:
        records.record_import("a file", {spelling: 1})
    found = UnknownEntry.objects.get()
    assert (found.key, found.reason, found.state) == ("fondo x", "unmapped", "open")
    assert [json.loads(shown) for shown in found.examples] == spellings[:5]
    assert counts("import") == [("fondo x", "a file", "", 7)]


def test_blanks_are_one_entry_and_each_junk_is_one_of_its_own():
    records.record_import("a file", {"": 1, "  ": 2, "\x00a": 3, "\x00b": 4})
    keys = set(UnknownEntry.objects.values_list("key", "reason"))
    assert len(keys) == 3
    assert ("", "blank") in keys
    assert all(not find(raw).takes_alias for raw in ("", "\x00a", "\x00b"))


def test_known_values_are_not_recorded():
    assert records.record_import("a file", {"Series A": 3, "seed": 2, "Fondo X": 5}) == 5
    assert UnknownEntry.objects.count() == 1


def test_an_import_adds_to_an_earlier_one_of_the_day_and_keeps_first_seen():
    records.record_import("a file", {"Fondo X": 5}, source="a file")
    first = UnknownEntry.objects.get()
    records.record_import("a file", {"FONDO X": 2}, source="a file")
    again = UnknownEntry.objects.get()
    assert counts("import") == [("fondo x", "a file", "a file", 7)]
    assert again.first_seen == first.first_seen
    assert again.last_seen > first.last_seen


def test_a_plan_says_what_the_table_holds_and_the_next_plan_replaces_it(stored):
    stored("Fondo X", "fondo-x", "Angel", "Seed")
    assert records.record_table(make_plan(TARGET, actor="test")) == 3
    assert counts("table") == [("angel", TARGET, "", 1), ("fondo x", TARGET, "", 2)]
    stored("Fondo X")
    stored_before = UnknownEntry.objects.count()
    records.record_table(make_plan(TARGET, actor="test"))
    assert counts("table") == [("angel", TARGET, "", 1), ("fondo x", TARGET, "", 3)]
    assert UnknownEntry.objects.count() == stored_before


def test_a_value_that_left_the_table_is_no_longer_counted_there():
    records.record_bypass(TARGET, [("", "Fondo X", 2), ("", "Fondo Y", 1)])
    records.record_bypass(TARGET, [("", "Fondo Y", 4)])
    assert counts("bypass") == [("fondo y", TARGET, "", 4)]
    records.record_bypass(TARGET, [])
    assert counts("bypass") == []
    assert UnknownEntry.objects.count() == 2


def test_beyond_the_bound_the_rarest_are_counted_together(monkeypatch):
    monkeypatch.setattr(records, "MOST_ENTRIES", 2)
    records.record_import("a file", {"Fondo A1": 9, "Fondo B1": 8, "Fondo C1": 2, "Fondo D1": 1})
    assert [row[0::3] for row in counts("import")] == [
        ("fondo a1", 9),
        ("fondo b1", 8),
        (OVERFLOW, 3),
    ]


def test_beyond_what_is_read_values_are_still_counted(monkeypatch):
    monkeypatch.setattr(records, "MOST_READ", 1)
    records.record_import("a file", {"Fondo A1": 9, "Seed": 2, "Fondo D1": 1})
    assert [row[0::3] for row in counts("import")] == [("fondo a1", 9), (OVERFLOW, 3)]


def test_the_newest_reason_is_kept():
    records.keep({"fondo x": Seen("unmapped", ["Fondo X"])})
    records.keep({"fondo x": Seen("not_a_stage", ["Fondo X"])})
    assert UnknownEntry.objects.get().reason == "not_a_stage"
