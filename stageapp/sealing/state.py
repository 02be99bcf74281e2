"""What is in force: the record of seals compared with what PostgreSQL has."""

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
        "sealing began and was interrupted: new writes are held, old rows are not checked; "
        "seal again to go on"
    ),
    "sealed": "sealed: PostgreSQL refuses every other value",
    "replacing": "sealed, and a new seal began and was interrupted: both hold; seal again to go on",
    "missing": (
        "the record says sealed, but the constraint is gone: somebody dropped it; seal again"
    ),
    "altered": (
        "the record says sealed, but the constraint is another one than was made; seal again"
    ),
}
_PREFIX = "stageapp_seal_"
_NOT_VALID = " NOT VALID"


@dataclass(frozen=True)
class SealState:
    """How a target stands. `seal` is the record that counts, `begun` what an interrupted call
    left in force.
    """

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
        """Return the state in words."""
        return STATES[self.state]

    @property
    def behind(self) -> bool:
        """Tell whether the vocabulary has other stages by now than the seal lists."""
        return bool(self.added or self.retired)


def constraint_prefix(target: Target) -> str:
    """Return how the names of a target's constraints begin; a number follows."""
    return f"{_PREFIX}{short_digest(target)}_"


def short_digest(target: Target) -> str:
    """Return what tells this target's constraint, triggers and function from another one's."""
    return hashlib.sha256(target.label.encode()).hexdigest()[:8]


def look(label: str) -> SealState:
    """Compare the record with PostgreSQL's catalogue.

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
    added, retired = _since(target, seal)
    return SealState(
        label,
        _state(seal, begun, by_name),
        seal,
        begun,
        by_name,
        snapshot.newest_version(),
        added,
        retired,
    )


def _state(seal: Seal | None, begun: Seal | None, by_name: dict[str, str]) -> str:
    if seal is None:
        return "half" if begun or by_name else "open"
    if seal.constraint_name not in by_name:
        return "missing"
    if by_name[seal.constraint_name] != seal.definition:
        return "altered"
    return "replacing" if begun else "sealed"


def constraints(target: Target) -> dict[str, str]:
    """Return the target's constraints of ours, as PostgreSQL writes them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid = to_regclass(%s) AND contype = 'c' AND conname ~ %s ORDER BY conname",
            [target.table, f"^{constraint_prefix(target)}[0-9]+$"],
        )
        return dict(cursor.fetchall())


def checked(definition: str) -> str:
    """Return how PostgreSQL writes a constraint once every row is checked."""
    return definition.removesuffix(_NOT_VALID)


def _since(target: Target, seal: Seal | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if seal is None:
        return (), ()
    stages = allowed.stored_stages(target, snapshot.load())
    added = tuple(stage for stage in stages if not allowed.of_seal(seal).lets(stage))
    return added, tuple(stage for stage in seal.stages if stage not in stages)


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
    """Tell whether it is a seal that has refused a write; Django hands on what COPY raises as it
    is.
    """
    refused = error if isinstance(error, CheckViolation) else error.__cause__
    return isinstance(refused, CheckViolation) and (refused.diag.constraint_name or "").startswith(
        _PREFIX
    )


def refusal_of(label: str, value: str | None) -> str:
    """Return why the seal in force does not let a value pass, empty if it does or there is none.

    Of a target with a `where` a value alone does not tell: there the answer is empty, and
    PostgreSQL judges the row.
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
            return f"The column is sealed; it takes {', '.join(passing.values)}."
    return ""
