"""The audit log's only door: every change of a row goes in through `write_…`, and comes out through `entries`.

A block of the log holds the keys of all rows that one batch changed from one value to another; a view and the
functions here show it row by row. The batch's range of places finds the blocks that may hold a key.
"""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F, QuerySet, Sum
from django.db.models.functions import Coalesce

from stageapp.models.batches import AuditEntry, Batch, Direction
from stageapp.models.normalization import Run
from stageapp.normalization.plan import Change
from stageapp.normalization.targets import Target

# Each row is compared with the value it is about to lose, under its lock: one that somebody changes in between is
# left alone. The batch's settings let the planner walk the key's index alone, so that rows are locked in key order.
_CHANGED_BY_MAP = """
    UPDATE {table} AS t SET {column} = w._new{touch}
      FROM unnest(%s::text[], %s::text[], %s::text[]) AS w(_source, _old, _new)
     WHERE {bounds} AND {value} = w._old{same_source} AND {rows}
    RETURNING t.{key} AS k, w._old AS old, {value} AS new"""  # what a trigger of the table made of it, if it has one

_UNDO_OF = """
    SELECT u.k, l.new AS old, l.old AS new FROM stageapp_normalizationlog l, unnest(l.{array}) AS u(k)
     WHERE l.batch_id = %s AND {bounds} AND {scope}{not_undone}"""

_NOT_UNDONE = """
       AND u.k NOT IN (SELECT unnest(d.{array}) FROM stageapp_normalizationlog d
                         JOIN stageapp_batch b ON b.id = d.batch_id WHERE b.undoes_id = l.batch_id)"""

_CHANGED_BY_UNDO = (
    """
    UPDATE {table} AS t SET {column} = w.new{touch}
      FROM ("""
    + _UNDO_OF
    + """ ORDER BY 1) AS w
     WHERE t.{key} = w.k AND {value} = w.old
    RETURNING t.{key} AS k, w.old, {value} AS new"""
)

_LOGGED = """
WITH changed AS ({changed}
), logged AS (
    INSERT INTO stageapp_normalizationlog (batch_id, old, new, {array})
    SELECT %s, old, new, array_agg(k::{stored_key} ORDER BY k) FROM changed WHERE old <> new COLLATE "C" GROUP BY 2, 3
    RETURNING {array} AS keys
)
SELECT coalesce(sum(cardinality(keys)), 0)::bigint, min(stageapp_place(keys[1])),
       max(stageapp_place(keys[cardinality(keys)])) FROM logged
"""

_LEFT_SQL = """
SELECT l.id, u.k::text, l.old, l.new FROM stageapp_normalizationlog l, unnest(l.{array}) AS u(k)
 WHERE l.batch_id = ANY(%s) AND ({asked}){not_undone}
 ORDER BY l.id, u.k LIMIT %s
"""


class Written(NamedTuple):
    """What a batch wrote: how many rows, and from which place to which."""

    changed: int
    first: int | None
    last: int | None


@dataclass(frozen=True)
class Bounds:
    """A range of keys: above `above`, up to `up_to`; empty is open."""

    above: str = ""
    up_to: str = ""

    def sql(self, key: str, key_type: str) -> tuple[str, list[str]]:
        """Return the condition on an expression of the key, and its parameters."""
        ends = [(">", self.above), ("<=", self.up_to)]
        conditions = [f"{key} {sign} %s::{key_type}" for sign, end in ends if end]
        return " AND ".join(conditions) or "true", [end for _, end in ends if end]


@dataclass(frozen=True)
class Undone:
    """What of a forward batch is to be undone. `again`: a part of it may have been undone before."""

    batch: int
    bounds: Bounds
    value: str | None = None
    again: bool = False


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


def write_map(target: Target, changes: Sequence[Change], *, batch_id: int, bounds: Bounds) -> Written:
    """Change every row within the bounds whose source and value are in the map.

    Must run inside the batch's transaction, as `write_undo` must.
    """
    where, ends = bounds.sql(f"t.{target.key}", target.key_type)
    same_source = f" AND {target.source('t')} = w._source" if target.source_column else ""
    changed = _CHANGED_BY_MAP.format(bounds=where, same_source=same_source, rows=target.rows, **_names(target))
    columns = [[change[i] for change in changes] for i in range(3)]
    return _log(target, changed, [*columns, *ends, batch_id])


def write_undo(target: Target, undone: Undone, *, batch_id: int) -> Written:
    """Give rows of a forward batch their old value back, unless they changed since."""
    wanted, parameters = _undo_parts(target, undone)
    return _log(target, _CHANGED_BY_UNDO.format(**wanted, **_names(target)), [*parameters, batch_id])


def to_undo(target: Target, undone: Undone, *, limit: int) -> tuple[int, str]:
    """Return how many of the entries, at most `limit`, and the largest key among them."""
    wanted, parameters = _undo_parts(target, undone)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), (array_agg(k ORDER BY k DESC))[1]::text FROM "
            f"({_UNDO_OF.format(**wanted, **_names(target))} ORDER BY 1 LIMIT %s) AS undo_window",
            [*parameters, limit],
        )
        count, last = cursor.fetchone()
    return count, last or ""


def _undo_parts(target: Target, undone: Undone) -> tuple[dict[str, str], list[Any]]:
    where, ends = undone.bounds.sql("u.k", target.stored_key)
    parts = {
        "bounds": where,
        "scope": "true" if undone.value is None else 'l.old = %s COLLATE "C"',
        "not_undone": _NOT_UNDONE.format(array=target.array) if undone.again else "",
    }
    return parts, [undone.batch, *ends, *([] if undone.value is None else [undone.value])]


