import datetime

import pytest
from django.utils import timezone

from stageapp.consumers import sightings
from stageapp.models import ConsumerSighting, Stage, StageAlias
from stageapp.rollout.canary import bucket
from stageapp.vocabulary import snapshot
from tests.api.calls import post

DAY = datetime.date(2099, 12, 24)
SINCE = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def test_names_the_mode_its_dates_and_what_to_send(client_of, consumer, in_mode):
    in_mode("warn", since=SINCE, enforce_on=DAY)
    found = client_of(consumer).get("/api/deprecations").json()
    assert (found["mode"], found["effective_mode"], found["percent"]) == ("warn", "warn", 100)
    assert (found["since"], found["until"]) == ("2026-03-01T12:00:00Z", "2099-12-24")
    assert {"spelling": "Series A", "send": "series_a"} in found["retired"]
    assert found["valid_stages"] == list(snapshot.current().labels)


def test_in_a_canary_the_day_is_that_of_the_header(client_of, consumer_named, in_mode):
    names = sorted(map(str, range(20)), key=bucket)
    in_mode("enforce", percent=bucket(names[0]) + 1, since=SINCE, enforce_on=DAY)
    for name, until in ((names[0], None), (names[-1], "2099-12-24")):
        client = client_of(consumer_named(name, "read", "write"))
        assert client.get("/api/deprecations").json()["until"] == until
        assert ("Sunset" in post(client, "allocations", {"wat": 1})) == (until is not None)


def test_a_day_that_has_passed_is_told_no_more(client_of, consumer, in_mode):
    in_mode("warn", since=SINCE, enforce_on=timezone.now().date() - datetime.timedelta(days=1))
    assert client_of(consumer).get("/api/deprecations").json()["until"] is None


def test_what_is_retired_is_understood_and_is_not_canonical(client_of, consumer, in_mode):
    for entry in client_of(consumer).get("/api/deprecations").json()["retired"]:
        assert snapshot.normalize(entry["spelling"]).stage == entry["send"] != entry["spelling"]


def test_tells_a_caller_its_own_aliases_and_mode(client_of, consumer, consumer_named, in_mode):
    StageAlias.objects.create(
        spelling="Zulu", key="zulu", source="alpha", stage=Stage.objects.get(slug="seed")
    )
    in_mode("enforce", percent=bucket("alpha") + 1)
    zulu = {"spelling": "Zulu", "send": "seed"}
    found = client_of(consumer).get("/api/deprecations").json()
    assert zulu in found["retired"]
    assert found["effective_mode"] == "enforce"
    other = next(name for name in map(str, range(1000)) if bucket(name) > bucket("alpha"))
    found = client_of(consumer_named(other, "read")).get("/api/deprecations").json()
    assert zulu not in found["retired"]
    assert (found["mode"], found["effective_mode"]) == ("enforce", "warn")


@pytest.fixture
def sent(client_of, consumer, in_mode):
    """Make requests of a caller, write what was counted, and return what the API tells the
    caller of it.
    """
    in_mode("warn")
    sightings.buffer.forget()

    def tell(client=None):
        sightings.flush()
        return (client or client_of(consumer)).get("/api/deprecations").json()["you_sent"]

    client = client_of(consumer)
    post(client, "monte_carlo", {"Series A": 0.5, "Seires B": 0.25, "seed": 0.25})
    post(client, "strategies", {"series-a": 1})
    return tell


def test_tells_a_caller_what_it_sent_and_what_to_send_instead(sent):
    today = str(timezone.now().date())
    assert sent() == {
        "days": 7,
        "retired": [
            {
                "value": "series a",
                "send": "series_a",
                "requests": 2,
                "endpoints": ["monte_carlo", "strategies"],
                "last_sent": today,
            },
        ],
        "unknown": [
            {
                "value": "seires b",
                "reason": "unmapped",
                "suggestions": ["series_b"],
                "requests": 1,
                "endpoints": ["monte_carlo"],
                "last_sent": today,
            },
        ],
    }


def test_tells_a_caller_nothing_of_what_others_sent(sent, client_of, consumer_named):
    sightings.flush()
    assert sent(client_of(consumer_named("beta", "read"))) == {
        "days": 7,
        "retired": [],
        "unknown": [],
    }


def test_what_was_sent_more_than_a_week_ago_is_not_told(sent):
    sightings.flush()
    ConsumerSighting.objects.update(day=timezone.now().date() - datetime.timedelta(days=7))
    assert sent() == {"days": 7, "retired": [], "unknown": []}


def test_a_session_is_told_what_it_sent_itself(sent, client_of, django_user_model, client):
    sightings.flush()
    client.defaults.pop("HTTP_AUTHORIZATION")
    client.force_login(django_user_model.objects.create_user("ann", is_staff=True))
    assert sent(client)["retired"] == []
