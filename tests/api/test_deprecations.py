import datetime

from stageapp import vocabulary
from stageapp.models import Stage, StageAlias
from stageapp.rollout.canary import bucket

SINCE = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def test_names_the_mode_its_dates_and_what_to_send(client_of, consumer, in_mode):
    in_mode("warn", since=SINCE, enforce_on=datetime.date(2026, 12, 24))
    found = client_of(consumer).get("/api/deprecations").json()
    assert (found["mode"], found["effective_mode"], found["percent"]) == ("warn", "warn", 100)
    assert (found["since"], found["until"]) == ("2026-03-01T12:00:00Z", "2026-12-24")
    assert {"spelling": "Series A", "send": "series_a"} in found["retired"]
    assert found["valid_stages"] == list(vocabulary.current().labels)


def test_what_is_retired_is_understood_and_is_not_canonical(client_of, consumer, in_mode):
    for entry in client_of(consumer).get("/api/deprecations").json()["retired"]:
        assert vocabulary.normalize(entry["spelling"]).stage == entry["send"] != entry["spelling"]


def test_tells_a_caller_its_own_aliases_and_mode(client_of, consumer, consumer_named, in_mode):
    StageAlias.objects.create(spelling="Zulu", key="zulu", source="alpha", stage=Stage.objects.get(slug="seed"))
    in_mode("enforce", percent=bucket("alpha") + 1)
    zulu = {"spelling": "Zulu", "send": "seed"}
    found = client_of(consumer).get("/api/deprecations").json()
    assert zulu in found["retired"]
    assert found["effective_mode"] == "enforce"
    other = next(name for name in map(str, range(1000)) if bucket(name) > bucket("alpha"))
    found = client_of(consumer_named(other, "read")).get("/api/deprecations").json()
    assert zulu not in found["retired"]
    assert (found["mode"], found["effective_mode"]) == ("enforce", "warn")
