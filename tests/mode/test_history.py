"""What the history says, whatever happened in it and whatever clocks wrote it."""

import datetime
import importlib

import pytest
from django.apps import apps
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from stageapp.mode import history as mode_history
from stageapp.mode import store
from stageapp.mode.history import Change, ModeHistory
from stageapp.models.mode import ModeChange
from stageapp.models.rollout import WarnPeriod

START = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)
STATES = st.sampled_from(
    [("off", 100), ("warn", 100), *[("enforce", percent) for percent in (1, 10, 50, 100)]]
)
KINDS = st.sampled_from(["manual", "downgrade", "scheduled"])


@st.composite
def histories(draw):
    """Return changes in order and a moment after the last one."""
    at, changes = START, []
    for (mode, percent), kind in draw(st.lists(st.tuples(STATES, KINDS), max_size=10)):
        at += draw(st.integers(0, 100_000)) * MINUTE
        changes.append(Change(mode, percent, kind, at))
    return tuple(changes), at + draw(st.integers(0, 100_000)) * MINUTE


@given(found=histories(), began=st.none() | st.integers(0, 500_000))
def test_time_in_warn_is_what_adding_minute_by_minute_gives(found, began):
    changes, now = found
    history = ModeHistory(changes, None if began is None else START + began * MINUTE)
    period = history.warn_period()
    ends = [*(change.at for change in changes[1:]), now][: len(changes)]
    spans = zip(changes, ends, strict=True)
    in_warn = [
        (max(change.at, period or now), end) for change, end in spans if change.mode == "warn"
    ]
    expected = sum((max(end - start, 0 * MINUTE) for start, end in in_warn), 0 * MINUTE)
    assert history.time_in_warn(now) == expected
    if not period or period <= now:
        assert expected <= (now - period if period else 0 * MINUTE)


@given(found=histories())
def test_a_downgrade_latches_until_somebody_raises_the_mode(found):
    changes, _ = found
    latched, before = False, (0, 0)
    for change in changes:
        if change.kind == "downgrade":
            latched = True
        elif change.strictness > before:
            latched = False
        before = change.strictness
    assert ModeHistory(changes).latched == latched


@given(found=histories(), percent=st.sampled_from([1, 10, 50, 100]))
def test_enforcement_has_lasted_since_it_was_last_less(found, percent):
    changes, _ = found
    since = None
    for change in changes:
        enough = change.mode == "enforce" and change.percent >= percent
        since = (since or change.at) if enough else None
    assert ModeHistory(changes).enforced_since(percent) == since


def change(mode, monkeypatch, at):
    with monkeypatch.context() as patch:
        patch.setattr("django.utils.timezone.now", lambda: at)
        store.change(mode=mode, actor="test", reason="a test")


@pytest.mark.django_db
def test_a_change_written_by_a_machine_whose_clock_is_behind_does_not_come_first(monkeypatch):
    hour = 60 * MINUTE
    for mode, at in (
        ("off", START),
        ("warn", START + 9 * hour),
        ("enforce", START + hour),
        ("warn", START + 2 * hour),
    ):
        change(mode, monkeypatch, at)
    history = mode_history.read()
    assert [change.at for change in history.changes] == [START, *[START + 9 * hour] * 3]
    assert history.time_in_warn(START + 10 * hour) == hour
    assert ModeChange.objects.count() == 4


@pytest.mark.django_db
def test_the_newest_warn_period_counts():
    for _ in range(2):
        newest = WarnPeriod.objects.create(actor="ann", reason="again")
    assert mode_history.read().period_began == newest.created_at


def install(configured, settings):
    settings.STAGE_VALIDATION_MODE = configured
    with connection.schema_editor(atomic=False) as editor:
        importlib.import_module("stageapp.migrations.0008_first_facts").begin_the_history(
            apps, editor
        )


@pytest.mark.django_db
@pytest.mark.parametrize(
    "configured, mode",
    [
        ("off", "off"),
        ("warn", "warn"),
        ("enforce", "warn"),
    ],
)
def test_installing_writes_the_first_change_from_which_days_count(configured, mode, settings):
    install(configured, settings)
    row = ModeChange.objects.get()
    assert (row.mode, row.percent, row.version) == (mode, 100, 1)
    assert (row.kind, row.actor) == ("installed", "system")
    assert mode_history.read().warn_period() == (row.created_at if mode == "warn" else None)
    assert store.latest().since == (row.created_at if mode == "warn" else None)
    assert not mode_history.read().latched


@pytest.mark.django_db
def test_where_somebody_has_set_a_mode_installing_again_writes_nothing(settings):
    store.change(mode="off", actor="ann", reason="for a test")
    install("warn", settings)
    assert ModeChange.objects.get().actor == "ann"
    assert store.latest().mode == "off"
