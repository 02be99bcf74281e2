"""The values that a seal accepts: one vocabulary version's stages and a short approved list."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from stageapp.models.sealing import Seal
from stageapp.targets.errors import SealRefused
from stageapp.targets.targets import Target
from stageapp.vocabulary.snapshot import Snapshot

MOST_ALLOWED = 50  # a longer list is not sealed, it is kept
_SHOWN = 10


@dataclass(frozen=True)
class Passing:
    """The values that a sealed column accepts, compared byte for byte whatever its collation."""

    version: int
    stages: tuple[str, ...]
    allowed: tuple[str, ...]
    nulls: bool

    @property
    def values(self) -> list[str]:
        """Every accepted value except NULL."""
        return [*self.stages, *self.allowed]

    def lets(self, value: str | None) -> bool:
        """Whether this value passes; always the same answer as the constraint."""
        return self.nulls if value is None else value in self.values

    def same_values(self, other: "Passing") -> bool:
        """Whether both accept the same values, whatever their version."""
        return set(self.values) == set(other.values) and self.nulls == other.nulls

    def condition(self, target: Target) -> str:
        """Return the SQL of the CHECK: constants and the target's `where`, no function of ours."""
        listed = ", ".join(literal(value) for value in self.values)
        among = f'({target.column}::text COLLATE "C") = ANY (ARRAY[{listed}]::text[])'
        passes = (
            f"{target.column} IS NULL OR {among}"
            if self.nulls
            else f"{target.column} IS NOT NULL AND {among}"
        )
        return f"{target.rows} IS NOT TRUE OR ({passes})" if target.where else passes


def literal(text: str) -> str:
    """Return a text as an SQL literal, for statements that take no parameters."""
    return sql.Literal(text).as_string(None)


def stored_stages(target: Target, meaning_of: Snapshot) -> tuple[str, ...]:
    """Return the vocabulary's stages in the form that this target stores."""
    return tuple(target.canonical(meaning_of.labels))


def of_seal(seal: Seal) -> Passing:
    """Return what a recorded seal accepts."""
    return Passing(seal.vocabulary_version, tuple(seal.stages), tuple(seal.allowed), seal.nulls)


def wanted(
    target: Target,
    meaning_of: Snapshot,
    *,
    allow: Sequence[str] | None,
    nulls: bool | None,
    before: Seal | None,
) -> Passing:
    """Return what a new seal accepts; None keeps that of `before`, and NULL passes at first.

    A value on the earlier seal's list that the vocabulary knows by now is dropped.

    Raises:
        SealRefused: the column is inherited; the vocabulary has no stage, or one that it does not
            map to itself; the list is too long, or something in it is not an unknown value.
    """
    require_own_table(target, "sealed", "a constraint")
    stages = stored_stages(target, meaning_of)
    if not stages:
        raise SealRefused("The vocabulary has no active stage; a seal would accept nothing.")
    stored = [(slug, target.stored(slug, meaning_of.labels)) for slug in meaning_of.labels]
    if strange := [value for slug, value in stored if meaning_of.normalize(value).stage != slug]:
        raise SealRefused(
            f"{quoted(strange)} would not be read as the stages they stand for: add an "
            f"alias for each {target.form}."
        )
    if allow is None:
        kept = before.allowed if before else []
        allowed = [
            value
            for value in kept
            if value not in stages and meaning_of.normalize(value).stage is None
        ]
    else:
        allowed = [value for value in dict.fromkeys(allow) if value not in stages]
        _require_allowed(allowed, meaning_of)
    if nulls is None:
        nulls = before.nulls if before else True
    return Passing(meaning_of.version, stages, tuple(allowed), nulls)


def require_own_table(target: Target, done: str, by: str) -> None:
    """Require that the column is in its model's own table.

    Raises:
        SealRefused: rows of other models are in the same table and would be affected.
    """
    if target.links:
        raise SealRefused(
            f"{target.label} cannot be {done}: its model inherits the column from the "
            f"table {target.table}, and {by} there would affect the rows of other models "
            "too. Run its plans as often as needed, or make the parent model's column "
            "the target."
        )


def _require_allowed(allowed: list[str], meaning_of: Snapshot) -> None:
    if len(allowed) > MOST_ALLOWED:
        raise SealRefused(
            f"{len(allowed)} values would have to be allowed; the limit is "
            f"{MOST_ALLOWED}. Decide the others first: map or declare them in the unknown "
            "queue, or correct their rows."
        )
    if any(
        "\x00" in value or not value == value.encode("utf-8", "ignore").decode("utf-8")
        for value in allowed
    ):
        raise SealRefused(
            "PostgreSQL cannot store a NUL or a lone surrogate: no row can contain such a value."
        )
    if known := [value for value in allowed if meaning_of.normalize(value).stage]:
        raise SealRefused(
            f"{quoted(known)} are known spellings: do not allow them; run the plan that "
            "changes them."
        )


def quoted(values: Sequence[str]) -> str:
    """Return the first values, quoted for a message so that spaces and control characters show."""
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    return ", ".join(repr(value) for value in values[:_SHOWN]) + more
