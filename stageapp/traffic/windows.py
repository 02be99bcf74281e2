"""Count requests in 10-second windows.

A request adds to the buffer. A flush writes this process's absolute counts under its own id: what
it has already written for a window plus what is new. So there is no hot row, and writing twice
changes nothing. Windows follow PostgreSQL's clock, so that those of several machines line up
whatever their own clocks say.
"""

import datetime
import time
import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from stageapp.infrastructure import events
from stageapp.infrastructure.buffers import Buffer
from stageapp.infrastructure.refresher import refresher
from stageapp.models.traffic import TrafficWindow

WINDOW_SECONDS = 10
_KEEP_WINDOWS = 3  # an older window takes no more counts; it is dropped here once it is written
# What PostgreSQL did not take for so long is given up: memory stays bounded, and as windows become
# hours only a day later, none is ever written again after that.
GIVE_UP_SECONDS = 6 * 3600
_SURE_SECONDS = 1.0
_MOST_REASONS = 16  # twice as many as there are; whatever else comes is counted as one

_Key = tuple[int, str, str, str]  # window start (epoch seconds), endpoint, mode, verdict


@dataclass
class _Counts:
    requests: int = 0
    rejects: int = 0
    errors: int = 0
    slow: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add_reason(self, reason: str, requests: int = 1) -> None:
        known = reason in self.reasons or len(self.reasons) < _MOST_REASONS
        self.reasons[reason if known else "other"] += requests

    def __add__(self, other: "_Counts") -> "_Counts":
        both = _Counts(
            self.requests + other.requests,
            self.rejects + other.rejects,
            self.errors + other.errors,
            self.slow + other.slow,
            self.reasons.copy(),
        )
        for reason, requests in other.reasons.items():
            both.add_reason(reason, requests)
        return both


@dataclass(frozen=True)
class _Written:
    """A window's row as confirmed by PostgreSQL, and its id."""

    process: uuid.UUID
    counts: _Counts


class WindowBuffer(Buffer[_Key, _Counts]):
    """This process's unwritten counts, and what it has written to the latest windows.

    A forked child starts its own under a new id.
    """

    most = 25_000

    def forget(self) -> None:
        super().forget()
        self.id = uuid.uuid4()
        self.ahead = 0.0  # seconds that PostgreSQL's clock is ahead of ours
        self._written: dict[_Key, _Written] = {}
        self._dropped_until = 0  # windows that began earlier may be written and not known here

    def new(self) -> _Counts:
        return _Counts()

    def beyond(self, key: _Key) -> _Key:
        """Return the first window of its hour: coarser, but still correct by hour and by day."""
        start, endpoint, mode, verdict = key
        return start // 3600 * 3600, endpoint, mode, verdict

    def write(self, taken: dict[_Key, _Counts]) -> None:
        totals = {key: self._total(key, counts) for key, counts in taken.items()}
        TrafficWindow.objects.bulk_create(
            [
                TrafficWindow(
                    process=total.process,
                    started_at=datetime.datetime.fromtimestamp(start, datetime.UTC),
                    endpoint=endpoint,
                    mode=mode,
                    verdict=verdict,
                    requests=total.counts.requests,
                    rejects=total.counts.rejects,
                    errors=total.counts.errors,
                    slow=total.counts.slow,
                    reasons=dict(total.counts.reasons),
                )
                for (start, endpoint, mode, verdict), total in totals.items()
            ],
            update_conflicts=True,
            unique_fields=["process", "started_at", "endpoint", "mode", "verdict"],
            update_fields=["requests", "rejects", "errors", "slow", "reasons"],
        )
        self._written |= totals
        self._drop_written(_seconds() - _KEEP_WINDOWS * WINDOW_SECONDS)

    def put_back(self, taken: dict[_Key, _Counts]) -> None:
        oldest = _seconds() - GIVE_UP_SECONDS
        super().put_back({key: counts for key, counts in taken.items() if key[0] >= oldest})
        self._drop_written(oldest)
        if lost := sum(counts.requests for key, counts in taken.items() if key[0] < oldest):
            events.traffic_lost(requests=lost)

    def _total(self, key: _Key, counts: _Counts) -> _Written:
        if key not in self._written:
            if key[0] < self._dropped_until:
                # The clock was set back. Under the same id this would overwrite what the window
                # held before.
                self.id, self._dropped_until = uuid.uuid4(), 0
            # Known from here on, under this id: a write that fails may have been committed.
            self._written[key] = _Written(self.id, _Counts())
        before = self._written[key]
        return _Written(before.process, before.counts + counts)

    def _drop_written(self, oldest: float) -> None:
        for key in [key for key in self._written if key[0] < oldest]:
            del self._written[key]
            self._dropped_until = max(self._dropped_until, key[0] + WINDOW_SECONDS)


def now() -> datetime.datetime:
    """Return the time by PostgreSQL's clock, as last measured by this process; no I/O."""
    return timezone.now() + datetime.timedelta(seconds=buffer.ahead)


@refresher.register
def learn_the_time() -> None:
    """Measure the offset of PostgreSQL's clock; ignore slow answers and clock jumps.

    Raises:
        django.db.Error: PostgreSQL does not answer.
    """
    asked_at = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        told = cursor.fetchone()[0]
    answered_at = time.time()
    if 0 <= answered_at - asked_at <= _SURE_SECONDS:
        buffer.ahead = told - (asked_at + answered_at) / 2


def _seconds() -> float:
    return time.time() + buffer.ahead


buffer = WindowBuffer()  # its flush comes after learning the time
flush = buffer.flush


def count(
    *,
    endpoint: str,
    mode: str,
    verdict: str,
    rejected: bool = False,
    error: bool = False,
    slow: bool = False,
    reasons: Collection[str] = frozenset(),
) -> None:
    """Count one request; no I/O. `reasons` are the distinct reasons of its unknown values."""
    start = int(_seconds()) // WINDOW_SECONDS * WINDOW_SECONDS
    key = (start, endpoint, mode, verdict)
    with buffer.lock:
        counts = buffer.at(key)
        counts.requests += 1
        counts.rejects += rejected
        counts.errors += error
        counts.slow += slow
        for reason in reasons:
            counts.add_reason(reason)


@dataclass(frozen=True)
class Summary:
    """Requests by shadow verdict in a period, and their outcome in each mode."""

    canonical: int = 0
    normalized: int = 0
    unknown: int = 0
    malformed: int = 0

    @property
    def total(self) -> int:
        return self.canonical + self.normalized + self.unknown + self.malformed

    @property
    def outcomes(self) -> dict[str, dict[str, int]]:
        """Return mode → outcome → requests: what this traffic would get in each mode."""
        fine = self.canonical + self.normalized
        refused = self.malformed
        return {
            "off": {"accepted": fine + self.unknown, "warned": 0, "rejected": refused},
            "warn": {
                "accepted": self.canonical,
                "warned": self.normalized + self.unknown,
                "rejected": refused,
            },
            "enforce": {
                "accepted": self.canonical,
                "warned": self.normalized,
                "rejected": self.unknown + refused,
            },
        }


def summary(since: datetime.timedelta = datetime.timedelta(days=1)) -> Summary:
    """Return the requests of the last `since`, over all processes."""
    rows = (
        TrafficWindow.objects.filter(started_at__gte=timezone.now() - since)
        .values_list("verdict")
        .annotate(total=Sum("requests"))
    )
    return Summary(**dict(rows.values_list("verdict", "total")))
