"""Who calls the API, from where, and what each caller still sends, by sightings and contacts."""

import datetime
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.utils import timezone

from stageapp.models.consumers import Consumer, ConsumerContact, ConsumerSighting
from stageapp.models.unknowns import OVERFLOW, UnknownEntry
from stageapp.unknowns.queue import suggestions
from stageapp.vocabulary.snapshot import current

DAYS = 7  # what a caller sent longer ago, it sends no more


@dataclass(frozen=True)
class SentValue:
    """A noncanonical value, and how often a caller sent it.

    `value` is its key, or the raw value if known; `send` is the stage to send instead, by the
    current vocabulary. `examples` are JSON strings of how an unknown was written, by any caller.
    """

    value: str
    outcome: str
    send: str | None
    reason: str | None
    suggestions: tuple[str, ...]
    endpoints: tuple[str, ...]
    requests: int
    last_sent: datetime.date | None
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Caller:
    """One caller: a consumer, a user's session, or a name whose consumer no longer exists."""

    name: str
    status: str
    scopes: tuple[str, ...]
    contacts: tuple[ConsumerContact, ...]
    values: int  # how often it sent any stage in the days that are looked at
    unknown: int  # how often an unknown one
    still_sends: tuple[SentValue, ...]

    @property
    def endpoints(self) -> dict[str, int]:
        """Requests by endpoint, since its contacts are kept."""
        counts: dict[str, int] = defaultdict(int)
        for contact in self.contacts:
            counts[contact.endpoint] += contact.requests
        return dict(sorted(counts.items()))

    @property
    def networks(self) -> list[str]:
        """The network classes it calls from."""
        return sorted({contact.network for contact in self.contacts})

    @property
    def agents(self) -> list[str]:
        """The hashes of its programs; an empty one means no User-Agent."""
        return sorted({contact.agent_hash for contact in self.contacts})

    @property
    def last_seen(self) -> datetime.datetime | None:
        return max((contact.last_seen for contact in self.contacts), default=None)

    @property
    def unknown_share(self) -> float | None:
        """The share of unknowns among the stages it sent, 0 to 1; None if it sent none."""
        return self.unknown / self.values if self.values else None


def audit(*, days: int = DAYS, names: Collection[str] | None = None) -> list[Caller]:
    """Return callers by name (all, or only `names`), with what they sent in the last `days`."""
    consumers = {consumer.name: consumer for consumer in _of(Consumer.objects.all(), "name", names)}
    contacts: dict[str, list[ConsumerContact]] = defaultdict(list)
    for contact in _of(
        ConsumerContact.objects.order_by("endpoint", "-last_seen"), "consumer", names
    ):
        contacts[contact.consumer].append(contact)
    # Caller → (stages it sent, unknown ones among them).
    sightings = _recent(days, names)
    unknown = Sum("count", filter=Q(outcome="unknown"), default=0)
    rows = (
        sightings.order_by().values_list("consumer").annotate(total=Sum("count"), unknown=unknown)
    )
    totals = {name: (total, of_them) for name, total, of_them in rows}
    sent: dict[str, list[SentValue]] = defaultdict(list)
    for name, value in sent_values(days=days, names=names):
        sent[name].append(value)
    return [
        Caller(
            name,
            status_of(consumers.get(name), name),
            tuple(consumers[name].scopes) if name in consumers else (),
            tuple(contacts[name]),
            *totals.get(name, (0, 0)),
            tuple(sent[name]),
        )
        for name in sorted({*consumers, *contacts, *totals})
    ]


def with_figures(consumers: QuerySet[Consumer]) -> QuerySet[Consumer]:
    """Add the figures of a list to consumers, in one query.

    These are `last_seen`, `endpoints`, `networks`, and for the last days `stages_sent` and
    `unknown_sent`.
    """
    contacts = ConsumerContact.objects.filter(consumer=OuterRef("name")).order_by()
    since = timezone.now().date() - datetime.timedelta(days=DAYS)
    sent = (
        ConsumerSighting.objects.filter(consumer=OuterRef("name"), day__gt=since)
        .order_by()
        .values("consumer")
    )
    return consumers.annotate(
        last_seen=Subquery(
            contacts.values("consumer").annotate(latest=Max("last_seen")).values("latest")
        ),
        endpoints=ArraySubquery(contacts.order_by("endpoint").values("endpoint").distinct()),
        networks=ArraySubquery(contacts.order_by("network").values("network").distinct()),
        stages_sent=Subquery(sent.annotate(total=Sum("count")).values("total")),
        unknown_sent=Subquery(
            sent.filter(outcome="unknown").annotate(total=Sum("count")).values("total")
        ),
    )


