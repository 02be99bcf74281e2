"""Reads of the audit log, by run or by row; only a batch's statements write it.

A block of the log contains the keys of all rows that one batch changed from one value to another;
a view and the functions here present it row by row. The batch's range of places locates the blocks
that may contain a key.
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet, Sum
from django.db.models.functions import Coalesce

from stageapp.models.batches import AuditEntry, Direction
from stageapp.models.normalization import Run
from stageapp.targets.targets import Target

NO_END = 2**62  # of batches to be undone

# The changes of a run that no rollback has undone. A join would have to guess how many keys the
# arrays hold; a group needs no guess, and goes to disk where it is large. `batches` is the
# condition on the forward batch's id.
REMAINING = """
SELECT batch_id, k, max(block) AS block, max(old) AS old, max(new) AS new
  FROM (SELECT l.batch_id, u.k, l.id AS block, l.old, l.new
          FROM stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id, unnest(l.{array}) AS u(k)
         WHERE b.run_id = %(run)s AND b.direction = 'forward' AND l.batch_id {batches} AND ({asked})
         UNION ALL
        SELECT b.undoes_id, u.k, NULL, NULL, NULL
          FROM stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id, unnest(l.{array}) AS u(k)
         WHERE b.run_id = %(run)s AND b.direction = 'rollback' AND b.undoes_id {batches}) AS both_ways
 GROUP BY 1, 2 HAVING count(*) = count(block)
"""


@dataclass(frozen=True)
class Bounds:
    """A range of keys: greater than `above`, up to and including `up_to`; empty means open."""

    above: str = ""
    up_to: str = ""

    def sql(self, key: str, key_type: str) -> tuple[str, list[str]]:
        """Return the SQL condition on a key expression, and its parameters."""
        ends = [(">", self.above), ("<=", self.up_to)]
        conditions = [f"{key} {sign} %s::{key_type}" for sign, end in ends if end]
        return " AND ".join(conditions) or "true", [end for _, end in ends if end]


@dataclass(frozen=True)
class Entry:
    """One recorded change of one row."""

    row_key: str
    old: str
    new: str
    at: datetime
    run: int
    batch: int
    direction: str


def log(*, run: Run | None = None) -> QuerySet[AuditEntry]:
    """Return the entries of one run or of all runs, one for each changed row."""
    rows = AuditEntry.objects.select_related("batch")
    return rows.filter(batch__run=run) if run is not None else rows


def of_row(row_key: str, *, target: str = "") -> QuerySet[AuditEntry]:
    """Return the changes of the row with this key, in one target or in all; uses an index."""
    key = _key(row_key)
    if key is None:
        return AuditEntry.objects.none()
    array, kind = ("uuids", "uuid") if isinstance(key, uuid.UUID) else ("keys", "bigint")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT l.id FROM stageapp_batch b JOIN stageapp_normalizationlog l ON l.batch_id = "
            "b.id JOIN stageapp_run r ON r.id = b.run_id WHERE b.places @> "
            f"stageapp_place(%s::{kind}) AND (%s = '' OR r.target = %s) AND %s::{kind} = "
            f"ANY(l.{array})",
            [key, target, target, key],
        )
        blocks = [block for (block,) in cursor.fetchall()]
    return AuditEntry.objects.filter(block__in=blocks, row_key=str(key)).select_related("batch")


def order(key: str) -> int:
    """Return a key's position in PostgreSQL's order of integers and UUIDs."""
    return uuid.UUID(key).int if "-" in key[1:] else int(key)


def _key(row_key: str) -> int | uuid.UUID | None:
    """Parse a primary key; None if it is neither a bigint nor a UUID."""
    text = row_key.strip()
    if re.fullmatch(r"-?[0-9]{1,19}", text):
        return number if -(2**63) <= (number := int(text)) < 2**63 else None
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def entries(
    *, run: Run | None = None, row_key: str | None = None, target: str = ""
) -> Iterator[Entry]:
    """Yield the changes, oldest first: of one run, of one row, or all of them."""
    rows = log(run=run) if row_key is None else of_row(row_key, target=target)
    if row_key is not None and run is not None:
        rows = rows.filter(batch__run=run)
    ordered = rows.order_by("block_id", "place")
    for row in (
        ordered.iterator(chunk_size=5000) if row_key is None else ordered
    ):  # one row's are few
        batch = row.batch
        yield Entry(
            row.row_key,
            row.old,
            row.new,
            batch.committed_at,
            batch.run_id,
            batch.number,
            batch.direction,
        )


def count(run: Run, direction: Direction) -> int:
    """Return the number of row changes logged for a run in one direction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(coalesce(cardinality(l.keys), cardinality(l.uuids))), 0) "
            "FROM stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id "
            "WHERE b.run_id = %s AND b.direction = %s",
            [run.pk, direction],
        )
        return int(cursor.fetchone()[0])


def left_behind(
    run: Run, target: Target, *, limit: int, as_written: bool = False, besides: Sequence[str] = ()
) -> list[AuditEntry]:
    """Return the first forward entries that a rollback should have undone but did not.

    The row has changed since, is gone, or the database refuses to change it. `as_written` limits
    the result to rows that still have the value that the run wrote; `besides` are keys to leave
    out.
    """
    forward = run.batches.filter(direction=Direction.FORWARD, changed__gt=0)
    undone = forward.annotate(undone=Coalesce(Sum("undone_by__changed"), 0))
    partly = list(undone.filter(undone__lt=F("changed")).values_list("id", flat=True))
    asked, parameters = _asked_for(run)
    remaining = REMAINING.format(array=target.array, batches="= ANY(%(partly)s)", asked=asked)
    held = f"""JOIN {target.table} t ON t.{target.key} = r.k AND {target.logged("t")} = r.new
        AND r.k <> ALL(%(besides)s::{target.stored_key}[])"""
    held = held if as_written else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT block, k::text, old, new FROM ({remaining}) AS r {held} ORDER BY batch_id, "
            "r.k LIMIT %(limit)s",
            {
                "run": run.pk,
                "partly": partly,
                "limit": limit,
                "besides": list(besides),
                **parameters,
            },
        )
        return [
            AuditEntry(block_id=block, row_key=key, old=old, new=new)
            for block, key, old, new in cursor.fetchall()
        ]


def _asked_for(run: Run) -> tuple[str, dict[str, Any]]:
    """Return the SQL condition for blocks in any requested rollback of the run, with parameters."""
    scopes = list(run.rollbacks.values_list("scope", flat=True))
    if not scopes or not all(scopes):
        return "true", {}
    parts = [part(scope, str(number)) for number, scope in enumerate(scopes)]
    return " OR ".join(f"({sql})" for sql, _ in parts), {
        name: value for _, named in parts for name, value in named.items()
    }


def part(
    scope: Mapping[str, Any],
    name: str = "",
    *,
    batch: str = "l.batch_id",
    given_back: str = "l.old",
) -> tuple[str, dict[str, Any]]:
    """Return the SQL condition that block l is within a rollback's scope, and its parameters.

    `batch` and `given_back` are the SQL of the forward batch's ID and of the restored value.
    """
    first, last = scope.get("batches", (0, NO_END))
    return (
        f"{batch} BETWEEN %(first{name})s AND %(last{name})s "
        f'AND (%(value{name})s::text IS NULL OR {given_back} = %(value{name})s COLLATE "C")',
        {f"first{name}": first, f"last{name}": last, f"value{name}": scope.get("value")},
    )
