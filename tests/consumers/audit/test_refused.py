"""Who would be refused if everything were enforced: by the vocabulary of now, over the days that
are looked at.
"""

import datetime

import pytest
from django.utils import timezone

from stageapp.consumers.audit.callers import refused_if_enforced
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import OVERFLOW
from stageapp.models.vocabulary import Stage, StageAlias
from stageapp.vocabulary import snapshot

pytestmark = pytest.mark.django_db


def sighted(consumer, key, outcome, count, days_ago=0):
    day = timezone.now().date() - datetime.timedelta(days=days_ago)
    ConsumerSighting.objects.create(
        consumer=consumer, day=day, endpoint="simulate", key=key, outcome=outcome, count=count
    )


def found():
    snapshot.forget()
    snapshot.load()
    return [
        (one.consumer, one.times, [value.value for value in one.values])
        for one in refused_if_enforced()
    ]


def test_the_most_affected_consumer_comes_first_and_its_most_frequent_value(db):
    sighted("alpha", "venture debt", "unknown", 3)
    sighted("beta", "bridge", "unknown", 2)
    sighted("beta", "venture debt", "unknown", 9)
    sighted("beta", "venture debt", "unknown", 1, days_ago=2)
    sighted("gamma", "series a", "normalized", 50)
    sighted("gamma", "seed", "canonical", 50)
    assert found() == [("beta", 12, ["venture debt", "bridge"]), ("alpha", 3, ["venture debt"])]


def test_what_was_sent_long_ago_is_sent_no_more(db):
    sighted("alpha", "venture debt", "unknown", 3, days_ago=7)
    assert found() == []


def test_an_alias_of_today_saves_what_was_unknown_yesterday(db):
    sighted("alpha", "first cheque", "unknown", 3, days_ago=1)
    assert found() == [("alpha", 3, ["first cheque"])]
    with snapshot.change(actor="ann", reason="decided"):
        seed = Stage.objects.get(slug="seed")
        StageAlias.objects.create(spelling="First cheque", key="first cheque", stage=seed)
    assert found() == []


def test_what_came_on_top_of_the_bounds_stays_as_it_was_judged(db):
    sighted("alpha", OVERFLOW, "unknown", 4)
    sighted("beta", OVERFLOW, "normalized", 5)
    assert found() == [("alpha", 4, [OVERFLOW])]
