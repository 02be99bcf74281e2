"""Seal a target: a CHECK constraint that accepts only stages, changed without stopping writers.

Each step is one short transaction that includes its own record, so an interrupted call leaves a
state that `look` reports and the next call resumes from. A new seal is in force and validated
before the old one is dropped, so the rows are always constrained.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from django.db import (
    DataError,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)
from psycopg.errors import InsufficientPrivilege, QueryCanceled

from stageapp.infrastructure import events, locks, words
from stageapp.infrastructure.locks import Lock
from stageapp.models.recorded import require_reason
from stageapp.models.sealing import Seal, SealAction
from stageapp.sealing import survey
from stageapp.sealing.allowed import Passing, of_seal, wanted
from stageapp.sealing.state import SealState, checked, constraint_prefix, constraints, look
from stageapp.targets import columns, lock_wait, targets
from stageapp.targets.errors import SealRefused
from stageapp.targets.lock_wait import LockWait
from stageapp.targets.targets import Target
from stageapp.vocabulary import snapshot

# Try a seal's condition where it harms nobody: on an empty temporary table with the target's
# columns.

_NAME = "stageapp_seal_probe"
_WRITTEN = (
    "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND "
    "conname = %s"
)


def written(target: Target, passing: Passing, how: LockWait) -> str:
    """Return PostgreSQL's own text of the constraint that accepts these values.

    Raises:
        SealRefused: the target's `where` does not fit into a CHECK, or the table is locked.
    """
    return lock_wait.take(target, lambda: _try(target, passing), how)


def _try(target: Target, passing: Passing) -> str:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMPORARY TABLE {_NAME} (LIKE {target.table})")
            if target.where:
                # A CHECK takes volatile functions too, and would mean something else tomorrow; an
                # index does not.
                cursor.execute(f"CREATE INDEX ON {_NAME} ((true)) WHERE {target.rows}")
            cursor.execute(
                f"ALTER TABLE {_NAME} ADD CONSTRAINT {_NAME} CHECK ({passing.condition(target)})"
            )
            cursor.execute(_WRITTEN, [f"pg_temp.{_NAME}", _NAME])
            (definition,) = cursor.fetchone()
            transaction.set_rollback(True)
            return str(definition)
    except (DataError, NotSupportedError, ProgrammingError) as error:
        if not target.where or isinstance(error.__cause__, InsufficientPrivilege):
            raise
        first = words.first_line(error)
        raise SealRefused(
            f"{target.label} cannot be sealed: its where={target.where} cannot be used in "
            f"a constraint ({first}). It may only use the row's own columns and immutable "
            "functions: no subquery, nothing that depends on the time."
        ) from None


def seal(
    label: str,
    *,
    actor: str,
    reason: str,
    allow: Sequence[str] | None = None,
    nulls: bool | None = None,
    expected_version: int | None = None,
    how: LockWait = lock_wait.LONG,
) -> SealState:
    """Seal the target to the current vocabulary version, replace its seal, or resume a call.

    `allow` lists the unknown values that may stay, `nulls` whether NULL may; None keeps the
    earlier seal's choice. `expected_version` is the vocabulary version that the actor has
    reviewed.

    Raises:
        SealRefused: rows or runs prevent it, the vocabulary version is not the expected one,
            another call is in progress, or the lock could not be acquired.
        TargetError: there is no such target, or its table or column cannot be normalized.
        TooSlow: the rows could not be read within the time limit of `how`.
    """
    why = require_reason(reason, SealRefused)
    target = targets.resolve(label)
    columns.require_plain(target)
    with _alone(target):
        now, meaning_of = look(label), snapshot.load()
        if expected_version not in (None, meaning_of.version):
            raise SealRefused(
                f"The vocabulary is now at version {meaning_of.version}. Check the "
                "preview again, then decide."
            )
        passing = wanted(target, meaning_of, allow=allow, nulls=nulls, before=now.seal or now.begun)
        if target.where:
            written(target, passing, how)
        _require_rows(target, passing, how)
        who = _Author(target, actor, why)
        same = (
            now.seal and of_seal(now.seal).same_values(passing) and _as_now(target, now.seal, how)
        )
        if now.state == "sealed" and now.seal and same:
            if now.seal.vocabulary_version != passing.version:
                _record(
                    who, SealAction.SEALED, passing, now.seal.constraint_name, now.seal.definition
                )
            return look(label)
        goes_on = now.begun and of_seal(now.begun) == passing and _as_now(target, now.begun, how)
        begun = now.begun if now.begun and goes_on else _begin(who, passing, how)
        _validate(who, begun, how)
        _finish(who, begun, how)
    return look(label)


def unseal(label: str, *, actor: str, reason: str, how: LockWait = lock_wait.LONG) -> SealState:
    """Drop all of our constraints on the target, including those of an interrupted call.

    Raises:
        SealRefused: it is not sealed, another call is in progress, or the lock could not be
            acquired.
        TargetError: there is no such target.
    """
    why = require_reason(reason, SealRefused)
    target = targets.resolve(label)
    with _alone(target):
        now = look(label)
        standing = now.seal or now.begun
        if now.state == "open":
            raise SealRefused(f"{label} is not sealed.")
        passing = of_seal(standing) if standing else Passing(now.newest_version, (), (), nulls=True)
        who = _Author(target, actor, why)
        lock_wait.take(target, lambda: _take_off(who, SealAction.UNSEALED, passing, standing), how)
    return look(label)


@dataclass(frozen=True)
class _Author:
    """The actor, the target and the reason of a change."""

    target: Target
    actor: str
    reason: str


@contextmanager
def _alone(target: Target) -> Iterator[None]:
    """Serialize sealing and unsealing of a target; the lock is released with the session."""
    with locks.attempt(Lock.SEAL, target.label) as alone:
        if not alone:
            raise SealRefused(f"Somebody else is sealing or unsealing {target.label} right now.")
        yield


def _require_rows(target: Target, passing: Passing, how: LockWait) -> None:
    surveyed = survey.survey(target, passing, snapshot.load(), seconds=how.read_seconds)
    if against := survey.obstacles(target.label, surveyed):
        raise SealRefused(
            "\n".join([f"{target.label} cannot be sealed:", *(f"  {text}" for text in against)])
        )


def _as_now(target: Target, before: Seal, how: LockWait) -> bool:
    """Whether the target's `where` and column are unchanged since the previous seal."""
    return before.definition == written(target, of_seal(before), how)


