"""What the list of the queue shows beside each entry, read for a whole page of it at once."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.db.models import Sum
from django.http import HttpRequest

from stageapp import vocabulary
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import UnknownCount, UnknownEntry
from stageapp.unknowns.queue import suggestions

SHOWN_PLACES = 2

Where = tuple[str, int]  # who or what brought it, and how often


class QueueList(ChangeList):
    """A page of the queue; each entry knows where it was seen and what it may have meant."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then what belongs to its entries, in two more queries."""
        super().get_results(request)
        entries: list[Any] = list(self.result_list)
        found, meanings = where(entries), vocabulary.current()
        for entry in entries:
            entry.where = found[entry.key]
            entry.suggested = suggestions(entry, meanings)
        self.result_list = entries


def where(entries: Sequence[UnknownEntry]) -> dict[str, list[Where]]:
    """Return for each entry's key the consumers, imports and targets it came from, the most frequent first."""
    found: dict[str, list[Where]] = defaultdict(list)
    counts = UnknownCount.objects.filter(entry__in=entries).order_by()
    sent = ConsumerSighting.objects.filter(key__in=[entry.key for entry in entries], outcome="unknown").order_by()
    groups = [
        counts.values_list("entry__key", "kind", "place", "source").annotate(total=Sum("count")),
        sent.values_list("key", "consumer").annotate(total=Sum("count")),
    ]
    for key, *names, total in (row for group in groups for row in group):
        found[key].append((" ".join(dict.fromkeys(filter(None, names))), total))
    for places in found.values():
        places.sort(key=lambda place: -place[1])
    return found


def sources_of(entries: Sequence[UnknownEntry]) -> list[str]:
    """Return the consumers and imports whose values these are: an alias may belong to one of them."""
    keys = [entry.key for entry in entries]
    consumers = ConsumerSighting.objects.filter(key__in=keys).values_list("consumer", flat=True).distinct()
    counted = UnknownCount.objects.filter(entry__in=entries).exclude(source="").values_list("source", flat=True)
    return sorted({*consumers.order_by(), *counted.order_by().distinct()})
