"""What a decision would change, before anybody decides."""

import pytest

from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import VocabularyVersion
from stageapp.targets import values
from stageapp.unknowns.decisions import preview
from tests.unknowns.conftest import TARGET, find

pytestmark = pytest.mark.django_db


def test_it_counts_the_rows_that_hold_the_value_now_however_it_is_written(stored, entry):
    chosen = entry("Fondo X")
    stored("Fondo X", "fondo-x", "FONDO X", "Fondo X", "Fondo Y", "seed")
    found = preview([chosen], stage="seed")
    assert (found.rows, found.rows_total, found.changes_rows) == ({TARGET: 4}, 4, True)
    assert found.values[0] == ("Fondo X", 2)
    assert len(found.values) == 3


def test_it_counts_yesterdays_requests_by_consumer(sent):
    sent("Fondo X", "Seed", consumer="alpha", days_ago=1)
    sent("Fondo X", consumer="beta", days_ago=1)
    sent("Fondo X", consumer="beta")
    found = preview([find("Fondo X")], stage="seed")
    assert (found.requests, found.requests_total) == ({"alpha": 1, "beta": 1}, 2)


def test_several_entries_are_previewed_together(stored, entry):
    entry("Fondo X", "Fondo Y", "Fondo Z")
    stored("Fondo X", "Fondo Y", "Fondo Y", "Angel")
    assert preview(UnknownEntry.objects.all(), stage="seed").rows_total == 3


def test_a_declared_or_ignored_value_changes_no_row(stored, entry):
    chosen = entry("Fondo X")
    stored("Fondo X")
    for found in (preview([chosen], code="not_a_stage"), preview([chosen])):
        assert (found.rows, found.changes_rows) == ({TARGET: 1}, False)


def test_junk_is_found_by_its_digest(stored, entry):
    chosen = entry("\U0010ffff")
    stored("\U0010ffff", "\U0010fffe")
    assert preview([chosen]).rows == {TARGET: 1}


def test_a_decision_for_one_consumer_touches_that_consumer_alone(stored, sent):
    stored("Fondo X")
    sent("Fondo X", consumer="alpha", days_ago=1)
    sent("Fondo X", consumer="beta", days_ago=1)
    found = preview([find("Fondo X")], stage="seed", source="beta")
    assert (found.rows, found.requests) == ({TARGET: 0}, {"beta": 1})


def test_it_says_what_would_be_refused(entry):
    entry("Series A or B", "Fondo X", "")
    found = preview(UnknownEntry.objects.all(), stage="series_a")
    assert len(found.refused) == 2


def test_a_table_that_cannot_be_read_in_time_is_said(stored, entry, settings, monkeypatch):
    settings.STAGE_DRIFT_TIMEOUT_SECONDS = 0.05
    chosen = entry("Fondo X")
    stored("Fondo X")
    monkeypatch.setattr(values, "MOST_VALUES", "(SELECT 5 FROM pg_sleep(2))")
    found = preview([chosen], stage="seed")
    assert found.rows == {}
    assert "0.05 s" in found.problems[0]


def test_it_changes_nothing(stored, entry):
    chosen = entry("Fondo X")
    stored("Fondo X")
    before = VocabularyVersion.objects.count()
    preview([chosen], stage="seed")
    assert (find("Fondo X").state, VocabularyVersion.objects.count()) == ("open", before)
