"""The unknown queue for display: unknown values, the greatest impact first."""

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from django.db.models import BigIntegerField, F, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from stageapp.infrastructure import delimited
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import UnknownCount, UnknownEntry
from stageapp.unknowns.decisions import spelling_of
from stageapp.unknowns.examples import readable
from stageapp.vocabulary.snapshot import Snapshot, load
from stageapp.vocabulary.suggestions import suggest

STATES = ("open", "mapped", "declared", "ignored")
TRAFFIC_DAYS = 7


@dataclass(frozen=True)
class Place:
    """Where an unknown was seen: a consumer's endpoint, an import or a target."""

    kind: str
    place: str
    source: str
    count: int
    since: datetime.date


def queue(state: str | None = "open") -> QuerySet[UnknownEntry]:
    """Return the entries in a state (None: all states), the greatest impact first.

    Each has `rows` (stored in targets), `imported` (rows of imports), `requests` (of the last
    seven days), and `impact`: the larger of the first two, because imported rows end up in a
    target, plus the requests.
    """
    stored, imported = Q(kind__in=["table", "bypass"]), Q(kind="import")
    since = timezone.now().date() - datetime.timedelta(days=TRAFFIC_DAYS)
    sightings = ConsumerSighting.objects.filter(
        key=OuterRef("key"), day__gt=since, outcome="unknown"
    )
    figures = {
        "rows": _total(UnknownCount.objects.filter(stored, entry=OuterRef("pk")), "entry"),
        "imported": _total(UnknownCount.objects.filter(imported, entry=OuterRef("pk")), "entry"),
        "requests": _total(sightings, "key"),
        "impact": Greatest(F("rows"), F("imported")) + F("requests"),
    }
    entries = UnknownEntry.objects.annotate(**figures).order_by(
        F("impact").desc(), "-last_seen", "key"
    )
    return entries if state is None else entries.filter(Q(("state", state)))


def _total(counts: QuerySet[Any], group: str) -> Coalesce:
    total = counts.order_by().values(group).annotate(total=Sum("count")).values("total")
    return Coalesce(
        Subquery(total, output_field=BigIntegerField()), 0, output_field=BigIntegerField()
    )


def places(entry: UnknownEntry) -> list[Place]:
    """Return every place where the entry was seen, the most frequent first."""
    sent = ConsumerSighting.objects.filter(key=entry.key, outcome="unknown").values_list(
        "endpoint", "consumer"
    )
    places = [Place("traffic", *row) for row in sent.annotate(Sum("count"), Min("day"))]
    counts = (
        entry.counts.order_by()
        .values_list("kind", "place", "source")
        .annotate(Sum("count"), Min("day"))
    )
    places += [Place(*row) for row in counts]
    return sorted(places, key=lambda place: (-place.count, place.kind, place.place, place.source))


def suggestions(entry: UnknownEntry, vocabulary: Snapshot) -> tuple[str, ...]:
    """Return the stages that it may mean, as suggestions only; nothing applies them."""
    for shown in entry.examples:
        raw = readable(shown)
        meaning = vocabulary.normalize(raw)
        if suggestion := suggest(raw, meaning, vocabulary):
            return suggestion
    return ()


# The unknown queue as CSV: a person fills in `stage` or `reason`, and the alias import takes the
# file back.

COLUMNS = (
    "spelling",
    "source",
    "stage",
    "reason",
    "comment",
    "unknown_because",
    "suggestion",
    "impact",
    "rows",
    "imported",
    "requests",
    "first_seen",
    "last_seen",
    "examples",
)


def export_queue(file: TextIO, state: str | None = "open") -> int:
    """Write the entries in a state (None: all), the greatest impact first; return how many.

    `examples` is a JSON list of JSON strings, so that a NUL or a lone surrogate is kept.
    """
    return delimited.write(file, COLUMNS, _rows(state))


def _rows(state: str | None) -> Iterator[list[object]]:
    meaning_of = load()
    for entry in queue(state).iterator(chunk_size=1000):
        yield [
            spelling_of(entry) if entry.takes_alias else "",
            "",
            "",
            "",
            "",
            entry.reason,
            " ".join(suggestions(entry, meaning_of)),
            entry.impact,
            entry.rows,
            entry.imported,
            entry.requests,
            f"{entry.first_seen:%Y-%m-%d %H:%M}",
            f"{entry.last_seen:%Y-%m-%d %H:%M}",
            json.dumps(entry.examples),
        ]
