"""Check a target before a run: whether it can work, and what it would silently break.

Nothing is changed. Blocking findings stop the start of a run; all findings are for the operator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import DatabaseError, connection, transaction

from stageapp.models.normalization import Plan, Run
from stageapp.normalization import plan
from stageapp.normalization.preflight import constraints, models, quoted
from stageapp.targets import columns, targets, values
from stageapp.targets.errors import PreflightRefused, TargetError
from stageapp.targets.findings import Finding, Severity, blocks, sort, tells, warns
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
        return Preflight(label, sort(list(_all_of(targets.resolve(label)))))
    except TargetError as error:
        return Preflight(label, [blocks("The target cannot be used", str(error))])


def _all_of(target: targets.Target) -> Iterator[Finding]:
    newest, meaning_of = Plan.objects.filter(target=target.label).first(), snapshot.load()
    held, new = _values_of(target, newest), _new_values(newest, meaning_of)
    yield from _can_work(target, held, new, meaning_of)
    yield from models.findings(target)
    if (column := columns.find(target)[0]) is not None:
        olds = {change.old for change in plan.changes(newest)} if newest else set()
        yield from quoted.findings(
            target,
            column,
            lambda text: _is_old(text, olds, meaning_of),
        )
        yield from _nulls(target)


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
    yield from constraints.findings(target, column, new)
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
    sql = f"SELECT count(*) FROM {target.table} WHERE {target.rows} AND {target.column} IS NULL"
    try:
        ((rows,),) = values.read(target, sql, seconds=READ_SECONDS)
    except (values.TooSlow, DatabaseError):
        return
    if rows:
        means = "NULL is not a value (blank), and a run leaves it NULL"
        yield tells(f"Rows with NULL: {rows:,}", means)


def _new_values(newest: Plan | None, meaning_of: Snapshot) -> list[str]:
    """Return what a run would write: the plan's stages, or every active stage without a plan."""
    planned = {change.new for change in plan.changes(newest)} if newest else set(meaning_of.labels)
    return sorted(planned)


def _is_old(text: str, olds: set[str], meaning_of: Snapshot) -> bool:
    stage = meaning_of.normalize(text).stage
    return text in olds or (stage is not None and stage != text)


def _parity(read: Values | None, meaning_of: Snapshot) -> Iterator[Finding]:
    """Yield whether `normalize_stage()` exists and agrees with Python on every value."""
    if read is None:
        yield warns(
            "The distinct values could not be read in time",
            "make a plan; the next check compares its values",
        )
        return
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT s, v, normalize_stage(v, s) FROM unnest(%s::text[], %s::text[]) AS t (s, "
                "v)",
                [[source for source, _ in read], [raw for _, raw in read]],
            )
            rows = list(cursor.fetchall())
    except DatabaseError as error:
        if connection.connection is None or connection.connection.closed:
            raise
        yield blocks("normalize_stage() does not work", str(error).strip().partition("\n")[0])
        return
    wrong = [raw for source, raw, stage in rows if meaning_of.normalize(raw, source).stage != stage]
    if wrong:
        shown = ", ".join(ascii(raw) for raw in wrong[:_SHOWN])
        means = "run `manage.py migrate`, and start no run until they agree"
        yield blocks(f"PostgreSQL and Python disagree about {len(wrong)} values: {shown}", means)
    else:
        count = f"{len(rows):,}" + (" most frequent" if len(rows) == MOST_VALUES else "")
        yield tells(
            "normalize_stage() exists", f"it agrees with Python on the {count} distinct values"
        )
