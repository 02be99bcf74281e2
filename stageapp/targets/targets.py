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
    """How a table of multi-table inheritance extends its parent's; names are quoted for SQL."""

    table: str
    column: str
    parent_column: str


@dataclass(frozen=True)
class Target:
    """One column, with its names quoted for SQL."""

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
        """Return the audit log's column for keys of this kind."""
        return "uuids" if self.key_type == "uuid" else "keys"

    @property
    def stored_key(self) -> str:
        """Return the type in which the audit log keeps a key."""
        return "uuid" if self.key_type == "uuid" else "bigint"

    @property
    def rows(self) -> str:
        """Return the SQL condition of the rows that belong to the target."""
        return self.rows_of(self.table)

    def rows_of(self, table: str) -> str:
        """Return the same where the statement calls the table by another name."""
        own = [f"({self.where})"] if self.where else []
        return " AND ".join([*own, *self._extended_by(table, self.links)]) or "true"

    def _extended_by(self, table: str, links: Sequence[Link]) -> list[str]:
        """Return the condition that a row has one in each table below: others are not the target's.

        It is a look into an index for each row. A join would read the child table for each batch.
        """
        if not links:
            return []
        link, alias = links[0], f"kin{len(links)}"
        is_its_parent = f"{alias}.{link.column} = {table}.{link.parent_column}"
        below = " AND ".join([is_its_parent, *self._extended_by(alias, links[1:])])
        return [f"(SELECT true FROM {link.table} AS {alias} WHERE {below} LIMIT 1)"]

    def value(self, table: str) -> str:
        """Return the SQL of a row's value, compared byte by byte whatever the column's collation
        says is equal.
        """
        return f'{table}.{self.column}::text COLLATE "C"'

    def logged(self, table: str) -> str:
        """Return the SQL of a row's value as the audit log has it, where NULL is blank."""
        return f"coalesce({self.value(table)}, '')"

    def stored(self, slug: str, labels: Mapping[str, str]) -> str:
        """Return what a row holds of a stage."""
        return labels[slug] if self.form == "label" else slug

    def canonical(self, labels: Mapping[str, str]) -> list[str]:
        """Return all that a normalized row may hold."""
        return [self.stored(slug, labels) for slug in labels]

    def source(self, table: str = "") -> str:
        """Return the SQL of a row's source; every row of a target without a source column has
        the empty one.
        """
        prefix = f"{table}." if table else ""
        return f"coalesce({prefix}{self.source_column}, '')" if self.source_column else "''"

    def holds_any(self, olds: Sequence[tuple[str, str]]) -> tuple[str, list[list[str]]]:
        """Return the SQL condition (and its parameters) that a row still holds one of these
        (source, value) pairs.
        """
        values = [value for _, value in olds]
        if not self.source_column:
            return f"{self.rows} AND {self.column} = ANY(%s)", [values]
        pairs = "SELECT * FROM unnest(%s::text[], %s::text[])"
        return f"{self.rows} AND ({self.source()}, {self.column}) IN ({pairs})", [
            [source for source, _ in olds],
            values,
        ]


def resolve(label: str) -> Target:
    """Return the target of a configured `app.Model.field`.

    Raises:
        TargetError: it is not in STAGE_TARGETS, does not exist, is no text, its key is not
            keyset-friendly, a router keeps it in another database, or one of its options makes no
            sense.
    """
    if label not in conf.targets():
        raise TargetError(
            f"{label} is not a target. Configured are: {', '.join(conf.targets()) or 'none'}. "
            "Add it to STAGE_TARGETS as app.Model.field."
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
        raise TargetError("No target is configured. Name one in STAGE_TARGETS.")
    if len(labels) > 1:
        raise Ambiguous(f"Say which target with --target. Configured are: {', '.join(labels)}.")
    return labels[0]


def field_of(label: str) -> tuple[type[models.Model], AnyField]:
    """Return the model and the field that a label names.

    Raises:
        TargetError: there is none, or it is no text.
    """
    try:
        app, model_name, field_name = label.split(".")
        model = apps.get_model(app, model_name)
        field = model._meta.get_field(field_name)
    except (ValueError, LookupError, FieldDoesNotExist) as error:
        raise TargetError(
            f"STAGE_TARGETS names {label}, which is no app.Model.field: {error}"
        ) from None
    if not isinstance(field, _TEXT):
        raise TargetError(
            f"{label} is a {type(field).__name__}; only text columns can be normalized."
        )
    return model, field


def sharing(label: str, others: Iterable[str]) -> list[str]:
    """Return the target and those of the others that write what it holds, or what says its rows.

    A model, its proxy and a child that inherits the column may each be a target: what one of them
    changes, the others hold.

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
                    f"{model._meta.label} there. A run, its log and its checkpoint share a "
                    f"transaction, so a target has to be in {DEFAULT_DB_ALIAS}. Take it out of "
                    f"STAGE_TARGETS, or normalize it with an installation on {alias}."
                )


def _links(named: type[models.Model], owner: type[models.Model]) -> tuple[Link, ...]:
    """Return the links from the table that holds the column down to the named model's own."""
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
            f"STAGE_TARGETS gives {label} the option {min(unknown)}; there are {known}."
        )
    form = options.get("form", "slug")
    if form not in _FORMS:
        raise TargetError(f"STAGE_TARGETS gives {label} the form {form}; it is slug or label.")
    if "%" in options.get("where", ""):
        raise TargetError(
            f"STAGE_TARGETS gives {label} a where with a % in it; say starts_with() or ~ in "
            "place of LIKE."
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
    """Return the quoted column of another field of the same table; empty where the option is not
    given.
    """
    if name is None:
        return ""
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        raise TargetError(
            f"STAGE_TARGETS names the field {name}; {label} has no such field beside it."
        ) from None
    if not isinstance(field, kinds) or field.model is not model:
        raise TargetError(
            f"The field {name}, named for {label}, must be a {called} column of the same table."
        )
    return connection.ops.quote_name(str(field.column))


def _primary_key(model: type[models.Model]) -> tuple[AnyField, str]:
    """Return the key and its SQL type; a key that refers to another model's has that one's type."""
    key = plain = model._meta.pk
    while isinstance(plain, models.ForeignKey):  # a one-to-one field is one
        plain = plain.target_field
    if key is None or not isinstance(plain, _KEY_FIELDS):
        raise TargetError(
            f"The primary key of {model._meta.label} is a {type(plain).__name__}; batches need "
            "an integer or UUID key."
        )
    return key, str(plain.rel_db_type(connection))
