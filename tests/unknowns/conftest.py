"""Companies, entries and requests for the tests of the queue."""

import datetime

import pytest
from django.utils import timezone

from stageapp.consumers import sightings
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.models.unknowns import UnknownEntry
from stageapp.unknowns import examples, records
from stageapp.validation import decide
from stageapp.vocabulary import snapshot

TARGET = "stageapp.PortfolioCompany.stage"


@pytest.fixture(autouse=True)
def _no_counts():
    sightings.buffer.forget()
    yield
    sightings.buffer.forget()


@pytest.fixture
def stored(db):
    """Return a function that stores companies with these stages."""
    fund = Fund.objects.create(name="First")

    def store(*stages):
        PortfolioCompany.objects.bulk_create(
            PortfolioCompany(fund=fund, name="a company", stage=stage) for stage in stages
        )

    return store


@pytest.fixture
def entry(db):
    """Return a function that brings values into the queue by an import and returns the first
    one's entry.
    """

    def make(*raws, place="a file", source=""):
        records.record_import(place, dict.fromkeys(raws, 1), source=source)
        return find(raws[0])

    return make


@pytest.fixture
def sent(db):
    """Return a function that counts one request with these values, and writes the counts."""

    def send(*raws, consumer="alpha", endpoint="simulate", days_ago=0):
        values = [(f"/{index}", raw) for index, raw in enumerate(raws)]
        decision = decide(values, mode="warn", vocabulary=snapshot.load(), source=consumer)
        sightings.note(consumer=consumer, endpoint=endpoint, decision=decision)
        sightings.flush()
        day = timezone.now().date()
        rows = (
            ConsumerSighting.objects.filter(day=day)
            if days_ago
            else ConsumerSighting.objects.none()
        )
        rows.update(day=day - datetime.timedelta(days=days_ago))

    return send


def find(raw):
    """Return the entry of a raw value."""
    return UnknownEntry.objects.get(key=examples.identity(raw, snapshot.load().normalize(raw)))
