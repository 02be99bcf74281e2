"""Changing the mode: gates, overrides, the latch, versions. Lowering it is never held back."""

import dataclasses

import pytest
from django.db import connection

from stageapp.infrastructure import events
from stageapp.mode import history, store
from stageapp.mode.store import ModeError, VersionConflict
from stageapp.models.mode import ModeChange
from stageapp.people import Person, same_person
from stageapp.rollout.changes import Wish, change_mode, downgrade
from stageapp.rollout.errors import GatesHold, Latched, OverrideNotPermitted
from tests.rollout.conftest import ANN, ask

pytestmark = pytest.mark.django_db
PLAIN = Person("plain")
REARMER = Person("rea", frozenset({"rearm"}))


@pytest.fixture
def logged(monkeypatch):
    """Return what is logged of overrides, broken glass and downgrades."""
    found = []
    for name in ("gates_overridden", "glass_broken", "mode_downgraded"):
        monkeypatch.setattr(events, name, lambda name=name, **fields: found.append((name, fields)))
    return found


@pytest.mark.parametrize(
    "held, asked",
    [
        (("enforce", 100), ("enforce", 50)),
        (("enforce", 50), ("enforce", 10)),
        (("enforce", 10), ("enforce", 1)),
        (("enforce", 10), ("warn", 100)),
        (("enforce", 100), ("off", 100)),
        (("warn", 100), ("off", 100)),
    ],
)
def test_moving_back_is_allowed_at_once_to_anybody_whatever_the_gates_say(held, asked, set_mode):
    set_mode(*held)
    row = ask(*asked, person=PLAIN)
    assert (row.mode, row.percent, row.override_reason) == (*asked, "")


def test_warn_asks_for_no_gate(set_mode):
    set_mode("off")
    assert ask("warn", person=PLAIN).mode == "warn"


@pytest.mark.parametrize("share", [1, 10, 50, 100])
def test_a_forward_move_past_gates_needs_a_reason_and_the_permission(share, set_mode, logged):
    set_mode("warn")
    with pytest.raises(GatesHold) as held:
        ask("enforce", share)
    names = [gate.name for gate in held.value.gates]
    assert names[:3] == ["run_complete", "consumers_audited", "warn_exit"]
    assert names[3:] == {1: [], 10: [], 50: ["canary_10"], 100: ["canary_10", "canary_50"]}[share]
    with pytest.raises(GatesHold):
        ask("enforce", share, override="  ")
    with pytest.raises(OverrideNotPermitted):
        ask("enforce", share, person=PLAIN, override="I would")
    assert store.latest().mode == "warn"
    row = ask("enforce", share, override="agreed with all")
    assert row.override_reason.startswith("agreed with all [past run_complete (no_data), ")


@pytest.mark.django_db(transaction=True)
def test_an_override_is_logged_with_its_gates_after_the_commit(set_mode, logged):
    set_mode("enforce", 10)
    ask("enforce", 50, override="agreed")
    assert logged == [
        (
            "gates_overridden",
            {
                "actor": "ann",
                "mode": "enforce",
                "percent": 50,
                "gates": ["canary_10"],
                "reason": "agreed",
            },
        ),
    ]


def test_a_change_of_the_announced_day_is_no_forward_move(set_mode, clock):
    set_mode("enforce", 10)
    row = ask("enforce", 10, person=PLAIN, enforce_on=clock.now.date())
    assert row.enforce_on == clock.now.date()


def test_an_outdated_version_is_refused_before_any_gate_is_asked(set_mode):
    set_mode("warn")
    with pytest.raises(VersionConflict):
        change_mode(ANN, Wish("enforce", "late", 10), expected_version=0)


def test_a_change_that_comes_between_the_gates_and_the_writing_wins(set_mode, monkeypatch):
    set_mode("warn")
    real = history.read

    def read_while_somebody_else_changes_it():
        set_mode("off")
        return real()

    monkeypatch.setattr(history, "read", read_while_somebody_else_changes_it)
    with pytest.raises(VersionConflict):
        ask("enforce", 10, override="agreed")
    assert store.latest().mode == "off"


