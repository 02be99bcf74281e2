"""Count what each consumer sends, without I/O on the request.

A request adds to a dictionary. The refresher adds these counts to the stored ones every few seconds
and at exit, in one transaction with the unknown queue's entries; what could not be written stays
for the next time. A connection cut at COMMIT may leave it open whether a flush was written: then it
is counted twice, never lost.
"""

import datetime
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator

from django.db import Error, connection, transaction

from stageapp import conf
from stageapp.infrastructure.refresher import refresher
from stageapp.models.unknowns import OVERFLOW
from stageapp.unknowns import records
from stageapp.unknowns.examples import identity
from stageapp.unknowns.records import Seen
from stageapp.validation import Decision
from stageapp.vocabulary import snapshot

MOST_PENDING = 20_000  # distinct counts between two flushes
_DAY_SECONDS = 86_400

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


class _Process:
    """This process's counts since the last flush; a forked child begins its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: Counter[_Key] = Counter()
        self.unknown: dict[str, Seen] = {}
        self.day = 0
        self.keys: dict[str, set[str]] = {}  # consumer → its distinct keys of today, bounded

    def add(self, key: _Key, raw: str, reason: str | None) -> None:
        """Count one value of one request, under the overflow when a bound is reached."""
        consumer, day, endpoint, name, outcome = key
        if key not in self.counts and not self._has_room(consumer, day, name):
            key = (consumer, day, endpoint, OVERFLOW, outcome)
        self.counts[key] += 1
        if reason is not None:
            self._keep_example(key[3], raw, reason)

    def _has_room(self, consumer: str, day: int, name: str) -> bool:
        if day != self.day:
            self.day, self.keys = day, {}
        known = self.keys.setdefault(consumer, set())
        if len(self.counts) >= MOST_PENDING:
            return False
        if name in known:
            return True
        if len(known) >= conf.sightings_per_consumer():
            return False
        known.add(name)
        return True

    def _keep_example(self, name: str, raw: str, reason: str) -> None:
        if name == OVERFLOW:
            self.unknown.setdefault(name, records.overflow())
        else:
            self.unknown.setdefault(name, Seen(reason)).add(raw)

    def take(self) -> tuple[Counter[_Key], dict[str, Seen]]:
        """Hand out what there is, and begin anew."""
        with self.lock:
            taken = self.counts, self.unknown
            self.counts, self.unknown = Counter(), {}
        return taken

    def put_back(self, counts: Counter[_Key], unknown: dict[str, Seen]) -> None:
        """Take back what could not be written, within the bounds."""
        with self.lock:
            for key, count in counts.items():
                if key not in self.counts and len(self.counts) >= MOST_PENDING:
                    key = (*key[:3], OVERFLOW, key[4])
                self.counts[key] += count
            for name, seen in unknown.items():
                self.unknown.setdefault(name, seen)


_process = _Process()


def _begin_anew() -> None:
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=_begin_anew)


def note(*, consumer: str, endpoint: str, decision: Decision) -> None:
    """Count what one request held; a value it held twice counts once. No I/O."""
    day = int(time.time()) // _DAY_SECONDS
    held = _held(consumer, decision)
    with _process.lock:
        for (name, outcome), (raw, reason) in held.items():
            _process.add((consumer, day, endpoint, name, outcome), raw, reason)


def _held(consumer: str, decision: Decision) -> dict[tuple[str, str], tuple[str, str | None]]:
    """Return (key, outcome) → (raw value, reason if it is unknown), once for each."""
    held: dict[tuple[str, str], tuple[str, str | None]] = {}
    unknowns, retired = iter(decision.unknowns), _retired_keys(consumer, decision)
    for meaning in decision.meanings:
        if meaning.stage is None:
            unknown = next(unknowns)
            name = meaning.key or identity(unknown.value, meaning)
            held[name, "unknown"] = unknown.value, unknown.reason
        elif retired and retired[meaning.key] > 0:
            retired[meaning.key] -= 1
            held[meaning.key, "normalized"] = "", None
        else:
            held[meaning.key, "canonical"] = "", None
    return held


def _retired_keys(consumer: str, decision: Decision) -> Counter[str] | None:
    if not decision.retired:
        return None
    normalize = snapshot.current().normalize
    return Counter([normalize(value.value, consumer).key for value in decision.retired])


@refresher.register
def flush() -> None:
    """Add this process's counts to the stored ones; what could not be written stays for the next
    time.

    Raises:
        django.db.Error: PostgreSQL does not answer.
    """
    counts, unknown = _process.take()
    if not counts:
        return
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_WAIT_SQL)
            cursor.execute(_ADD_SQL, [list(column) for column in zip(*_rows(counts), strict=True)])
            records.keep(unknown)
    except Error:
        _process.put_back(counts, unknown)
        raise


def _rows(counts: Counter[_Key]) -> Iterator[tuple[str, datetime.date, str, str, str, int]]:
    for (consumer, day, endpoint, name, outcome), count in counts.items():
        yield (
            consumer,
            datetime.date(1970, 1, 1) + datetime.timedelta(days=day),
            endpoint,
            name,
            outcome,
            count,
        )
