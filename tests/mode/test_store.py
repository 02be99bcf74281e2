"""The mode store against the real PostgreSQL and Redis: changes, readings, staleness."""

import datetime
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from stageapp.infrastructure import events
from stageapp.infrastructure.redis import strict
from stageapp.mode import fast_copy, store
from stageapp.mode.store import ModeError, ModeState, VersionConflict
from stageapp.models.mode import ModeChange


@pytest.fixture(autouse=True)
def _empty_fast_copy():
    strict().delete(fast_copy.KEY)
    yield
    strict().delete(fast_copy.KEY)


@pytest.fixture
def clock(monkeypatch):
    """Let the test move the monotonic clock of the mode store."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(store, "time", clock)
    return clock


def told(source, mode, version=1, percent=100, epoch=1):
    return ModeState(mode, percent, epoch, version, source=source)


def in_redis():
    held = fast_copy.read()
    return store.parse_fast_copy(held) if held else None


def put_in_redis(mode, version, epoch=1, percent=100):
    store.publish(told("redis", mode, version, percent, epoch), instead_of=fast_copy.read())


def change(mode="warn", **more):
    return store.change(mode=mode, actor="test", reason="a test", **more)


# --- changes


@pytest.mark.django_db(transaction=True)
def test_each_change_is_a_row_with_the_next_version():
    rows = [change(mode) for mode in ("warn", "enforce", "off", "warn")]
    assert [row.version for row in rows] == [1, 2, 3, 4]
    assert {row.epoch for row in rows} == {1}
    assert store.latest().order == (1, 4)


@pytest.mark.django_db(transaction=True)
def test_a_change_holds_at_once_here_and_in_redis():
    change("enforce", percent=10, enforce_on=datetime.date(2031, 5, 1))
    here, there = store.current(), in_redis()
    assert (here.mode, here.percent, here.version, here.source) == ("enforce", 10, 1, "postgres")
    assert there.agrees_with(here)
    assert there.enforce_on == datetime.date(2031, 5, 1)


@pytest.mark.django_db(transaction=True)
def test_who_and_why_are_kept():
    store.change(
        mode="off", actor="user:7", reason="  too noisy  ", kind="downgrade", override_reason="seen"
    )
    row = ModeChange.objects.get()
    assert (row.actor, row.reason, row.kind, row.override_reason) == (
        "user:7",
        "too noisy",
        "downgrade",
        "seen",
    )


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_rolled_back_is_never_announced(monkeypatch):
    logged = []
    monkeypatch.setattr(events, "mode_changed", lambda **fields: logged.append(fields))
    with transaction.atomic():
        change("enforce")
        transaction.set_rollback(True)
    assert store.current().mode == "warn"
    assert in_redis() is None
    assert logged == []
    change("off")
    assert [fields["mode"] for fields in logged] == ["off"]


@pytest.mark.parametrize(
    "values, told_what_to_do",
    [
        ({"mode": "ENFORCE"}, "Use off, warn or enforce"),
        ({"mode": ""}, "Use off, warn or enforce"),
        ({"mode": "enforce", "percent": 0}, "from 1 to 100"),
        ({"mode": "enforce", "percent": 101}, "from 1 to 100"),
        ({"mode": "warn", "percent": 50}, "Leave percent out"),
        ({"mode": "warn", "reason": " \t"}, "A reason is needed"),
    ],
)
@pytest.mark.django_db
def test_what_makes_no_mode_is_refused_and_changes_nothing(values, told_what_to_do):
    with pytest.raises(ModeError, match=told_what_to_do):
        store.change(**{"actor": "test", "reason": "a test"} | values)
    assert not ModeChange.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_change_on_an_outdated_version_is_refused_and_says_what_to_do():
    change("warn")
    change("enforce")
    with pytest.raises(
        VersionConflict, match=r"version 2, not 1.*Check the current mode"
    ) as refused:
        change("off", expected_version=1)
    assert refused.value.found == 2
    assert store.latest().mode == "enforce"
    assert change("off", expected_version=2).version == 3


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_on_the_same_version_exactly_one_wins_a_hundred_times():
    barrier = threading.Barrier(2)

    def contend(mode):
        won, lost = [], []
        for version in range(100):
            barrier.wait(timeout=30)
            try:
                won.append(change(mode, expected_version=version).version)
            except VersionConflict:
                lost.append(version)
        connection.close()
        return won, lost

    with ThreadPoolExecutor(2) as pool:
        (won, lost), (won_by_other, lost_by_other) = pool.map(contend, ["enforce", "off"])
    assert sorted(won + won_by_other) == list(range(1, 101))
    assert sorted(lost + lost_by_other) == list(range(100))
    assert ModeChange.objects.count() == 100
    assert in_redis().version == 100
    assert store.current().version == 100


# --- readings: what a store's answer may change


@pytest.mark.parametrize(
    "readings, mode, version",
    [
        ([("postgres", "enforce", 3)], "enforce", 3),
        ([("postgres", "enforce", 3), ("postgres", "warn", 4)], "warn", 4),
        ([("postgres", "enforce", 3), ("postgres", "off", 2)], "enforce", 3),
        ([("postgres", "enforce", 3), ("redis", "off", 2)], "enforce", 3),
        ([("postgres", "enforce", 3), ("redis", "warn", 4)], "warn", 4),
        ([("postgres", "warn", 3), ("redis", "enforce", 4)], "warn", 3),
        ([("postgres", "off", 3), ("redis", "warn", 4)], "off", 3),
        ([("postgres", "enforce", 3), ("redis", "off", 3)], "enforce", 3),
        ([("postgres", "enforce", 3), ("redis", "off", 10**9)], "off", 10**9),
        (
            [("postgres", "enforce", 3), ("redis", "off", 10**9), ("postgres", "enforce", 3)],
            "enforce",
            3,
        ),
        ([("postgres", "enforce", 3), ("redis", "warn", 5), ("redis", "enforce", 6)], "warn", 5),
        ([("redis", "off", 3), ("redis", "warn", 4)], "off", 3),
        (
            [("postgres", "warn", 3), ("redis", "enforce", 10**9), ("postgres", "warn", 3)],
            "warn",
            3,
        ),
        ([("redis", "enforce", 3)], "warn", 0),
        ([("redis", "off", 3)], "off", 3),
        ([("redis", "warn", 3), ("redis", "off", 2)], "warn", 3),
    ],
)
def test_postgres_decides_and_redis_alone_is_never_stricter(readings, mode, version):
    for source, read_mode, read_version in readings:
        store.adopt(told(source, read_mode, read_version))
    assert (store.current().mode, store.current().version) == (mode, version)


@pytest.mark.parametrize(
    "mode, percent, in_force, followed",
    [
        ("off", 100, "off", True),
        ("enforce", 10, "enforce", True),
        ("enforce", 100, "enforce", False),
    ],
)
def test_a_database_that_went_back_is_followed_only_where_it_is_not_stricter(
    clock, monkeypatch, mode, percent, in_force, followed
):
    logged = []
    monkeypatch.setattr(
        events, "mode_went_back", lambda **fields: logged.append(fields["followed"])
    )
    store.adopt(told("postgres", "enforce", 7, percent=50))
    clock.now += 5
    store.adopt(told("postgres", mode, 3, percent=percent), asked_at=clock.now - 1)
    assert (store.current().mode, store.current().version) == (in_force, 3 if followed else 7)
    assert logged == [followed]
    clock.now += 28  # what is not followed does not confirm either
    assert store.current().source == ("postgres" if followed else "last_known")


def test_an_answer_to_an_older_question_is_late_and_changes_nothing(clock, monkeypatch):
    monkeypatch.setattr(events, "mode_went_back", None)
    asked_at = clock.now
    clock.now += 1
    store.adopt(told("postgres", "warn", 7), asked_at=clock.now)
    clock.now += 1
    store.adopt(told("postgres", "off", 6), asked_at=asked_at)
    assert (store.current().mode, store.current().version) == ("warn", 7)


@pytest.mark.django_db(transaction=True)
def test_after_a_restore_without_a_new_epoch_a_looser_mode_holds_at_the_next_reading():
    change("off")
    change("enforce")
    store.refresh()
    assert store.current().mode == "enforce"
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE stageapp_modechange CASCADE")
    change("off")
    store.refresh()
    assert (store.current().mode, store.current().version, in_redis().mode) == ("off", 1, "off")


STORES, MODES = st.sampled_from(["postgres", "redis"]), st.sampled_from(["off", "warn", "enforce"])
READING = st.tuples(
    STORES, MODES, st.integers(1, 100), st.integers(1, 3), st.integers(0, 9), st.booleans()
)


@given(readings=st.lists(READING, max_size=12))
def test_whatever_is_read_the_mode_is_never_stricter_than_postgres_last_told(readings):
    """I3, for every order of answers: late ones, forged ones, and databases that went back."""
    store.forget()
    told_by_postgres = ModeState("warn")
    for source, mode, percent, epoch, version, late in readings:
        percent = percent if mode == "enforce" else 100
        reading, before = told(source, mode, version, percent, epoch), store.current()
        asked_at = 0.0 if late else time.monotonic()
        with patch.object(events, "mode_went_back", lambda **_: None):
            store.adopt(reading, asked_at)
        if source == "postgres" and store.current() == reading:
            told_by_postgres = reading
        assert store.current().strictness <= told_by_postgres.strictness
        if source == "redis":
            assert store.current().strictness <= before.strictness
    store.forget()


def test_redis_alone_does_not_enlarge_the_enforced_share():
    store.adopt(told("postgres", "enforce", 1, percent=10))
    store.adopt(told("redis", "enforce", 2, percent=50))
    assert store.current().percent == 10
    store.adopt(told("redis", "enforce", 3, percent=5))
    assert store.current().percent == 5


def test_a_new_epoch_is_newer_than_any_version_of_the_old_one():
    store.adopt(told("postgres", "enforce", 900, epoch=1))
    store.adopt(told("postgres", "warn", 1, epoch=2))
    store.adopt(told("redis", "off", 901, epoch=1))
    assert (store.current().mode, store.current().epoch) == ("warn", 2)


@pytest.mark.parametrize(
    "configured, expected", [("off", "off"), ("warn", "warn"), ("enforce", "warn"), ("?", "warn")]
)
def test_before_any_answer_the_configured_default_holds_and_never_exceeds_warn(
    settings, configured, expected
):
    settings.STAGE_VALIDATION_MODE = configured
    assert store.current() == ModeState(expected)
    assert store.age_seconds() is None


@pytest.mark.django_db
def test_without_any_change_postgres_tells_the_default(settings):
    settings.STAGE_VALIDATION_MODE = "off"
    store.refresh()
    assert (store.current().mode, store.current().version, store.current().source) == (
        "off",
        0,
        "postgres",
    )


# --- staleness


@pytest.mark.parametrize("source", ["postgres", "redis"])
def test_an_unconfirmed_enforce_counts_as_warn_after_thirty_seconds(clock, source):
    store.adopt(told("postgres", "enforce", 1, percent=10))
    clock.now += 20
    store.adopt(told(source, "enforce", 1, percent=10))
    clock.now += 30
    assert (store.current().mode, store.current().percent) == ("enforce", 10)
    clock.now += 0.1
    stale = store.current()
    assert (stale.mode, stale.percent, stale.version, stale.source) == (
        "warn",
        100,
        1,
        "last_known",
    )
    assert store.age_seconds() == pytest.approx(30.1)
    store.adopt(told("postgres", "enforce", 1, percent=10))
    assert store.current().mode == "enforce"


@pytest.mark.parametrize("mode", ["off", "warn"])
def test_an_unconfirmed_off_or_warn_stays(clock, mode):
    store.adopt(told("postgres", mode))
    clock.now += 86_400
    assert (store.current().mode, store.current().source) == (mode, "last_known")


def test_a_reading_that_is_not_believed_confirms_nothing(clock):
    store.adopt(told("postgres", "enforce", 5))
    clock.now += 31
    for reading in (
        told("redis", "enforce", 4),
        told("redis", "off", 5),
        told("postgres", "off", 4),
    ):
        store.adopt(reading)
    assert store.current().source == "last_known"


def test_the_fall_to_warn_is_loud(clock, monkeypatch):
    logged = []
    monkeypatch.setattr(events, "mode_stale", lambda **fields: logged.append(fields))
    store.adopt(told("postgres", "enforce", 5))
    clock.now += 29
    store.refresh_from_fast_copy()
    assert logged == []
    clock.now += 2
    store.refresh_from_fast_copy()
    assert (logged[0]["age"], logged[0]["in_force"]) == (31.0, "warn")


# --- what a request pays


@pytest.mark.django_db
def test_a_request_reads_the_mode_without_any_io(django_assert_num_queries, monkeypatch):
    store.adopt(told("postgres", "enforce", 1))

    def refuse(*_, **__):
        raise AssertionError("Redis was asked")

    with monkeypatch.context() as patch, django_assert_num_queries(0):
        patch.setattr("redis.connection.AbstractConnection.send_packed_command", refuse)
        patch.setattr("redis.connection.AbstractConnection.connect", refuse)
        with pytest.raises(AssertionError, match="Redis was asked"):
            strict().ping()
        for _ in range(1000):
            assert store.current().mode == "enforce"
