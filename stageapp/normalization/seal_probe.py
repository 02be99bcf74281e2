"""Try a seal's condition where it harms nobody: on an empty temporary table with the target's columns."""

from django.db import DataError, NotSupportedError, ProgrammingError, connection, transaction
from psycopg.errors import InsufficientPrivilege

from stageapp.normalization import patience
from stageapp.normalization.errors import SealRefused
from stageapp.normalization.patience import Patience
from stageapp.normalization.seal_values import Passing
from stageapp.normalization.targets import Target

_NAME = "stageapp_seal_probe"
_WRITTEN = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s"


def written(target: Target, passing: Passing, how: Patience) -> str:
    """Return how PostgreSQL writes the constraint that lets these values pass.

    Raises:
        SealRefused: no CHECK can hold the target's `where`, or the table is locked.
    """
    return patience.take(target, lambda: _try(target, passing), how)


def _try(target: Target, passing: Passing) -> str:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"CREATE TEMPORARY TABLE {_NAME} (LIKE {target.table})")
            if target.where:
                # A CHECK takes volatile functions too, and would mean something else tomorrow; an index does not.
                cursor.execute(f"CREATE INDEX ON {_NAME} ((true)) WHERE {target.rows}")
            cursor.execute(f"ALTER TABLE {_NAME} ADD CONSTRAINT {_NAME} CHECK ({passing.condition(target)})")
            cursor.execute(_WRITTEN, [f"pg_temp.{_NAME}", _NAME])
            (definition,) = cursor.fetchone()
            transaction.set_rollback(True)
            return str(definition)
    except (DataError, NotSupportedError, ProgrammingError) as error:
        if not target.where or isinstance(error.__cause__, InsufficientPrivilege):
            raise
        first = str(error).partition("\n")[0]
        raise SealRefused(
            f"{target.label} cannot be sealed: its where={target.where} cannot stand in a constraint ({first}). "
            "It may use the row's own columns and immutable functions: no subquery, nothing that depends on the time."
        ) from None
