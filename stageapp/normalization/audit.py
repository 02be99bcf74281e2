"""The audit log's only door: every change of a row goes in through `write`, and comes out through `entries`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast

from stageapp.models.normalization import Batch, Direction, NormalizationLog, Run
from stageapp.normalization.plan import Change
from stageapp.normalization.targets import Target

# Both write statements lock the rows in key order, compare with the value they are about to replace, and record
# what they really replaced: a row that somebody else changes in between is left alone.
_WRITE_SQL = """
WITH wanted AS (
    {wanted}
), hit AS (
    SELECT t.{key} AS k, w.old, w.new
      FROM {table} t JOIN wanted w ON {match}
     ORDER BY t.{key}
       FOR NO KEY UPDATE OF t
), changed AS (
    UPDATE {table} t SET {column} = hit.new
      FROM hit WHERE t.{key} = hit.k AND t.{column} = hit.old
    RETURNING hit.k, hit.old, t.{column} AS new  -- what a trigger of the table made of it, if it has one
)
INSERT INTO stageapp_normalizationlog (batch_id, row_key, old, new)
SELECT %s, k::text, old, new FROM changed WHERE old <> new
"""


@dataclass(frozen=True)
class Entry:
    """One change of one row, as it was recorded."""

    row_key: str
    old: str
    new: str
    at: datetime
    run: int
    batch: int
    direction: str


def next_batch_id() -> int:
    """Return the id of the batch about to be written: its entries go in before it does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('stageapp_batch', 'id'))")
        return int(cursor.fetchone()[0])


def write_map(target: Target, changes: Sequence[Change], *, batch_id: int, after: str, up_to: str) -> int:
    """Change every row in the key range (after, up_to] whose source and value are in the map; return how many.

    `after` is empty for the table's start. Must run inside the batch's transaction.
    """
    same_source = f" AND {target.source('t')} = w.source" if target.source_column else ""
    lower = f"t.{target.key} > %s::{target.key_type} AND " if after else ""
    sql = _WRITE_SQL.format(
        wanted="SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS change(source, old, new)",
        match=f"{lower}t.{target.key} <= %s::{target.key_type} AND t.{target.column} = w.old{same_source}",
        key=target.key, table=target.table, column=target.column,
    )  # fmt: skip
    bounds = [after, up_to] if after else [up_to]
    columns = [[change[i] for change in changes] for i in range(3)]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*columns, *bounds, batch_id])
        return int(cursor.rowcount)


def write_undo(target: Target, undone: Batch, *, batch_id: int) -> int:
    """Give every row of a forward batch its old value back, unless it changed since; return how many."""
    sql = _WRITE_SQL.format(
        wanted=f"SELECT row_key::{target.key_type} AS k, new AS old, old AS new "
        "FROM stageapp_normalizationlog WHERE batch_id = %s",
        match=f"t.{target.key} = w.k AND t.{target.column} = w.old",
        key=target.key, table=target.table, column=target.column,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(sql, [undone.pk, batch_id])
        return int(cursor.rowcount)


def entries(*, run: Run | None = None, row_key: str | None = None) -> Iterator[Entry]:
    """Yield what happened, oldest first: to one row, in one run, or both."""
    rows = log(run=run, row_key=row_key).order_by("id").select_related("batch")
    for row in rows.iterator(chunk_size=5000):
        yield Entry(
            row.row_key,
            row.old,
            row.new,
            row.batch.committed_at,
            row.batch.run_id,
            row.batch.number,
            row.batch.direction,
        )


def log(*, run: Run | None = None, row_key: str | None = None) -> QuerySet[NormalizationLog]:
    """Return the stored entries of a run or a row."""
    rows = NormalizationLog.objects.all()
    if run is not None:
        rows = rows.filter(batch__run=run)
    if row_key is not None:
        rows = rows.filter(row_key=row_key)
    return rows


def left_behind(run: Run) -> QuerySet[NormalizationLog]:
    """Return the forward entries that a rollback could not undo: the row changed since, or is gone."""
    # A rollback batch undoes exactly one forward batch, and its position is that batch's number.
    undone = log(run=run).filter(
        batch__direction=Direction.ROLLBACK,
        batch__last_key=Cast(OuterRef("batch__number"), TextField()),
        row_key=OuterRef("row_key"),
    )
    return log(run=run).filter(batch__direction=Direction.FORWARD).exclude(Exists(undone))
