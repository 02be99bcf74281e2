"""The fast copy in Redis: what is written over what, what is believed, and how it is healed."""

import json

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from stageapp.infrastructure import events
from stageapp.infrastructure import redis as redis_clients
from stageapp.infrastructure.redis import strict
from stageapp.mode import fast_copy, store
from stageapp.mode.store import ModeState

GOOD = {"mode": "off", "percent": 100, "epoch": 1, "version": 2, "enforce_on": None, "since": None}


@pytest.fixture(autouse=True)
def _empty_fast_copy():
    strict().delete(fast_copy.KEY)
    yield
    strict().delete(fast_copy.KEY)


def state(mode, version, epoch=1):
    return ModeState(mode, 100, epoch, version, source="postgres")


def held_version():
    value = json.loads(strict().get(fast_copy.KEY))
    return value["epoch"], value["version"]


def change(mode):
    return store.change(mode=mode, actor="test", reason="a test")


@pytest.mark.parametrize(
    "first, second, kept",
    [
        ((1, 5), (1, 6), (1, 6)),
        ((1, 6), (1, 5), (1, 6)),
        ((1, 9), (2, 1), (2, 1)),
        ((2, 1), (1, 9), (2, 1)),
        ((1, 5), (1, 5), (1, 5)),
        ((1, 10), (1, 9), (1, 10)),
    ],
)
def test_an_older_version_never_overwrites_a_newer_one(first, second, kept):
    for epoch, version in (first, second):
        store.publish(state("warn", version, epoch))
    assert held_version() == kept


def test_what_was_read_and_judged_gives_way_however_new_it_claims_to_be():
    store.publish(state("off", 10**12))
    forged = fast_copy.read()
    store.publish(state("enforce", 3))
    assert held_version() == (1, 10**12)
    store.publish(state("enforce", 3), instead_of=forged)
    assert held_version() == (1, 3)


def test_what_was_read_and_judged_is_left_if_it_has_changed_meanwhile():
    store.publish(state("off", 7))
    judged = fast_copy.read()
    store.publish(state("warn", 8))
    store.publish(state("enforce", 3), instead_of=judged)
    assert held_version() == (1, 8)


GARBAGE = [
    b"ENFORCE",
    b"",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b"7",
    b"{",
    b"[" * 5000,
    b"x" * 10_000_000,
    *[
        json.dumps(GOOD | wrong).encode()
        for wrong in (
            {"mode": "ENFORCE"},
            {"mode": ["off"]},
            {"mode": None},
            {"percent": 0},
            {"percent": 101},
            {"percent": "100"},
            {"percent": True},
            {"mode": "warn", "percent": 50},
            {"epoch": 99, "version": "99"},
            {"epoch": 99, "version": -1},
            {"epoch": 99, "version": 1.5},
            {"epoch": 99, "version": None},
            {"enforce_on": "soon"},
            {"enforce_on": 5},
            {"since": "then"},
            {"since": 7},
        )
    ],
    json.dumps(GOOD)[:-1].encode() + b', "version": 1e999}',
    b'{"mode": "off", "version": 99, "epoch": 99}',
]


@pytest.mark.parametrize("value", GARBAGE, ids=lambda value: ascii(value[:60]))
@pytest.mark.django_db
def test_garbage_is_ignored_logged_and_healed_from_postgres(value, monkeypatch, settings):
    logged = []
    monkeypatch.setattr(events, "mode_value_ignored", lambda **fields: logged.append(fields))
    change("enforce")
    with redis.Redis.from_url(
        settings.REDIS_URL
    ) as patient:  # 10 MB in 100 ms is too much of a busy machine
        patient.set(fast_copy.KEY, value)
    store.forget()
    store.refresh_from_fast_copy()
    assert store.current() == ModeState("warn")
    assert bool(logged) == bool(value)
    store.refresh()
    assert store.current().mode == "enforce"
    assert held_version() == (1, 1)


@pytest.mark.django_db
def test_a_key_of_another_type_is_ignored_and_healed():
    change("enforce")
    strict().delete(fast_copy.KEY)
    strict().rpush(fast_copy.KEY, "off", "warn")
    store.refresh_from_fast_copy()
    store.refresh()
    assert store.current().mode == "enforce"
    assert held_version() == (1, 1)


@pytest.mark.parametrize("was", ["off", "warn", "enforce"])
@pytest.mark.django_db
def test_a_flushed_redis_changes_nothing_and_is_filled_again(was):
    change(was)
    strict().delete(fast_copy.KEY)
    store.refresh()
    assert store.current().mode == was
    assert held_version() == (1, 1)


@pytest.mark.parametrize("forged", ["off", "warn", "enforce"])
@pytest.mark.parametrize("version", [2, 10**15])
@pytest.mark.django_db
def test_a_forged_copy_moves_nobody_while_postgres_answers_and_is_healed(forged, version):
    change("off")
    change("enforce" if forged != "enforce" else "warn")
    true = store.latest()
    store.adopt(true)
    strict().set(fast_copy.KEY, json.dumps(GOOD | {"mode": forged, "version": version}))
    store.refresh_from_fast_copy()
    assert store.current().agrees_with(true)
    store.refresh()
    assert store.current().agrees_with(true)
    assert store.parse_fast_copy(fast_copy.read()).agrees_with(true)


@pytest.mark.django_db(transaction=True)
def test_a_crash_between_commit_and_publish_heals(monkeypatch):
    change("enforce")

    def die(**_):
        raise SystemExit("killed")

    with monkeypatch.context() as patched:
        patched.setattr(store.events, "mode_changed", die)  # the first that follows the commit
        with pytest.raises(SystemExit, match="killed"):
            change("warn")
    assert held_version() == (1, 1)
    store.refresh()
    assert store.current().mode == "warn"
    assert held_version() == (1, 2)


@pytest.mark.django_db(transaction=True)
def test_a_repair_hints_nobody_and_a_change_does():
    pubsub = strict().pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(fast_copy.CHANNEL)
    pubsub.get_message(timeout=1)
    change("warn")
    assert pubsub.get_message(timeout=1)
    strict().delete(fast_copy.KEY)
    store.refresh()
    assert held_version() == (1, 1)
    assert pubsub.get_message(timeout=0.05) is None
    pubsub.close()


@pytest.mark.django_db(transaction=True)
def test_with_redis_away_a_change_is_made_and_postgres_is_followed(monkeypatch):
    away = redis.Redis(unix_socket_path="/nonexistent/redis.sock", retry=Retry(NoBackoff(), 0))
    monkeypatch.setattr(fast_copy, "strict", lambda: away)
    change("enforce")
    store.forget()
    store.refresh()
    assert (store.current().mode, store.current().source) == ("enforce", "postgres")


def test_the_strict_client_makes_one_attempt_of_100_ms():
    pool = redis_clients.strict().connection_pool
    assert pool.connection_kwargs["socket_timeout"] == 0.1
    assert pool.connection_kwargs["socket_connect_timeout"] == 0.1
    assert pool.connection_kwargs["retry"].get_retries() == 0
