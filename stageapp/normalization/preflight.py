"""Check a target before a run: whether it can work, and what it would silently break.

Nothing is changed. Blocking findings stop the start of a run; all findings are for the operator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from django.db import DatabaseError, connection, models, transaction
from django.db.models.signals import post_save, pre_save

from stageapp.infrastructure import words
from stageapp.models.normalization import Plan, Run
from stageapp.normalization import plan, quoted
from stageapp.targets import columns, targets, values
from stageapp.targets.columns import Column
from stageapp.targets.errors import PreflightRefused, TargetError
from stageapp.targets.findings import Finding, Severity, blocks, sort, tells, warns
from stageapp.targets.targets import Target, field_of
from stageapp.vocabulary import snapshot
from stageapp.vocabulary.snapshot import Snapshot

READ_SECONDS = 5.0  # for the distinct values; a larger table is judged by its newest plan
MOST_VALUES = 2_000  # compared with the database's function; the most frequent come first
_SHOWN = 5

Values = Sequence[tuple[str, str]]  # (source, raw value)


@dataclass(frozen=True)
class Preflight:
    """All findings for one target, the worst first."""

    target: str
    findings: list[Finding]

    @property
    def worst(self) -> Severity | None:
        """The worst severity, or None without findings."""
        return self.findings[0].severity if self.findings else None

    def document(self) -> dict[str, object]:
        return {
            "target": self.target,
            "worst": self.worst.value if self.worst else None,
            "findings": [finding.document() for finding in self.findings],
        }


def look(label: str) -> Preflight:
    """Check a target as it is now; raises django.db.DatabaseError if PostgreSQL does not answer."""
    try:
        target = targets.resolve(label)
        newest, meaning_of = Plan.objects.filter(target=label).first(), snapshot.load()
        held, new = _values_of(target, newest), _new_values(newest, meaning_of)
        findings = [*_can_work(target, held, new, meaning_of), *of_model(target)]
        column = columns.find(target)[0]
        if column is not None:
            olds = {change.old for change in plan.changes(newest)} if newest else set()

            def is_old(text: str) -> bool:
                stage = meaning_of.normalize(text).stage
                return text in olds or (stage is not None and stage != text)

            findings += [*quoted.findings(target, column, is_old), *_nulls(target)]
        return Preflight(label, sort(findings))
    except TargetError as error:
        return Preflight(label, [blocks("The target cannot be used", str(error))])


def require_clear(run: Run) -> None:
    """Hold that nothing stops the run.

    Raises:
        PreflightRefused: something does; the text says what, and how to see all of it.
        TargetError: the target cannot be used.
    """
    target, meaning_of = targets.resolve(run.target), snapshot.load()
    entries = [(entry.source, entry.raw) for entry in run.plan.entries.all()[:MOST_VALUES]]
    findings = _can_work(target, entries, _new_values(run.plan, meaning_of), meaning_of)
    if closed := [str(finding) for finding in findings if finding.severity == Severity.BLOCKS]:
        lines = "\n".join(f"  {said}" for said in closed)
        raise PreflightRefused(
            "The run cannot work with the database as it is:\n"
            f"{lines}\n"
            f"`normalization preflight --target {run.target}` shows everything."
        )


def _can_work(
    target: targets.Target, read: Values | None, new: Sequence[str], meaning_of: Snapshot
) -> Iterator[Finding]:
    yield from _parity(read, meaning_of)
    column, facts = columns.find(target)
    if column is None:
        yield blocks(
            f"There is no column {target.column} of {target.table}",
            "migrate, or correct STAGE_TARGETS",
        )
        return
    yield from columns.findings(target, column, facts, new)
    yield from of_constraints(target, column, new)
    yield from columns.met(column)


def _values_of(target: targets.Target, newest: Plan | None) -> Values | None:
    """Return the distinct values; if reading takes too long, those of the newest plan, if any."""
    try:
        with transaction.atomic():
            distinct = values.distinct_values(target, seconds=READ_SECONDS)
        return [(source, raw) for source, raw, _ in distinct[:MOST_VALUES]]
    except (values.TooSlow, DatabaseError):
        entries = newest.entries.all()[:MOST_VALUES] if newest else None
        return None if entries is None else [(entry.source, entry.raw) for entry in entries]


def _nulls(target: targets.Target) -> Iterator[Finding]:
    """Yield the number of rows with NULL, if it can be counted in time."""
    try:
        rows = values.null_rows(target, seconds=READ_SECONDS)
    except (values.TooSlow, DatabaseError):
        return
    if rows:
        means = "NULL is not a value (blank), and a run leaves it NULL"
        yield tells(f"Rows with NULL: {rows:,}", means)


def _new_values(newest: Plan | None, meaning_of: Snapshot) -> list[str]:
    """Return what a run would write: the plan's stages, or every active stage without a plan."""
    planned = {change.new for change in plan.changes(newest)} if newest else set(meaning_of.labels)
    return sorted(planned)


