"""Targets: the columns that may be normalized."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import connection, models

from stageapp import conf
from stageapp.normalization.errors import TargetError

AnyField: TypeAlias = "models.Field[Any, Any]"

# Keyset batches need a key that is ordered and unique: an integer of any size, or a UUID.
_KEY_FIELDS = (models.IntegerField, models.UUIDField)


@dataclass(frozen=True)
class Target:
    """One column, with its names quoted for SQL."""

    label: str
    table: str
    column: str
    key: str
    key_type: str
    source_column: str = ""  # empty where the target declares none

    def source(self, table: str = "") -> str:
        """Return the SQL of a row's source; every row of a target without a source column has the empty one."""
        prefix = f"{table}." if table else ""
        return f"coalesce({prefix}{self.source_column}, '')" if self.source_column else "''"

    def holds_any(self, olds: Sequence[tuple[str, str]]) -> tuple[str, list[list[str]]]:
        """Return the SQL condition (and its parameters) that a row still holds one of these (source, value) pairs."""
        values = [value for _, value in olds]
        if not self.source_column:
            return f"{self.column} = ANY(%s)", [values]
        pairs = "SELECT * FROM unnest(%s::text[], %s::text[])"
        return f"({self.source()}, {self.column}) IN ({pairs})", [[source for source, _ in olds], values]


def resolve(label: str) -> Target:
    """Return the target of a configured `app.Model.field`.

    Raises:
        TargetError: it is not in STAGE_TARGETS, does not exist, is no text, its key is not keyset-friendly, or its
            source is no text column of the same table.
    """
    if label not in conf.targets():
        raise TargetError(
            f"{label} is not a target. Configured are: {', '.join(conf.targets()) or 'none'}. "
            "Add it to STAGE_TARGETS as app.Model.field."
        )
    model, field = _field_of(label)
    key = _primary_key(model)
    quote = connection.ops.quote_name
    return Target(
        label=label,
        table=quote(model._meta.db_table),
        column=quote(str(field.column)),
        key=quote(str(key.column)),
        key_type=str(key.rel_db_type(connection)),
        source_column=_source_of(label, model),
    )


def default_label() -> str:
    """Return the only configured target.

    Raises:
        TargetError: there is none, or more than one.
    """
    labels = conf.targets()
    if len(labels) != 1:
        raise TargetError(f"Say which target with --target. Configured are: {', '.join(labels) or 'none'}.")
    return labels[0]


def _field_of(label: str) -> tuple[type[models.Model], AnyField]:
    try:
        app, model_name, field_name = label.split(".")
        model = apps.get_model(app, model_name)
        field = model._meta.get_field(field_name)
    except (ValueError, LookupError, FieldDoesNotExist) as error:
        raise TargetError(f"STAGE_TARGETS names {label}, which is no app.Model.field: {error}") from None
    if not isinstance(field, models.CharField | models.TextField):
        raise TargetError(f"{label} is a {type(field).__name__}; only text columns can be normalized.")
    return field.model, field  # an inherited field stands in its parent's table


def _source_of(label: str, model: type[models.Model]) -> str:
    options = conf.target_options(label)
    if unknown := set(options) - {"source"}:
        raise TargetError(f"STAGE_TARGETS gives {label} the option {min(unknown)}; the only one is source=FIELD.")
    if not options:
        return ""
    try:
        field = model._meta.get_field(options["source"])
    except FieldDoesNotExist:
        raise TargetError(f"STAGE_TARGETS names the source {options['source']}; {label} has no such field.") from None
    if not isinstance(field, models.CharField | models.TextField) or field.model is not model:
        raise TargetError(f"The source field {options['source']} of {label} must be a text column of the same table.")
    return connection.ops.quote_name(str(field.column))


def _primary_key(model: type[models.Model]) -> AnyField:
    key = model._meta.pk
    if not isinstance(key, _KEY_FIELDS):
        raise TargetError(
            f"The primary key of {model._meta.label} is a {type(key).__name__}; batches need an integer or UUID key."
        )
    return key