@pytest.mark.parametrize(
    "wrong", [{"mode": "strict"}, {"percent": 0}, {"reason": " "}, {"mode": "warn", "percent": 5}]
)
def test_what_makes_no_mode_is_refused(wrong):
    with pytest.raises(ModeError):
        change_mode(ANN, dataclasses.replace(Wish("enforce", "why", 10), **wrong))
    assert not ModeChange.objects.exists()


# --- downgrade and latch


def test_a_downgrade_takes_enforce_back_to_warn_and_keeps_the_announced_day(
    set_mode, clock, logged
):
    set_mode("enforce", 50)
    ask("enforce", 50, enforce_on=clock.now.date())
    row = downgrade(actor="guard", reason="too many refusals")
    assert (row.mode, row.kind, row.actor, row.enforce_on) == (
        "warn",
        "downgrade",
        "guard",
        clock.now.date(),
    )
    assert logged == [("mode_downgraded", {"actor": "guard", "reason": "too many refusals"})]


@pytest.mark.parametrize("mode", ["off", "warn"])
def test_a_downgrade_never_makes_the_mode_stricter(mode, set_mode):
    set_mode(mode)
    assert downgrade(actor="guard", reason="late") is None
    assert store.latest().mode == mode
    assert ModeChange.objects.count() == 1


def test_a_downgrade_that_loses_a_race_looks_again(set_mode, monkeypatch):
    set_mode("enforce", 10)
    real = store.latest

    def latest_before_somebody_else_changes_it():
        seen = real()
        monkeypatch.setattr(store, "latest", real)
        set_mode("enforce", 50)
        return seen

    monkeypatch.setattr(store, "latest", latest_before_somebody_else_changes_it)
    assert downgrade(actor="guard", reason="too many").version == 3
    assert store.latest().mode == "warn"


@pytest.mark.parametrize("asked", [("warn", 100), ("enforce", 10)])
def test_after_a_downgrade_only_who_may_rearm_raises_the_mode(asked, set_mode):
    set_mode("enforce", 10)
    downgrade(actor="guard", reason="too many")
    if asked[0] == "warn":
        ask("off", person=PLAIN)
    with pytest.raises(Latched):
        ask(
            *asked,
            person=dataclasses.replace(PLAIN, may=frozenset({"override_gate"})),
            override="I would",
        )
    may = dataclasses.replace(REARMER, may=REARMER.may | {"override_gate"})
    assert ask(*asked, person=may, override="looked at it").mode == asked[0]
    assert not history.read().latched


def test_rearming_does_not_go_past_gates(set_mode):
    set_mode("enforce", 10)
    downgrade(actor="guard", reason="too many")
    with pytest.raises(GatesHold):
        ask("enforce", 10, person=REARMER)


@pytest.mark.parametrize(
    "changes, latched",
    [
        ([], False),
        ([("enforce", "manual"), ("warn", "downgrade")], True),
        ([("enforce", "manual"), ("warn", "downgrade"), ("off", "manual")], True),
        ([("enforce", "manual"), ("warn", "downgrade"), ("warn", "manual")], True),
        (
            [("enforce", "manual"), ("warn", "downgrade"), ("off", "manual"), ("warn", "manual")],
            False,
        ),
        (
            [
                ("enforce", "manual"),
                ("warn", "downgrade"),
                ("enforce", "manual"),
                ("warn", "manual"),
            ],
            False,
        ),
    ],
)
def test_the_latch_holds_until_somebody_raises_the_mode(changes, latched, set_mode):
    for mode, kind in changes:
        set_mode(mode, kind=kind)
    assert history.read().latched == latched


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("ann", "session:ann", True),
        ("cli:ann", "Ann", True),
        ("ann", "anna", False),
        ("cli:a", "session:b", False),
    ],
)
def test_one_person_is_one_at_every_edge(one, other, same):
    assert same_person(one, other) == same


def test_the_statements_are_append_only(db):
    ask("warn")
    with pytest.raises(Exception, match="append-only"), connection.cursor() as cursor:
        cursor.execute("UPDATE stageapp_modechange SET reason = 'other'")
