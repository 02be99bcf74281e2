"""Targets: the columns that may be normalized."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.apps import apps
from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db import DEFAULT_DB_ALIAS, connection, models, router

from stageapp import conf
from stageapp.targets.errors import Ambiguous, TargetError

AnyField: TypeAlias = "models.Field[Any, Any]"

# Keyset batches need a key that is ordered and unique: an integer of any size, or a UUID.
_KEY_FIELDS = (models.IntegerField, models.UUIDField)
_TEXT = (models.CharField, models.TextField)
_TIME = (models.DateTimeField,)


BUILT_IN = "stageapp.PortfolioCompany.stage"  # what imports and the admin write, a target or not
_OPTIONS = {"source", "where", "form", "touch"}
_FORMS = ("slug", "label")


@dataclass(frozen=True)
class Link:
    """The join from a multi-table inheritance table to its parent; names are quoted for SQL."""

    table: str
    column: str
    parent_column: str


@dataclass(frozen=True)
class Target:
    """A column to normalize, with its names quoted for SQL."""

    label: str
    table: str
    column: str
    key: str
    key_type: str
    source_column: str = ""  # empty where the target declares none
    where: str = ""  # SQL of the rows that belong to the target; empty: all
    form: str = "slug"  # what is stored of a stage
    touched: str = ""  # the column that a change sets to the time; empty: none
    # From the column's table down to the model's own, where that inherits the column.
    links: tuple[Link, ...] = ()

    @property
    def array(self) -> str:
        """The audit log's column for keys of this type."""
        return "uuids" if self.key_type == "uuid" else "keys"

    @property
    def stored_key(self) -> str:
        """The type of the key in the audit log."""
        return "uuid" if self.key_type == "uuid" else "bigint"

    @property
    def rows(self) -> str:
        """The SQL condition for the target's rows."""
        return self.rows_of(self.table)

    def rows_of(self, table: str) -> str:
        """Return that condition for another name or alias of the table."""
        own = [f"({self.where})"] if self.where else []
        return " AND ".join([*own, *self._extended_by(table, self.links)]) or "true"

    def _extended_by(self, table: str, links: Sequence[Link]) -> list[str]:
        """Return the condition that each child table has the row; others are not the target's.

        It costs an index lookup per row; a join would read the child table for each batch.
        """
        if not links:
            return []
        link, alias = links[0], f"kin{len(links)}"
        is_its_parent = f"{alias}.{link.column} = {table}.{link.parent_column}"
        below = " AND ".join([is_its_parent, *self._extended_by(alias, links[1:])])
        return [f"(SELECT true FROM {link.table} AS {alias} WHERE {below} LIMIT 1)"]

    def value(self, table: str) -> str:
        """Return the SQL of a row's value, compared byte for byte whatever its collation."""
        return f'{table}.{self.column}::text COLLATE "C"'

    def logged(self, table: str) -> str:
        """Return the SQL of a row's value as in the audit log, where NULL is empty."""
        return f"coalesce({self.value(table)}, '')"

    def stored(self, slug: str, labels: Mapping[str, str]) -> str:
        """Return how the target stores a stage: as its slug or its label."""
        return labels[slug] if self.form == "label" else slug

    def canonical(self, labels: Mapping[str, str]) -> list[str]:
        """Return every value that a normalized row may have."""
        return [self.stored(slug, labels) for slug in labels]

    def source(self, table: str = "") -> str:
        """Return the SQL of a row's source, which is empty without a source column."""
        prefix = f"{table}." if table else ""
        return f"coalesce({prefix}{self.source_column}, '')" if self.source_column else "''"

    def holds_any(self, olds: Sequence[tuple[str, str]]) -> tuple[str, list[list[str]]]:
        """Return the SQL condition and parameters that a row still has one (source, value) pair."""
        values = [value for _, value in olds]
        if not self.source_column:
            return f"{self.rows} AND {self.column} = ANY(%s)", [values]
        pairs = "SELECT * FROM unnest(%s::text[], %s::text[])"
        return f"{self.rows} AND ({self.source()}, {self.column}) IN ({pairs})", [
            [source for source, _ in olds],
            values,
        ]


def resolve(label: str) -> Target:
    """Return the target for a configured `app.Model.field`.

    Raises:
        TargetError: it is not in STAGE_TARGETS, does not exist, is not text, has a key unsuitable
            for keyset pagination, is routed to another database, or has an invalid option.
    """
    if label not in conf.targets():
        raise TargetError(
            f"{label} is not a target. Configured targets: "
            f"{', '.join(conf.targets()) or 'none'}. Add it to STAGE_TARGETS as "
            "app.Model.field."
        )
    named, field = field_of(label)
    model = field.model  # an inherited field stands in its parent's table
    _check_database(label, named, model)
    key, key_type = _primary_key(model)
    quote = connection.ops.quote_name
    return Target(
        label=label,
        table=quote(model._meta.db_table),
        column=quote(str(field.column)),
        key=quote(str(key.column)),
        key_type=key_type,
        links=_links(named, model),
        **_options(label, model),
    )


