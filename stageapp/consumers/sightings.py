"""Count what each consumer sends, without I/O on the request.

A request adds to a dictionary. The refresher adds these counts to the stored ones every few
seconds and at exit, in one transaction with the unknown queue's entries; a failed write is retried
the next time. If a connection breaks at COMMIT, a flush may be counted twice but is never lost.
"""

import datetime
import time
from collections import Counter
from dataclasses import dataclass

from django.db import connection, transaction

from stageapp.infrastructure.buffers import Buffer
from stageapp.models.unknowns import OVERFLOW
from stageapp.unknowns import records
from stageapp.unknowns.examples import identity
from stageapp.unknowns.records import Seen
from stageapp.validation import Decision
from stageapp.vocabulary import snapshot

_DAY_SECONDS = 86_400
_FIRST_DAY = datetime.date(1970, 1, 1)
MOST_A_CONSUMER = 2000  # distinct values of one consumer, kept apart by a process in a day

_Key = tuple[str, int, str, str, str]  # consumer, day (since 1970), endpoint, key, outcome

_ADD_SQL = """
INSERT INTO stageapp_consumersighting AS stored (consumer, day, endpoint, key, outcome, count)
SELECT * FROM unnest(%s::text[], %s::date[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    AS seen(consumer, day, endpoint, key, outcome, count)
 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (consumer, day, endpoint, key, outcome) DO UPDATE SET count = stored.count + EXCLUDED.count
"""

# The thread that flushes also reads the mode: it must not wait long for somebody who holds a row.
_WAIT_SQL = "SET LOCAL lock_timeout = '1s'"


@dataclass
class _Sent:
    """How many requests held a value, and how it was written if it is unknown."""

    count: int = 0
    unknown: Seen | None = None

    def note(self, raw: str, reason: str | None) -> None:
        """Count one request; `reason` says why the value is unknown, None that it is known."""
        self.count += 1
        if reason is not None:
            self.unknown = self.unknown or Seen(reason)
            self.unknown.add(raw)

    def __add__(self, other: "_Sent") -> "_Sent":
        unknown = self.unknown or other.unknown
        if self.unknown and other.unknown:
            unknown = self.unknown + other.unknown
        return _Sent(self.count + other.count, unknown)


class SightingBuffer(Buffer[_Key, _Sent]):
    """Sightings that this process has not written yet."""

    most = 20_000

    def forget(self) -> None:
        super().forget()
        self._day = 0
        self._names: dict[str, set[str]] = {}  # consumer → its distinct keys of today, bounded

    def new(self) -> _Sent:
        return _Sent()

    def beyond(self, key: _Key) -> _Key:
        consumer, day, endpoint, _, outcome = key
        return consumer, day, endpoint, OVERFLOW, outcome

    def of_today(self, key: _Key) -> _Key:
        """Return the key, or the overflow's if its consumer is full today; call under the lock."""
        consumer, day, _, name, _ = key
        if day != self._day:
            self._day, self._names = day, {}
        names = self._names.setdefault(consumer, set())
        if name in names:
            return key
        if self.full or len(names) >= MOST_A_CONSUMER:
            return self.beyond(key)
        names.add(name)
        return key

    def write(self, taken: dict[_Key, _Sent]) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_WAIT_SQL)
            rows = (
                (consumer, _FIRST_DAY + datetime.timedelta(days=day), *rest, sent.count)
                for (consumer, day, *rest), sent in taken.items()
            )
            cursor.execute(_ADD_SQL, [list(column) for column in zip(*rows, strict=True)])
            # The queue's entries, by key: one for all consumers, and one for the overflow.
            unknown: dict[str, Seen] = {}
            for (_, _, _, name, _), sent in taken.items():
                if sent.unknown is not None:
                    seen = records.overflow() if name == OVERFLOW else sent.unknown
                    unknown[name] = unknown[name] + seen if name in unknown else seen
            records.keep(unknown)


buffer = SightingBuffer()
flush = buffer.flush


def note(*, consumer: str, endpoint: str, decision: Decision) -> None:
    """Count one request's values; a value it held twice counts once. No I/O."""
    day = int(time.time()) // _DAY_SECONDS
    held = _held(consumer, decision)
    with buffer.lock:
        for (name, outcome), (raw, reason) in held.items():
            key = buffer.of_today((consumer, day, endpoint, name, outcome))
            buffer.at(key).note(raw, reason)


def _held(consumer: str, decision: Decision) -> dict[tuple[str, str], tuple[str, str | None]]:
    """Return (key, outcome) → (raw value, reason if unknown), each once."""
    held: dict[tuple[str, str], tuple[str, str | None]] = {}
    unknowns, normalize = iter(decision.unknowns), snapshot.current().normalize
    retired = Counter(normalize(value.value, consumer).key for value in decision.retired)
    for meaning in decision.meanings:
        if meaning.stage is None:
            unknown = next(unknowns)
            name = meaning.key or identity(unknown.value, meaning)
            held[name, "unknown"] = unknown.value, unknown.reason
        elif retired[meaning.key] > 0:
            retired[meaning.key] -= 1
            held[meaning.key, "normalized"] = "", None
        else:
            held[meaning.key, "canonical"] = "", None
    return held
