"""What is forgotten, and what never is."""

import datetime

import pytest
from django.utils import timezone

from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import UnknownCount, UnknownEntry
from stageapp.normalization.plan import make_plan
from stageapp.unknowns import decisions, records
from stageapp.unknowns.records import forget_old
from tests.unknowns.conftest import TARGET, find

pytestmark = pytest.mark.django_db
WHO = {"actor": "petra", "reason": "a test"}


def age(days):
    then = timezone.now() - datetime.timedelta(days=days)
    UnknownEntry.stored.update(last_seen=then)
    ConsumerSighting.objects.update(day=then.date())
    UnknownCount.objects.update(day=then.date())


def test_what_was_not_seen_for_long_is_forgotten(entry, sent, settings):
    settings.STAGE_SIGHTING_RETENTION_DAYS = 10
    entry("Fondo X")
    sent("Fondo Y")
    age(9)
    assert forget_old() == {"sightings": 0, "counts": 0, "entries": 0}
    age(11)
    assert forget_old()["sightings"] == 1
    age(179)
    assert forget_old() == {"sightings": 0, "counts": 0, "entries": 0}
    age(181)
    assert forget_old() == {"sightings": 0, "counts": 1, "entries": 2}
    assert not UnknownEntry.objects.exists()


def test_a_decision_is_never_forgotten(entry):
    entry("Fondo X", "Fondo Y", "Fondo Z")
    decisions.ignore([find("Fondo X")], **WHO)
    decisions.declare([find("Fondo Y")], "not_a_stage", **WHO)
    age(1000)
    forget_old()
    assert {entry.key: entry.state for entry in UnknownEntry.objects.all()} == {
        "fondo x": "ignored",
        "fondo y": "declared",
    }


def test_what_a_table_still_holds_is_not_forgotten(stored):
    stored("Fondo X")
    records.record_table(make_plan(TARGET, actor="test"))
    age(1000)
    assert forget_old()["entries"] == 0