def _begin(who: _Author, passing: Passing, how: LockWait) -> Seal:
    """Add the new constraint: once committed it applies to every write; old rows are unchecked."""
    target = who.target
    number = Seal.objects.filter(target=target.label, action=SealAction.BEGUN).count() + 1
    name = f"{constraint_prefix(target)}{number}"
    statement = (
        f"ALTER TABLE {target.table} ADD CONSTRAINT {name} CHECK "
        f"({passing.condition(target)}) NOT VALID"
    )

    def step() -> Seal:
        _execute(statement)
        return _record(who, SealAction.BEGUN, passing, name, checked(constraints(target)[name]))

    return lock_wait.take(target, step, how)


def _validate(who: _Author, begun: Seal, how: LockWait) -> None:
    """Validate all old rows without blocking reads or writes, or drop the new constraint."""

    def step() -> None:
        _execute(f"SET LOCAL statement_timeout = {round(how.read_seconds * 1000)}")
        _execute(f"ALTER TABLE {who.target.table} VALIDATE CONSTRAINT {begun.constraint_name}")

    try:
        lock_wait.take(who.target, step, how)
    except IntegrityError:
        _abandon(who, begun, how, "a row was written in the meantime")
        _require_rows(who.target, of_seal(begun), how)
        raise SealRefused(
            "A row that does not pass was written in the meantime, and is gone again. Try again."
        ) from None
    except SealRefused as refusal:
        _abandon(who, begun, how, str(refusal))
        raise
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        _abandon(who, begun, how, "the check took too long")
        raise SealRefused(
            f"Checking every row takes longer than {how.read_seconds:g} s; nothing was "
            "changed. Seal a table of this size from the command line: `normalization "
            "seal`."
        ) from None


def _finish(who: _Author, begun: Seal, how: LockWait) -> None:
    """Drop the previous seal, if any, and record that the new one is valid."""
    lock_wait.take(
        who.target, lambda: _take_off(who, SealAction.SEALED, of_seal(begun), begun, keep=True), how
    )


def _abandon(who: _Author, begun: Seal, how: LockWait, why: str) -> None:
    """Drop a new constraint again; the previous seal stays in force."""
    who = replace(who, reason=f"{why}: {who.reason}"[:2000])

    def step() -> None:
        _drop(who.target, begun.constraint_name)
        _record(who, SealAction.ABANDONED, of_seal(begun), begun.constraint_name, begun.definition)

    try:
        lock_wait.take(who.target, step, how)
    except SealRefused as refusal:
        raise SealRefused(
            f"{why} In addition, the new constraint {begun.constraint_name} could not be "
            "removed: it still applies to new writes. Continue with `normalization "
            f"seal`, or remove it with `normalization unseal`. {refusal}"
        ) from None


def _take_off(
    who: _Author, action: SealAction, passing: Passing, standing: Seal | None, *, keep: bool = False
) -> None:
    """Drop our constraints (`keep`: except the standing one) and record it, in one transaction."""
    name = standing.constraint_name if standing else ""
    for constraint in constraints(who.target):
        if not (keep and constraint == name):
            _drop(who.target, constraint)
    _record(who, action, passing, name, standing.definition if standing else "")


def _drop(target: Target, name: str) -> None:
    _execute(f"ALTER TABLE {target.table} DROP CONSTRAINT {name}")


def _record(who: _Author, action: SealAction, passing: Passing, name: str, definition: str) -> Seal:
    said = {"target": who.target.label, "action": action, "actor": who.actor, "reason": who.reason}
    transaction.on_commit(lambda: events.seal_changed(version=passing.version, **said))
    return Seal.objects.create(
        target=who.target.label,
        action=action,
        vocabulary_version=passing.version,
        stages=list(passing.stages),
        allowed=list(passing.allowed),
        nulls=passing.nulls,
        constraint_name=name,
        definition=definition,
        actor=who.actor,
        reason=who.reason,
    )


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
