"""Record where consumers call from without I/O: program (keyed hash), network class, last seen.

A request changes a dictionary; the refresher adds it to the stored contacts every few seconds and
at exit. The store is bounded: only so many programs are kept per consumer, whatever User-Agents it
sends.
"""

import datetime
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from stageapp import conf
from stageapp.infrastructure import network
from stageapp.infrastructure.buffers import Buffer
from stageapp.models.consumers import ConsumerContact

MOST_AGENTS = 20  # programs of one consumer that are kept apart
OTHERS = "others"  # all programs beyond
HASH_LENGTH = 16  # hex digits: enough to tell programs apart, of no use to find an agent's text

_SALT = "stageapp.consumers.contacts.agent"

_Key = tuple[str, str, str, str]  # consumer, endpoint, agent hash, network

_ADD_SQL = """
INSERT INTO stageapp_consumercontact AS stored
       (consumer, endpoint, agent_hash, network, first_seen, last_seen, requests)
SELECT consumer, endpoint, agent_hash, network, to_timestamp(first_seen), to_timestamp(last_seen), requests
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[], %s::bigint[])
    AS seen(consumer, endpoint, agent_hash, network, first_seen, last_seen, requests)
 ORDER BY 1, 2, 3, 4
ON CONFLICT (consumer, endpoint, agent_hash, network) DO UPDATE
   SET first_seen = LEAST(stored.first_seen, EXCLUDED.first_seen),
       last_seen = GREATEST(stored.last_seen, EXCLUDED.last_seen),
       requests = stored.requests + EXCLUDED.requests
"""


@dataclass
class _Calls:
    """Requests of one contact, with the first and last in seconds since 1970."""

    first: float = inf
    last: float = -inf
    requests: int = 0

    def __add__(self, other: "_Calls") -> "_Calls":
        return _Calls(
            min(self.first, other.first),
            max(self.last, other.last),
            self.requests + other.requests,
        )


class ContactBuffer(Buffer[_Key, _Calls]):
    """Contacts that this process has not written yet."""

    most = 5_000

    def new(self) -> _Calls:
        return _Calls()

    def beyond(self, key: _Key) -> _Key:
        consumer, endpoint, _, where = key
        return consumer, endpoint, OTHERS, where

    def write(self, taken: dict[_Key, _Calls]) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            # Put every program for which its consumer has no room any more under the others.
            kept: dict[str, set[str]] = defaultdict(set)
            stored = ConsumerContact.objects.filter(consumer__in={key[0] for key in taken})
            named = stored.exclude(agent_hash=OTHERS).values_list("consumer", "agent_hash")
            for consumer, agent in named.distinct():
                kept[consumer].add(agent)
            bounded: dict[_Key, _Calls] = {}
            for (consumer, endpoint, agent, where), calls in taken.items():
                agents = kept[consumer]
                if agent not in agents and len(agents) >= MOST_AGENTS:
                    agent = OTHERS
                elif agent != OTHERS:
                    agents.add(agent)
                key = (consumer, endpoint, agent, where)
                bounded[key] = bounded.get(key, _Calls()) + calls
            rows = ((*key, c.first, c.last, c.requests) for key, c in bounded.items())
            cursor.execute(_ADD_SQL, [list(column) for column in zip(*rows, strict=True)])


buffer = ContactBuffer()
flush = buffer.flush


def agent_hash(agent: str) -> str:
    """Return a User-Agent's hash under a key derived from SECRET_KEY (RFC 2104); empty for none."""
    if not agent:
        return ""
    return salted_hmac(
        _SALT, agent.encode("utf-8", "surrogatepass"), algorithm="sha256"
    ).hexdigest()[:HASH_LENGTH]


def note(*, consumer: str, endpoint: str, meta: Mapping[str, Any]) -> None:
    """Record one request of a consumer; `meta` is WSGI's environment. No I/O."""
    now = time.time()
    where = network.classify(network.client_address(meta))
    key = (consumer, endpoint, agent_hash(str(meta.get("HTTP_USER_AGENT") or "")), where)
    with buffer.lock:
        calls = buffer.at(key)
        calls.first, calls.last = min(calls.first, now), max(calls.last, now)
        calls.requests += 1


def forget_old() -> int:
    """Delete contacts not seen for as long as sightings are kept; return how many."""
    oldest = timezone.now() - datetime.timedelta(days=conf.settings.sighting_retention_days)
    deleted, _ = ConsumerContact.objects.filter(last_seen__lt=oldest).delete()
    return deleted
