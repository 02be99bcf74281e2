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
from stageapp.normalization.change import Change
from stageapp.normalization.targets import Target

# Each row is compared with the value it is about to lose, under its lock: one that somebody changes in between is
# left alone. The batch's settings let the planner walk the key's index alone, so that rows are locked in key order.
_CHANGED_BY_MAP = """
    UPDATE {table} AS t SET {column} = w._new{touch}
      FROM unnest(%s::text[], %s::text[], %s::text[]) WITH ORDINALITY AS w(_source, _old, _new, _pair)
     WHERE {bounds} AND {value} = w._old{same_source} AND {rows}
    RETURNING t.{key} AS k, w._pair AS pair, {other} AS other"""

_PAIRS_OF_MAP = "SELECT * FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS w(old, new, pair)"

# What a trigger of the table made of the new value, if it has one; NULL where the row holds what was written. From row
# to block numbers and NULLs are carried, not texts to be sorted: that was a tenth of a batch's time.
_OTHER = "CASE WHEN {value} = w.{new} THEN NULL ELSE coalesce({value}, '') END"

_UNDO_OF = """
    SELECT u.k, l.id AS pair, l.new AS old, l.old AS new FROM stageapp_normalizationlog l, unnest(l.{array}) AS u(k)
     WHERE l.batch_id = %s AND {bounds} AND {scope}{not_undone} ORDER BY 1 LIMIT %s"""

_NOT_UNDONE = """
       AND u.k NOT IN (SELECT unnest(d.{array}) FROM stageapp_normalizationlog d
                         JOIN stageapp_batch b ON b.id = d.batch_id WHERE b.undoes_id = l.batch_id)"""

_CHANGED_BY_UNDO = """
    UPDATE {table} AS t SET {column} = w.new{touch}
      FROM wanted AS w
     WHERE t.{key} = w.k AND {value} = w.old
    RETURNING t.{key} AS k, w.pair, {other} AS other"""

_PAIRS_OF_UNDO = "SELECT id AS pair, new AS old, old AS new FROM stageapp_normalizationlog WHERE batch_id = %s"

# Rows come in key order, and so do a block's keys. Older PostgreSQL has no min() of UUIDs; they are sorted.
_BLOCK = {
    "keys": "array_agg(k::bigint) AS keys, min(k) AS first, max(k) AS last",
    "uuids": "array_agg(k ORDER BY k) AS keys, (array_agg(k ORDER BY k))[1] AS first, "
    "(array_agg(k ORDER BY k))[count(*)] AS last",
}

_LOGGED = """
WITH {wanted}changed AS ({changed}
), blocks AS (
    SELECT p.old, coalesce(b.other, p.new) AS new, b.keys, b.first, b.last
      FROM (SELECT pair, other, {block} FROM changed GROUP BY 1, 2) AS b JOIN ({pairs}) AS p ON p.pair = b.pair
     WHERE p.old <> coalesce(b.other, p.new) COLLATE "C"
), logged AS (
    INSERT INTO stageapp_normalizationlog (batch_id, old, new, {array}) SELECT %s, old, new, keys FROM blocks
)
SELECT coalesce(sum(cardinality(keys)), 0)::bigint, min(stageapp_place(first)), max(stageapp_place(last)){seen}
  FROM blocks
"""

_LEFT_SQL = """
SELECT l.id, u.k::text, l.old, l.new FROM stageapp_normalizationlog l, unnest(l.{array}) AS u(k)
 WHERE l.batch_id = ANY(%s) AND ({asked}){not_undone}
 ORDER BY l.batch_id, u.k LIMIT %s
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
    """What of a forward batch is to be undone. `again`: a part of it may have been undone before.

    `rows` are those the batch changed, 0 if only a rest of it is to be undone.
    """

    batch: int
    bounds: Bounds
    value: str | None = None
    again: bool = False
    rows: int = 0


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
    names = _names(target, new="_new")
    changed = _CHANGED_BY_MAP.format(bounds=where, same_source=same_source, rows=target.rows, **names)
    sources, olds, news = ([change[i] for change in changes] for i in range(3))
    sql = _LOGGED.format(wanted="", changed=changed, pairs=_PAIRS_OF_MAP, seen="", **names)
    return Written(*_one_row(sql, [sources, olds, news, *ends, olds, news, batch_id]))


def write_undo(target: Target, undone: Undone, *, batch_id: int, limit: int) -> tuple[Written, int, str]:
    """Give the next rows of a forward batch, at most `limit`, their old value back, unless they changed since.

    Returns what was written, how many entries were looked at, and the largest key among them.
    """
    wanted, parameters = _undo_parts(target, undone)
    names = _names(target, new="new")
    sql = _LOGGED.format(
        wanted=f"wanted AS MATERIALIZED ({_UNDO_OF.format(**wanted, **names)}\n), ", pairs=_PAIRS_OF_UNDO,
        changed=_CHANGED_BY_UNDO.format(**names), seen=_SEEN, **names,
    )  # fmt: skip
    *written, count, last = _one_row(sql, [*parameters, limit, undone.batch, batch_id])
    return Written(*written), count, last or ""


_SEEN = """, (SELECT count(*) FROM wanted),
       (SELECT w.k::text FROM wanted w ORDER BY w.k DESC LIMIT 1)"""


def _undo_parts(target: Target, undone: Undone) -> tuple[dict[str, str], list[Any]]:
    where, ends = undone.bounds.sql("u.k", target.stored_key)
    parts = {
        "bounds": where,
        "scope": "true" if undone.value is None else 'l.old = %s COLLATE "C"',
        "not_undone": _NOT_UNDONE.format(array=target.array) if undone.again else "",
    }
    return parts, [undone.batch, *ends, *([] if undone.value is None else [undone.value])]


def _names(target: Target, *, new: str) -> dict[str, str]:
    touch = f", {target.touched} = now()" if target.touched else ""
    value = target.value("t")
    return {
        "table": target.table, "column": target.column, "key": target.key, "value": value, "touch": touch,
        "array": target.array, "block": _BLOCK[target.array], "other": _OTHER.format(value=value, new=new),
    }  # fmt: skip


def _one_row(sql: str, parameters: Sequence[Any]) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return tuple(cursor.fetchone())


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
    ordered = rows.order_by("block_id", "place")
    for row in ordered.iterator(chunk_size=5000) if row_key is None else ordered:  # one row's are few
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