def status_of(consumer: Consumer | None, name: str) -> str:
    """Return the token's status: valid, expired, revoked; session, or gone without its consumer."""
    if consumer is None:
        return "session" if name.startswith("session:") else "gone"
    if consumer.revoked_at:
        return "revoked"
    return "expired" if consumer.expires_at and consumer.expires_at <= timezone.now() else "valid"


def sent_values(
    *, days: int = DAYS, names: Collection[str] | None = None
) -> Iterator[tuple[str, SentValue]]:
    """Yield (caller, value) for noncanonical values, each caller's most frequent first."""
    rows = (
        _recent(days, names)
        .exclude(outcome="canonical")
        .values_list("consumer", "key", "outcome", "endpoint")
    )
    uses_of: dict[tuple[str, str, str], _Uses] = defaultdict(_Uses)
    for name, key, outcome, endpoint, count, day in rows.annotate(Sum("count"), Max("day")):
        uses_of[name, key, outcome].add(endpoint, count, day)
    keys = {key for _, key, outcome in uses_of if outcome == "unknown"}
    entries = {entry.key: entry for entry in UnknownEntry.stored.filter(key__in=keys)}
    vocabulary = current()
    for (name, key, outcome), uses in sorted(
        uses_of.items(), key=lambda item: (item[0][0], -item[1].requests, item[0])
    ):
        entry = entries.get(key)
        meaning = vocabulary.normalize(key, name)
        unknown = meaning.stage is None
        yield (
            name,
            SentValue(
                value=key,
                outcome=outcome,
                send=meaning.stage,
                reason=(entry.reason if entry else meaning.reason) if unknown else None,
                suggestions=suggestions(entry, vocabulary) if entry and unknown else (),
                endpoints=tuple(sorted(uses.endpoints)),
                requests=uses.requests,
                last_sent=uses.last,
                examples=tuple(entry.examples) if entry else (),
            ),
        )


class _Uses:
    """How often one value came, where, and when it last did."""

    def __init__(self) -> None:
        self.requests, self.last, self.endpoints = 0, datetime.date.min, set[str]()

    def add(self, endpoint: str, requests: int, day: datetime.date) -> None:
        self.requests += requests
        self.last = max(self.last, day)
        self.endpoints.add(endpoint)


def _recent(days: int, names: Collection[str] | None) -> QuerySet[ConsumerSighting]:
    since = timezone.now().date() - datetime.timedelta(days=days)
    return _of(ConsumerSighting.objects.filter(day__gt=since), "consumer", names)


def _of(rows: QuerySet, column: str, names: Collection[str] | None) -> QuerySet:  # type: ignore[type-arg]
    return rows if names is None else rows.filter(**{f"{column}__in": names})


# Who would be refused if everything were enforced now: consumers and the values they still send.


@dataclass(frozen=True)
class Refused:
    """One caller, and what it sends that the vocabulary does not map now, most frequent first."""

    consumer: str
    values: tuple[SentValue, ...]

    @property
    def times(self) -> int:
        """How often it sent one of them; a request with two counts for both."""
        return sum(value.requests for value in self.values)


def refused_if_enforced(*, days: int = DAYS) -> list[Refused]:
    """Return who sent what in the last `days` that `enforce` refuses, most affected first."""
    # Judge by the vocabulary as it stands; what came on top of the bounds has no key, and stays
    # as it was judged.
    sent = (
        (name, value)
        for name, value in sent_values(days=days)
        if (value.outcome == "unknown" if value.value == OVERFLOW else value.send is None)
    )
    refused = [
        Refused(name, tuple(value for _, value in values))
        for name, values in groupby(sent, lambda it: it[0])
    ]
    return sorted(refused, key=lambda one: (-one.times, one.consumer))
