"""Import a fund's companies from delimited text: all rows, or none."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from django.db import connection, transaction
from django.db.models import Count
from django.utils import timezone
from psycopg.errors import CheckViolation

from stageapp.audit import proof
from stageapp.infrastructure.delimited import CountedBytes, Row, Table, UnreadableTable, open_text
from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.models.proofs import TargetWrite
from stageapp.sealing.state import is_by_seal
from stageapp.targets.targets import BUILT_IN
from stageapp.unknowns import records

MAX_CELL = 10_000  # characters of a name or a stage
SHOWN_FAULTS = 20
_SEALED = (
    "The stage column is sealed and does not accept one of the stages in the file; "
    "nothing was imported. `stages normalize` shows what each value means. "
    "`normalization guard on` stores known spellings as their stages."
)
_REPORT_EVERY = 1000  # rows
_COLUMNS = ("fund_id", "name", "stage", "sector", "updated_at")

Company = tuple[str, str, str]  # name, stage, sector
Report = Callable[[int], None]  # takes the bytes read so far


class ImportRefused(Exception):
    """The file was rejected and nothing of it is stored. The text says what to do."""


@dataclass
class Faults:
    """The rows that cannot be imported: the first ones with line and reason, and the total."""

    count: int = 0
    first: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, why: str) -> None:
        """Count a bad row, and keep the first ones."""
        self.count += 1
        if len(self.first) < SHOWN_FAULTS:
            self.first.append((line, why))


class BadRows(ImportRefused):
    def __init__(self, faults: Faults, rows: int) -> None:
        self.faults = faults
        self.rows = rows
        lines = [f"{faults.count:,} of {rows:,} rows cannot be imported, so nothing was imported:"]
        lines += [f"  line {line}: {why}" for line, why in faults.first]
        if faults.count > len(faults.first):
            lines.append(f"  … and {faults.count - len(faults.first):,} more")
        super().__init__("\n".join([*lines, "Correct these lines and import the file again."]))


@dataclass(frozen=True)
class Imported:
    fund: Fund
    fund_created: bool
    rows: int
    stages: int
    delimiter: str


def import_companies(
    source: BinaryIO,
    *,
    fund: str,
    stage_column: str,
    name_column: str | None = None,
    encoding: str = "utf-8",
    delimiter: str | None = None,
    actor: str = "an import",
    report: Report = lambda _: None,
) -> Imported:
    """Store one company per data row in one transaction; stages are stored as written.

    Without a name column, or if its cell is blank, the name is derived from the line number.

    Raises:
        ImportRefused: the file is not a table, lacks a column or rows, has bad rows (`BadRows`),
            or the column is sealed and rejects one of the stages.
    """
    if not fund.strip() or len(fund.strip()) > 200 or "\x00" in fund:
        raise ImportRefused("The fund needs a name of 1 to 200 characters: set it with --fund.")
    counted = CountedBytes(source)
    try:
        table = Table(open_text(counted, encoding), wanted=stage_column, delimiter=delimiter)
        places = (
            _place(table, stage_column),
            None if name_column is None else _place(table, name_column),
        )
        with transaction.atomic():
            imported = _store(table, places, fund.strip(), _reported(table, counted, report))
            proof.record_write(
                BUILT_IN,
                TargetWrite.IMPORT,
                imported.rows,
                actor=actor,
                reason=f"import into {imported.fund.name}",
            )
            return imported
    except UnreadableTable as error:
        raise ImportRefused(str(error)) from None
    except CheckViolation as error:  # as COPY raises it
        if not is_by_seal(error):
            raise
        raise ImportRefused(_SEALED) from None


def copy_companies(fund: Fund, companies: Iterable[Company], stamp: Any = None) -> None:
    """Store companies by COPY within the caller's transaction."""
    stamp = stamp or timezone.now()
    quote = connection.ops.quote_name
    columns = ", ".join(map(quote, _COLUMNS))
    sql = f"COPY {quote(PortfolioCompany._meta.db_table)} ({columns}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(sql) as copy:
        for name, stage, sector in companies:
            copy.write_row((fund.pk, name, stage, sector, stamp))


def _store(
    table: Table, places: tuple[int, int | None], fund_name: str, rows: Iterator[Row]
) -> Imported:
    fund, created = Fund.objects.get_or_create(name=fund_name)
    stamp, faults, seen = timezone.now(), Faults(), _Count()
    copy_companies(fund, _companies(rows, places, faults, seen), stamp)
    if faults.count:
        raise BadRows(faults, seen.rows)
    if not seen.rows:
        raise ImportRefused("The file has a header and no rows: there is nothing to import.")
    # Rows that the fund had before have another time of change.
    stored = PortfolioCompany.objects.filter(fund=fund, updated_at=stamp)
    stages = dict(stored.order_by().values_list("stage").annotate(rows=Count("*")))
    records.record_import(fund_name, stages, source=fund_name)
    return Imported(fund, created, seen.rows, len(stages), table.delimiter)


@dataclass
class _Count:
    rows: int = 0


def _companies(
    rows: Iterator[Row], places: tuple[int, int | None], faults: Faults, seen: _Count
) -> Iterator[Company]:
    """Yield the companies before the first bad row; after it, only check for more bad rows."""
    stage_at, name_at = places
    for row in rows:
        seen.rows += 1
        why = row.fault
        for cell in [] if why else [row.cells[place] for place in places if place is not None]:
            if not why and len(cell) > MAX_CELL:
                why = f"a cell of {len(cell):,} characters; at most {MAX_CELL:,} are allowed"
        if why:
            faults.add(row.line, why)
        elif not faults.count:
            name = row.cells[name_at].strip() if name_at is not None else ""
            yield name or f"Row at line {row.line}", row.cells[stage_at], ""


def _reported(table: Table, counted: CountedBytes, report: Report) -> Iterator[Row]:
    for number, row in enumerate(table):
        if number % _REPORT_EVERY == 0:
            report(counted.count)
        yield row
    report(counted.count)


def _place(table: Table, name: str) -> int:
    times = table.columns.count(name.strip())
    if times == 1:
        return table.columns.index(name.strip())
    columns = ", ".join(repr(column) for column in table.columns[:50])
    if times:
        raise ImportRefused(
            f"{times} columns are named {name!r}; exactly one must be. Columns found: {columns}."
        )
    raise ImportRefused(
        f"There is no column {name!r}. Columns found: {columns}. If these are not the "
        "columns, set the separator with --delimiter and the encoding with --encoding."
    )
