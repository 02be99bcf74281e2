"""Pages of the audit log: the changes of a run or a row, and which of them were rolled back."""

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
    """The position of an entry in the log: its block, and its place in the block, from 1."""

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
    """Return a run's entries after a place, oldest first; reads no more blocks than it needs."""
    rows = (
        log.log(run=run).filter(block__in=_blocks(run, after, limit)).order_by("block_id", "place")
    )
    later = rows.exclude(block=after.block, place__lte=after.entry)
    return with_undone(later[:limit])


def of_row(row_key: str, *, target: str, after: Place, limit: int) -> list[EntryHistory]:
    """Return one row's entries after a place, oldest first."""
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
    """Return the rollback batch that undid each entry, by entry ID; others are omitted."""
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
    """Return the run's first blocks with `limit` entries after a place; no block is empty."""
    blocks = NormalizationLog.objects.filter(batch__run=run, id__gte=after.block).order_by("id")
    read, entries = [], -after.entry
    for block, size in blocks.values_list("id", Coalesce("keys__len", "uuids__len"))[: limit + 1]:
        read.append(block)
        entries += size
        if entries >= limit:
            break
    return read