def _names(target: Target) -> dict[str, str]:
    touch = f", {target.touched} = now()" if target.touched else ""
    return {
        "table": target.table, "column": target.column, "key": target.key, "value": target.value("t"), "touch": touch,
        "array": target.array,
    }  # fmt: skip


def _log(target: Target, changed: str, parameters: Sequence[Any]) -> Written:
    sql = _LOGGED.format(changed=changed, array=target.array, stored_key=target.stored_key)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return Written(*cursor.fetchone())


def log(*, run: Run | None = None) -> QuerySet[AuditEntry]:
    """Return the stored entries, of one run or of all, one for each changed row."""
    rows = AuditEntry.objects.select_related("batch")
    return rows.filter(batch__run=run) if run is not None else rows


def of_row(row_key: str, *, target: str = "") -> QuerySet[AuditEntry]:
    """Return what happened to the row with this key, of one target or of all: an index finds the blocks."""
    key = _key(row_key)
    if key is None:
        return AuditEntry.objects.none()
    array, kind = ("uuids", "uuid") if isinstance(key, uuid.UUID) else ("keys", "bigint")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id FROM stageapp_batch b JOIN stageapp_normalizationlog l ON l.batch_id = b.id "
            f"JOIN stageapp_run r ON r.id = b.run_id WHERE b.places @> stageapp_place(%s::{kind}) "
            f"AND (%s = '' OR r.target = %s) AND %s::{kind} = ANY(l.{array})",
            [key, target, target, key],
        )
        blocks = [block for (block,) in cursor.fetchall()]
    return AuditEntry.objects.filter(block__in=blocks, row_key=str(key)).select_related("batch")


def order(key: str) -> int:
    """Return a key's place in the order that PostgreSQL gives integers and UUIDs."""
    return uuid.UUID(key).int if "-" in key[1:] else int(key)


def _key(row_key: str) -> int | uuid.UUID | None:
    """Return a primary key from its text, None if it is neither a bigint nor a UUID."""
    text = row_key.strip()
    if re.fullmatch(r"-?[0-9]{1,19}", text):
        return number if -(2**63) <= (number := int(text)) < 2**63 else None
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def entries(*, run: Run | None = None, row_key: str | None = None, target: str = "") -> Iterator[Entry]:
    """Yield what happened, oldest first: in one run, to one row, or in all."""
    rows = log(run=run) if row_key is None else of_row(row_key, target=target)
    if row_key is not None and run is not None:
        rows = rows.filter(batch__run=run)
    for row in rows.order_by("block_id", "place").iterator(chunk_size=5000):
        batch = row.batch
        yield Entry(row.row_key, row.old, row.new, batch.committed_at, batch.run_id, batch.number, batch.direction)


def count(run: Run, direction: Direction) -> int:
    """Return how many changes of rows the log has of a run in one direction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(coalesce(cardinality(l.keys), cardinality(l.uuids))), 0) "
            "FROM stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id "
            "WHERE b.run_id = %s AND b.direction = %s",
            [run.pk, direction],
        )
        return int(cursor.fetchone()[0])


def left_behind(run: Run, target: Target, *, limit: int) -> list[AuditEntry]:
    """Return the first forward entries that no rollback they were in has undone: the row changed since, or is gone."""
    forward = run.batches.filter(direction=Direction.FORWARD, changed__gt=0)
    undone = forward.annotate(undone=Coalesce(Sum("undone_by__changed"), 0))
    partly = list(undone.filter(undone__lt=F("changed")).order_by("id").values_list("id", flat=True))
    asked, parameters = _asked_for(run)
    sql = _LEFT_SQL.format(array=target.array, not_undone=_NOT_UNDONE.format(array=target.array), asked=asked)
    with connection.cursor() as cursor:
        cursor.execute(sql, [partly, *parameters, limit])
        return [AuditEntry(block_id=block, row_key=key, old=old, new=new) for block, key, old, new in cursor.fetchall()]


def _asked_for(run: Run) -> tuple[str, list[Any]]:
    """Return the condition on blocks that any rollback of the run was asked to undo, and its parameters."""
    scopes = list(run.rollbacks.values_list("scope", flat=True))
    if not scopes or not all(scopes):
        return "true", []
    one = '(l.batch_id BETWEEN %s AND %s AND (%s::text IS NULL OR l.old = %s COLLATE "C"))'
    ends = [(*scope.get("batches", (0, 2**62)), scope.get("value")) for scope in scopes]
    return " OR ".join([one] * len(ends)), [part for first, last, value in ends for part in (first, last, value, value)]


def newest_to_undo(run: int, target: Target, shard: Bounds, *, before: str, scope: dict[str, object]) -> Batch | None:
    """Return the newest forward batch that changed rows of the shard, within the scope and older than `before`."""
    place = f"stageapp_place(%s::{target.stored_key})"
    batches = Batch.objects.filter(run=run, direction=Direction.FORWARD, changed__gt=0).extra(  # noqa: S610 - the key's type is ours
        where=[f"(places IS NULL OR places && int8range({place}, {place}, '[]'))"],
        params=[shard.above or None, shard.up_to or None],
    )
    if before:
        batches = batches.filter(pk__lt=int(before))
    if isinstance(bounds := scope.get("batches"), list):
        batches = batches.filter(pk__range=bounds)
    return batches.order_by("-pk").first()