def _parity(read: Values | None, meaning_of: Snapshot) -> Iterator[Finding]:
    """Yield whether `normalize_stage()` exists and agrees with Python on every value."""
    if read is None:
        yield warns(
            "The distinct values could not be read in time",
            "make a plan; the next check compares its values",
        )
        return
    try:
        with transaction.atomic():
            wrong = snapshot.disagreements(read, meaning_of)
    except DatabaseError as error:
        if connection.connection is None or connection.connection.closed:
            raise
        yield blocks("normalize_stage() does not work", words.first_line(error))
        return
    if wrong:
        shown = ", ".join(ascii(raw) for raw in wrong[:_SHOWN])
        means = "run `manage.py migrate`, and start no run until they agree"
        yield blocks(f"PostgreSQL and Python disagree about {len(wrong)} values: {shown}", means)
    else:
        count = f"{len(read):,}" + (" most frequent" if len(read) == MOST_VALUES else "")
        yield tells(
            "normalize_stage() exists", f"it agrees with Python on the {count} distinct values"
        )


# What Django does on a model's save, and a run, which writes SQL, does not.

Model: TypeAlias = type[models.Model]

_SIGNALS = {"pre_save": pre_save, "post_save": post_save}


def of_model(target: Target) -> Iterator[Finding]:
    """Yield what a save of the target's model does and a run does not."""
    model, field = field_of(target.label)
    if target.links:
        below, above = model._meta.label, field.model._meta.label
        yield tells(
            f"{below} inherits the column from {above}",
            f"rows of {above} that are not {below} are left alone; seal and guard cannot "
            "tell them apart and are refused",
        )
    for timed in model._meta.concrete_fields:
        same_table = timed.model is field.model
        touched = same_table and connection.ops.quote_name(str(timed.column)) == target.touched
        if not getattr(timed, "auto_now", False) or touched:
            continue
        how = "touch can only set a date-time column of the same table, and this is not one"
        if same_table and isinstance(timed, models.DateTimeField):
            how = f"with touch={timed.name} in STAGE_TARGETS the run sets it too"
        means = f"a run does not change it; {how}"
        yield tells(f"Saving a row sets {timed.name} (auto_now)", means)
    for name in ("save", "save_base"):
        by = next(cls for cls in model.__mro__ if name in vars(cls))
        if by is not models.Model:
            yield warns(
                f"{by.__module__}.{by.__qualname__} has its own {name}()",
                "a run does not call it; whatever it does for a changed row has to be "
                "done another way" + _remedy(target),
            )
    for name, signal in _SIGNALS.items():
        if signal.has_listeners(model):
            yield warns(
                f"{name} of {model._meta.label} has receivers",
                (
                    "a run sends no signals: caches, search indexes and other receivers "
                    "do not see the changed rows"
                )
                + _remedy(target),
            )


def _remedy(target: Target) -> str:
    if target.touched:
        return ""
    return "; with touch=FIELD in STAGE_TARGETS they can find the rows by their timestamp"


# The constraints on a column, asked about the values that a run would write.

_CONSTRAINTS = """
SELECT c.conname, c.contype, c.conrelid = %(table)s, c.conkey::int2[] = ARRAY[%(number)s]::int2[], c.confupdtype,
       pg_get_expr(c.conbin, c.conrelid), c.conrelid::regclass::text, c.confrelid::regclass::text,
       (SELECT quote_ident(a.attname) FROM pg_attribute a
         WHERE a.attrelid = c.confrelid AND a.attnum = c.confkey[array_position(c.conkey, %(number)s::int2)])
  FROM pg_constraint c
 WHERE (c.conrelid = %(table)s AND %(number)s = ANY(c.conkey) AND c.contype IN ('c', 'f', 'x'))
    OR (c.confrelid = %(table)s AND %(number)s = ANY(c.confkey) AND c.contype = 'f')
 ORDER BY c.conname
"""


