"""The state of a seal: the recorded seals compared with PostgreSQL's constraints."""

import hashlib
from dataclasses import dataclass

from django.db import connection
from psycopg.errors import CheckViolation

from stageapp.models.sealing import Seal, SealAction
from stageapp.sealing import allowed
from stageapp.targets import targets
from stageapp.targets.errors import SealRefused
from stageapp.targets.targets import Target
from stageapp.vocabulary import snapshot

STATES = {
    "open": "not sealed",
    "half": (
        "sealing was interrupted: new writes are checked, existing rows are not; seal "
        "again to continue"
    ),
    "sealed": "sealed: PostgreSQL refuses every other value",
    "replacing": "sealed, and a new seal was interrupted: both apply; seal again to continue",
    "missing": (
        "recorded as sealed, but the constraint is missing: somebody dropped it; seal again"
    ),
    "altered": (
        "recorded as sealed, but the constraint is not the one that was created; seal again"
    ),
}
_PREFIX = "stageapp_seal_"
_NOT_VALID = " NOT VALID"


@dataclass(frozen=True)
class SealState:
    """A target's seal: `seal` is the valid record, `begun` what an interrupted call left."""

    target: str
    state: str
    seal: Seal | None
    begun: Seal | None
    constraints: dict[str, str]  # name → definition, of all that are in force
    newest_version: int
    added: tuple[str, ...] = ()  # stages of the newest version that the seal refuses
    retired: tuple[str, ...] = ()  # stages that it lets pass, and the newest version does not have

    @property
    def meaning(self) -> str:
        return STATES[self.state]

    @property
    def behind(self) -> bool:
        """Whether the vocabulary's stages now differ from those of the seal."""
        return bool(self.added or self.retired)


def constraint_prefix(target: Target) -> str:
    """Return the prefix of the target's constraint names; a number follows."""
    return f"{_PREFIX}{short_digest(target)}_"


def short_digest(target: Target) -> str:
    """Return a short digest that distinguishes this target's constraints, triggers and function."""
    return hashlib.sha256(target.label.encode()).hexdigest()[:8]


def look(label: str) -> SealState:
    """Compare the record with PostgreSQL's catalog.

    Raises:
        TargetError: the target cannot be resolved.
    """
    target = targets.resolve(label)
    steps = Seal.objects.filter(target=label)
    newest, recorded = (
        steps.first(),
        steps.filter(action__in=[SealAction.SEALED, SealAction.UNSEALED]).first(),
    )
    seal = recorded if recorded is not None and recorded.action == SealAction.SEALED else None
    by_name = constraints(target)
    begun = (
        newest
        if newest and newest.action == SealAction.BEGUN and newest.constraint_name in by_name
        else None
    )
    added: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    if seal is None:
        state = "half" if begun or by_name else "open"
    else:
        stages = allowed.stored_stages(target, snapshot.load())
        added = tuple(stage for stage in stages if not allowed.of_seal(seal).lets(stage))
        retired = tuple(stage for stage in seal.stages if stage not in stages)
        standing = by_name.get(seal.constraint_name)
        if standing is None:
            state = "missing"
        elif standing != seal.definition:
            state = "altered"
        else:
            state = "replacing" if begun else "sealed"
    return SealState(
        label,
        state,
        seal,
        begun,
        by_name,
        snapshot.newest_version(),
        added,
        retired,
    )


def constraints(target: Target) -> dict[str, str]:
    """Return our constraints on the target: name → PostgreSQL's definition."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = to_regclass(%s) AND contype = 'c' AND conname ~ %s ORDER BY conname",
            [target.table, f"^{constraint_prefix(target)}[0-9]+$"],
        )
        return dict(cursor.fetchall())


def checked(definition: str) -> str:
    """Return PostgreSQL's text of a constraint after validation."""
    return definition.removesuffix(_NOT_VALID)


def require_unsealed(label: str) -> None:
    """Hold that old spellings may come back into the column.

    Raises:
        SealRefused: a seal is in force; a rollback could not write them.
    """
    if constraints(targets.resolve(label)):
        raise SealRefused(
            f"{label} is sealed, so its old spellings cannot come back. Unseal it first: "
            "`normalization unseal`."
        )


def is_by_seal(error: Exception) -> bool:
    """Whether a seal rejected a write; Django passes on errors of COPY unwrapped."""
    refused = error if isinstance(error, CheckViolation) else error.__cause__
    return isinstance(refused, CheckViolation) and (refused.diag.constraint_name or "").startswith(
        _PREFIX
    )


def refusal_of(label: str, value: str | None) -> str:
    """Return why the seal in force rejects a value; empty if it does not or there is no seal.

    For a target with a `where` the value alone is not enough: the result is empty, and PostgreSQL
    checks the row.
    """
    if targets.resolve(label).where:
        return ""
    now = look(label)
    standing = [
        seal for seal in (now.seal, now.begun) if seal and seal.constraint_name in now.constraints
    ]
    for seal in standing:
        passing = allowed.of_seal(seal)
        if not passing.lets(value):
            return f"The column is sealed; it accepts {', '.join(passing.values)}."
    return ""
