"""The guard: triggers that turn known spellings into stages as they are written, whoever writes, and count them.

A writer of stages pays for a comparison alone: PostgreSQL looks at the trigger's WHEN, and calls nothing. The meaning
is that of `normalize_stage()` at the moment of the write; an unknown value stays byte for byte as it is, and so does
any value with which the trigger has trouble: a writer never fails because of the guard.
"""

from dataclasses import dataclass

from django.db import ProgrammingError, connection, transaction

from stageapp import conf, events, vocabulary
from stageapp.models.guards import GuardChange
from stageapp.normalization import column_facts, guard_triggers, patience, targets
from stageapp.normalization.errors import SealRefused, TargetError
from stageapp.normalization.patience import Patience
from stageapp.normalization.seal_state import refusal_of
from stageapp.normalization.seal_values import require_own_table, stored_stages
from stageapp.normalization.targets import Target

STATES = {
    "off": "off",
    "on": "on: known spellings are stored as stages, whoever writes them",
    "missing": "the record says on, but its triggers are gone or disabled: switch it on again",
}


@dataclass(frozen=True)
class GuardState:
    """Whether a target is guarded: the record compared with PostgreSQL's catalogue."""

    target: str
    state: str
    change: GuardChange | None

    @property
    def meaning(self) -> str:
        """Return the state in words."""
        return STATES[self.state]


def look(label: str) -> GuardState:
    """Compare the record with PostgreSQL's catalogue.

    Raises:
        TargetError: the target cannot be resolved.
    """
    target = targets.resolve(label)
    change = GuardChange.objects.filter(target=label).first()
    both = guard_triggers.in_force(target) == 2
    recorded = change is not None and change.on
    return GuardState(label, "on" if both else "missing" if recorded else "off", change)


def switch_on(label: str, *, actor: str, reason: str, how: Patience = patience.LONG) -> GuardState:
    """Guard the target, or bring its guard to the current vocabulary version.

    Raises:
        SealRefused: there is no reason, the column is inherited, or the table's lock was not to be had.
        TargetError: there is no such target, its table or column cannot be normalized, or its `where` cannot be
            evaluated.
    """
    target, meaning_of = targets.resolve(label), vocabulary.load()
    _hold_reason(reason)
    require_own_table(target, "guarded", "a trigger")
    column_facts.require_plain(target)
    _hold_where(target)

    def step() -> None:
        _execute(guard_triggers.function(target))
        for event in ("INSERT", "UPDATE"):
            _execute(guard_triggers.trigger(target, event, stored_stages(target, meaning_of)))
        _record(label, meaning_of.version, on=True, actor=actor, reason=reason)

    patience.take(target, step, how)
    return look(label)


def switch_off(label: str, *, actor: str, reason: str, how: Patience = patience.LONG) -> GuardState:
    """Take the guard off the target; its counts stay.

    Raises:
        SealRefused: it is off, there is no reason, or the table's lock was not to be had.
        TargetError: there is no such target.
    """
    target, before = targets.resolve(label), look(label)
    _hold_reason(reason)
    if before.state == "off":
        raise SealRefused(f"{label} has no guard.")

    def step() -> None:
        for event in ("INSERT", "UPDATE"):
            _execute(f"DROP TRIGGER IF EXISTS {guard_triggers.name(target)}_{event.lower()} ON {target.table}")
        _execute(f"DROP FUNCTION IF EXISTS {guard_triggers.name(target)}()")
        _record(label, vocabulary.newest_version(), on=False, actor=actor, reason=reason)

    patience.take(target, step, how)
    return look(label)


def why_refused(label: str, value: str) -> str:
    """Return why a sealed column would not take what somebody writes, empty if it would; the guard reads it first."""
    if label not in conf.targets():
        return ""
    meaning_of = vocabulary.load()
    stage = meaning_of.normalize(value).stage if look(label).state == "on" else None
    return refusal_of(label, targets.resolve(label).stored(stage, meaning_of.labels) if stage else value)


def _hold_reason(reason: str) -> None:
    if not reason.strip():
        raise SealRefused("A reason is needed: say why, for whoever reads the history.")


def _hold_where(target: Target) -> None:
    """Hold that PostgreSQL understands the target's `where`: with one that it does not, the guard would do nothing."""
    try:
        _execute(f"SELECT FROM (SELECT * FROM {target.table}) AS row WHERE {target.rows} LIMIT 0")
    except ProgrammingError as error:
        raise TargetError(f"The where={target.where} of {target.label} cannot be evaluated: {error}".strip()) from None


def _record(label: str, version: int, *, on: bool, actor: str, reason: str) -> None:
    GuardChange.objects.create(target=label, on=on, vocabulary_version=version, actor=actor, reason=reason.strip())
    transaction.on_commit(lambda: events.guard_switched(target=label, on=on, actor=actor, reason=reason))


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
