"""What the audit log tells, in pages: what happened in a run or to a row, and what a rollback
undid of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection
from django.db.models.functions import Coalesce

from stageapp.audit import log
from stageapp.models.batches import AuditEntry, Batch, NormalizationLog
from stageapp.models.normalization import Run

_UNDONE_SQL = """
SELECT w.id, d.id FROM unnest(%s::text[], %s::bigint[], %s::text[]) AS w(id, batch, key)
  JOIN stageapp_batch d ON d.undoes_id = w.batch
 WHERE EXISTS (SELECT FROM stageapp_normalizationlog l WHERE l.batch_id = d.id
                AND (CASE WHEN l.keys IS NULL THEN w.key::uuid = ANY(l.uuids) ELSE w.key::bigint = ANY(l.keys) END))
"""


class Place(NamedTuple):
    """Where an entry stands in the log: its block, and the place within, from 1."""

    block: int = 0
    entry: int = 0


@dataclass(frozen=True)
class EntryHistory:
    """An entry, and the batch of a rollback that undid it, if one did."""

    entry: AuditEntry
    undone_by: Batch | None

    @property
    def place(self) -> Place:
        """Return where it stands."""
        return Place(self.entry.block_id, self.entry.place)


def of_run(run: Run, *, after: Place, limit: int) -> list[EntryHistory]:
    """Return entries of a run after a place, oldest first; no more blocks are read than hold
    them.
    """
    rows = (
        log.log(run=run).filter(block__in=_blocks(run, after, limit)).order_by("block_id", "place")
    )
    later = rows.exclude(block=after.block, place__lte=after.entry)
    return with_undone(later[:limit])


def of_row(row_key: str, *, target: str, after: Place, limit: int) -> list[EntryHistory]:
    """Return what happened to one row after a place, oldest first."""
    rows = log.of_row(row_key, target=target).order_by("block_id", "place")
    return with_undone(
        rows.filter(block__gte=after.block).exclude(block=after.block, place__lte=after.entry)[
            :limit
        ]
    )


def with_undone(entries: Iterable[AuditEntry]) -> list[EntryHistory]:
    """Return the entries, each with what undid it."""
    rows = list(entries)
    undone = undone_by(rows)
    return [EntryHistory(row, undone.get(row.pk)) for row in rows]


def undone_by(entries: Iterable[AuditEntry]) -> dict[str, Batch]:
    """Return by an entry's id the batch of a rollback that undid it; entries that stand are left
    out.
    """
    rows = list(entries)
    with connection.cursor() as cursor:
        columns = (
            [row.pk for row in rows],
            [row.batch_id for row in rows],
            [row.row_key for row in rows],
        )
        cursor.execute(_UNDONE_SQL, columns)
        undone = dict(cursor.fetchall())
    batches = Batch.objects.in_bulk(set(undone.values()))
    return {entry: batches[batch] for entry, batch in undone.items()}


def _blocks(run: Run, after: Place, limit: int) -> list[int]:
    """Return the first blocks of the run that hold `limit` entries after a place; a block has
    one at least.
    """
    blocks = NormalizationLog.objects.filter(batch__run=run, id__gte=after.block).order_by("id")
    read, entries = [], -after.entry
    for block, size in blocks.values_list("id", Coalesce("keys__len", "uuids__len"))[: limit + 1]:
        read.append(block)
        entries += size
        if entries >= limit:
            break
    return read