_DOMAIN = """
SELECT t.oid::regtype::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = %s AND a.attnum = %s AND t.typtype = 'd'
"""


def of_constraints(target: Target, column: Column, new: Sequence[str]) -> Iterator[Finding]:
    """Yield what each constraint on the column does with the values that a run would write."""
    yield from _domain(column, new)
    with connection.cursor() as cursor:
        cursor.execute(_CONSTRAINTS, {"table": column.table, "number": column.number})
        rows = list(cursor.fetchall())
    for (
        name,
        kind,
        ours,
        alone,
        on_update,
        expression,
        table,
        referenced,
        referenced_column,
    ) in rows:
        if kind == "c":
            yield (
                _check(target, name, expression, new)
                if alone
                else warns(
                    f"CHECK {name} covers the column together with others",
                    "it cannot be tested in advance: review it",
                )
            )
        elif kind == "x":
            yield warns(
                f"The exclusion constraint {name} covers the column",
                "changed rows may conflict with it",
            )
        elif ours:
            yield _reference(name, referenced, referenced_column, new)
        elif on_update == "c":
            yield warns(
                f"{table} references the column (foreign key {name})",
                "each changed row also changes rows there, outside the audit log",
            )
        else:
            yield blocks(
                f"{table} references the column (foreign key {name})",
                "changing a referenced value is refused, and the batch would fail",
            )


def _domain(column: Column, new: Sequence[str]) -> Iterator[Finding]:
    """Yield what the column's domain and its base domains do with each value."""
    with connection.cursor() as cursor:
        cursor.execute(_DOMAIN, [column.table, column.number])
        row = cursor.fetchone()
    if row is None:
        return
    refused: dict[str, list[str]] = {}
    for value in new:
        try:
            _values(f"SELECT (unnest(%s::text[])::{_escaped(row[0])})::text", [value])
        except DatabaseError as error:
            if not isinstance(error.__cause__, psycopg.Error) or error.__cause__.sqlstate is None:
                raise
            refused.setdefault(error.__cause__.diag.constraint_name or "", []).append(value)
    for name, wrong in refused.items():
        what = f"CHECK {name} of the domain {row[0]}" if name else f"The domain {row[0]}"
        yield blocks(f"{what} refuses {', '.join(wrong)}", "no row can take that value")
    if not refused:
        means = "it allows every value that the run would write"
        yield tells(f"The column is of the domain {row[0]}", means)


def _check(target: Target, name: str, expression: str, new: Sequence[str]) -> Finding:
    sql = (
        f"SELECT {target.column} FROM unnest(%s::text[]) AS t ({target.column}) WHERE NOT "
        f"({_escaped(expression)})"
    )
    try:
        refused = _values(sql, list(new))
    except DatabaseError as error:
        return warns(f"CHECK {name} cannot be tested in advance", words.first_line(error))
    if refused:
        return blocks(
            f"CHECK {name} refuses {', '.join(refused)}", "the batch that writes it would fail"
        )
    return tells(
        f"CHECK {name} covers the column", "it allows every value that the run would write"
    )


def _reference(name: str, table: str, column: str, new: Sequence[str]) -> Finding:
    sql = (
        f"SELECT v FROM unnest(%s::text[]) AS v "
        f"WHERE NOT EXISTS (SELECT FROM {_escaped(table)} WHERE {_escaped(column)}::text = v)"
    )
    if missing := _values(sql, list(new)):
        return blocks(
            f"The foreign key {name} refuses {', '.join(missing)}", f"{table} has no such row"
        )
    return tells(
        f"The foreign key {name} references {table}",
        "it contains every value that the run would write",
    )


def _escaped(expression: str) -> str:
    return expression.replace("%", "%%")


def _values(sql: str, values: list[Any]) -> list[str]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, [values])
        return [value for (value,) in cursor.fetchall()]
