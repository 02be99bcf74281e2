"""Record unknown values where they were seen; this decides nothing."""

import datetime
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from django.db import connection, transaction
from django.utils import timezone

from stageapp import conf
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.normalization import Plan
from stageapp.models.unknowns import OVERFLOW, UnknownCount, UnknownEntry
from stageapp.unknowns.examples import example, identity
from stageapp.vocabulary import snapshot
from stageapp.vocabulary.snapshot import Meaning, Snapshot

UNKNOWN_RETENTION_DAYS = 180  # of an undecided unknown, after it was last seen
MOST_ENTRIES = 10_000  # of one recording; what comes on top is counted together
# distinct values of one recording that are read at all; rarer ones are counted together too
MOST_READ = 50_000

# Sorted by key, so that two processes that record the same keys never wait for each other in a
# circle.
_KEEP_SQL = """
INSERT INTO stageapp_unknownentry AS entry
       (key, reason, examples, first_seen, last_seen, ignored, decided_by, decided_why)
SELECT key, reason, ARRAY(SELECT jsonb_array_elements_text(examples::jsonb)), %s, %s, false, '', ''
  FROM unnest(%s::text[], %s::text[], %s::text[]) AS seen(key, reason, examples)
 ORDER BY key
ON CONFLICT (key) DO UPDATE
   SET reason = EXCLUDED.reason,
       last_seen = GREATEST(entry.last_seen, EXCLUDED.last_seen),
       examples = CASE
           WHEN cardinality(entry.examples) >= %s OR entry.examples @> EXCLUDED.examples THEN entry.examples
           ELSE ARRAY(SELECT example
                        FROM unnest(entry.examples || EXCLUDED.examples) WITH ORDINALITY AS e(example, place)
                       GROUP BY example ORDER BY min(place) LIMIT %s)
       END
RETURNING key, id
"""

_COUNT_SQL = """
INSERT INTO stageapp_unknowncount AS stored (entry_id, kind, place, source, day, count)
SELECT entry, %s, %s, source, %s, count
  FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS seen(entry, source, count)
 ORDER BY entry, source
ON CONFLICT (entry_id, kind, place, source, day) DO UPDATE SET count = {count}
"""


@dataclass
class Seen:
    """An unknown value to record: why it is unknown, and its spellings."""

    reason: str
    raws: list[str] = field(default_factory=list)

    def add(self, raw: str) -> None:
        """Add another spelling, if there is room."""
        if raw not in self.raws and len(self.raws) < UnknownEntry.MOST_EXAMPLES:
            self.raws.append(raw)

    def __add__(self, other: "Seen") -> "Seen":
        both = Seen(self.reason, list(self.raws))
        for raw in other.raws:
            both.add(raw)
        return both


def overflow() -> Seen:
    """Return the entry that counts everything beyond the limits."""
    return Seen("unmapped", ["more distinct values than are kept apart"])


def keep(seen: Mapping[str, Seen]) -> dict[str, int]:
    """Record these identities as seen now; return the entry id of each."""
    if not seen:
        return {}
    now, keys = timezone.now(), list(seen)
    columns = [
        keys,
        [seen[k].reason for k in keys],
        [json.dumps([example(raw) for raw in seen[k].raws]) for k in keys],
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            _KEEP_SQL, [now, now, *columns, UnknownEntry.MOST_EXAMPLES, UnknownEntry.MOST_EXAMPLES]
        )
        return dict(cursor.fetchall())


def record_import(place: str, counts: Mapping[str, int], *, source: str = "") -> int:
    """Record the unknown values of an import with their row counts; return the unknown rows.

    `place` names the import (the fund); a second import on the same day adds to the first.
    """
    unknown = _unknown(((source, raw, rows) for raw, rows in counts.items()), snapshot.load())
    _record("import", place, unknown, adds=True)
    return sum(unknown.counts.values())


def record_table(plan: Plan) -> int:
    """Record a plan's unknown values as the target's current ones, replacing an earlier plan's."""
    entries = plan.entries.filter(stage="").values_list("source", "raw", "rows")
    unknown = _unknown(entries, snapshot.load())
    _record("table", plan.target, unknown)
    return sum(unknown.counts.values())


def record_bypass(target: str, values: Iterable[tuple[str, str, int]]) -> int:
    """Record (source, raw value, rows) found by a drift check, replacing the previous check's."""
    unknown = _unknown(values, snapshot.load())
    _record("bypass", target, unknown)
    return sum(unknown.counts.values())


@dataclass
class _Unknown:
    seen: dict[str, Seen]
    counts: Counter[tuple[str, str]]  # (source, identity) → rows

    def add(self, source: str, raw: str, meaning: Meaning, rows: int) -> None:
        name = identity(raw, meaning)
        if name not in self.seen and len(self.seen) >= MOST_ENTRIES:
            self.add_overflow(source, rows)
        else:
            self.seen.setdefault(name, Seen(meaning.reason or "unmapped")).add(raw)
            self.counts[source, name] += rows

    def add_overflow(self, source: str, rows: int) -> None:
        self.seen.setdefault(OVERFLOW, overflow())
        self.counts[source, OVERFLOW] += rows


def _unknown(values: Iterable[tuple[str, str, int]], meaning_of: Snapshot) -> _Unknown:
    """Collect the unknown values of (source, raw, rows), most frequent first, up to the limit."""
    unknown = _Unknown({}, Counter())
    for place, (source, raw, rows) in enumerate(sorted(values, key=lambda value: -value[2])):
        if place >= MOST_READ:
            unknown.add_overflow(source, rows)
            continue
        meaning = meaning_of.normalize(raw, source)
        if meaning.stage is None:
            unknown.add(source, raw, meaning, rows)
    return unknown


def _record(kind: str, place: str, unknown: _Unknown, *, adds: bool = False) -> None:
    with transaction.atomic():
        ids = keep(unknown.seen)
        if not adds:
            UnknownCount.objects.filter(kind=kind, place=place).delete()
        columns = list(zip(*_rows(unknown, ids), strict=True))
        if columns:
            count = "stored.count + EXCLUDED.count" if adds else "EXCLUDED.count"
            with connection.cursor() as cursor:
                today = timezone.now().date()
                cursor.execute(
                    _COUNT_SQL.format(count=count), [kind, place[:200], today, *map(list, columns)]
                )


def _rows(unknown: _Unknown, ids: dict[str, int]) -> Iterator[tuple[int, str, int]]:
    for (source, name), rows in unknown.counts.items():
        yield ids[name], source, rows


# Forget what its retention has passed.


def forget_old() -> dict[str, int]:
    """Delete sightings, import counts and unseen open entries past their retention.

    A decided or ignored entry stays, because it records a decision that still applies.
    """
    today = timezone.now().date()
    old_sighting = today - datetime.timedelta(days=conf.settings.sighting_retention_days)
    old_unknown = today - datetime.timedelta(days=UNKNOWN_RETENTION_DAYS)
    sightings, _ = ConsumerSighting.objects.filter(day__lt=old_sighting).delete()
    counts, _ = UnknownCount.objects.filter(kind="import", day__lt=old_unknown).delete()
    unseen = UnknownEntry.objects.in_state("open").filter(last_seen__date__lt=old_unknown)
    held = UnknownCount.objects.filter(kind__in=["table", "bypass"]).values("entry")
    gone = UnknownEntry.stored.filter(pk__in=[entry.pk for entry in unseen.exclude(pk__in=held)])
    entries, _ = gone.delete()
    return {"sightings": sightings, "counts": counts, "entries": entries}