def default_label() -> str:
    """Return the only configured target.

    Raises:
        Ambiguous: there are several.
        TargetError: there is none.
    """
    labels = conf.targets()
    if not labels:
        raise TargetError("No target is configured. Add one to STAGE_TARGETS.")
    if len(labels) > 1:
        raise Ambiguous(f"Choose a target with --target. Configured targets: {', '.join(labels)}.")
    return labels[0]


def field_of(label: str) -> tuple[type[models.Model], AnyField]:
    """Return the model and the field for a label.

    Raises:
        TargetError: there is no such field, or it is not text.
    """
    try:
        app, model_name, field_name = label.split(".")
        model = apps.get_model(app, model_name)
        field = model._meta.get_field(field_name)
    except (ValueError, LookupError, FieldDoesNotExist) as error:
        raise TargetError(
            f"STAGE_TARGETS lists {label}, which is not an app.Model.field: {error}"
        ) from None
    if not isinstance(field, _TEXT):
        raise TargetError(
            f"{label} is a {type(field).__name__}; only text columns can be normalized."
        )
    return model, field


def sharing(label: str, others: Iterable[str]) -> list[str]:
    """Return the target and the other targets that write its column, its source or its `where`.

    A model, its proxy and a child that inherits the column may each be a target: a change by one
    of them shows in the others.

    Raises:
        TargetError: the target itself cannot be used.
    """
    mine = resolve(label)
    labels = [label]
    for other in others:
        try:
            field = field_of(other)[1]
        except TargetError:
            continue
        column = connection.ops.quote_name(str(field.column))
        read = column in (mine.column, mine.source_column) or str(field.column) in mine.where
        same_table = connection.ops.quote_name(field.model._meta.db_table) == mine.table
        if other not in labels and same_table and read:
            labels.append(other)
    return labels


def _check_database(label: str, *models_: type[models.Model]) -> None:
    for model in models_:
        for alias in (router.db_for_write(model), router.db_for_read(model)):
            # Whether it is our database, or a replica of it as Django's tests declare one.
            if not (
                alias == DEFAULT_DB_ALIAS
                or (
                    settings.DATABASES.get(alias, {}).get("TEST", {}).get("MIRROR")
                    == DEFAULT_DB_ALIAS
                )
            ):
                raise TargetError(
                    f"{label} is in the database {alias}: DATABASE_ROUTERS sends "
                    f"{model._meta.label} there. A run, its log and its checkpoint share "
                    f"a transaction, so a target must be in {DEFAULT_DB_ALIAS}. Remove it "
                    f"from STAGE_TARGETS, or normalize it with an installation on {alias}."
                )


def _links(named: type[models.Model], owner: type[models.Model]) -> tuple[Link, ...]:
    """Return the links from the column's table down to the named model's own table."""
    quote, links = connection.ops.quote_name, list[Link]()
    below = named._meta.concrete_model
    while below is not None and below is not owner:
        to_parent = below._meta.get_ancestor_link(owner)
        if to_parent is None:
            break
        parent = to_parent.target_field
        table, column = quote(below._meta.db_table), quote(str(to_parent.column))
        links.insert(0, Link(table, column, quote(str(parent.column))))
        below = parent.model
    return tuple(links)


def _options(label: str, model: type[models.Model]) -> dict[str, str]:
    options = conf.target_options(label)
    if unknown := set(options) - _OPTIONS:
        known = ", ".join(sorted(_OPTIONS))
        raise TargetError(
            f"STAGE_TARGETS gives {label} the option {min(unknown)}; the options are {known}."
        )
    form = options.get("form", "slug")
    if form not in _FORMS:
        raise TargetError(f"STAGE_TARGETS gives {label} the form {form}; use slug or label.")
    if "%" in options.get("where", ""):
        raise TargetError(
            f"STAGE_TARGETS gives {label} a where that contains %; use starts_with() or ~ "
            "instead of LIKE."
        )
    return {
        "source_column": _column(label, model, options.get("source"), _TEXT, "text"),
        "touched": _column(label, model, options.get("touch"), _TIME, "date-time"),
        "where": options.get("where", ""),
        "form": form,
    }


def _column(
    label: str, model: type[models.Model], name: str | None, kinds: Any, called: str
) -> str:
    """Return another field's quoted column in the same table; empty if the option is not set."""
    if name is None:
        return ""
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        raise TargetError(
            f"STAGE_TARGETS names the field {name}, but the model of {label} has no such field."
        ) from None
    if not isinstance(field, kinds) or field.model is not model:
        raise TargetError(
            f"The field {name}, named for {label}, must be a {called} column of the same table."
        )
    return connection.ops.quote_name(str(field.column))


def _primary_key(model: type[models.Model]) -> tuple[AnyField, str]:
    """Return the key and its SQL type; a key that is a foreign key has the type of its target."""
    key = plain = model._meta.pk
    while isinstance(plain, models.ForeignKey):  # a one-to-one field is one
        plain = plain.target_field
    if key is None or not isinstance(plain, _KEY_FIELDS):
        raise TargetError(
            f"The primary key of {model._meta.label} is a {type(plain).__name__}; batches need "
            "an integer or UUID key."
        )
    return key, str(plain.rel_db_type(connection))
