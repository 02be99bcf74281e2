"""Count what arrives, in 10-second windows.

A request adds to a dictionary. The refresher, the one thread that calls `flush`, writes this
process's absolute counts under its own id every few seconds and at exit: no hot row, and writing
twice changes nothing. Windows are of PostgreSQL's clock, so that those of several machines lie
beside each other, whatever their own clocks say.
"""

import datetime
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from stageapp.infrastructure import events
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
    process: uuid.UUID
    requests: int = 0
    rejects: int = 0
    errors: int = 0
    slow: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add_reasons(self, reasons: Collection[str]) -> None:
        for reason in reasons:
            known = reason in self.reasons or len(self.reasons) < _MOST_REASONS
            self.reasons[reason if known else "other"] += 1


class _Process:
    """This process's counts; a forked child begins its own under a new id."""

    def __init__(self) -> None:
        self.id = uuid.uuid4()
        self.lock = threading.Lock()
        self.counts: dict[_Key, _Counts] = {}
        self.dirty: set[_Key] = set()
        self.ahead = 0.0  # seconds that PostgreSQL's clock is ahead of ours
        self.dropped_until = 0  # windows that began earlier may be written and no longer known here

    def counts_of(self, key: _Key) -> _Counts:
        """Return the counts of a window, new ones under this id; the lock must be held."""
        if key[0] < self.dropped_until and key not in self.counts:
            # The clock was set back. Under the same id this would overwrite what the window held
            # before.
            self.id, self.dropped_until = uuid.uuid4(), 0
        return self.counts.setdefault(key, _Counts(self.id))


_process = _Process()


def _begin_anew() -> None:
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=_begin_anew)


def now() -> datetime.datetime:
    """Return the time by PostgreSQL's clock, as far as this process has learned it; no I/O."""
    return timezone.now() + datetime.timedelta(seconds=_process.ahead)


@refresher.register
def learn_the_time() -> None:
    """Learn how far PostgreSQL's clock is ahead; an answer that took long, or a clock that jumped,
    teaches nothing.

    Raises:
        django.db.Error: PostgreSQL does not answer.
    """
    asked_at = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        told = cursor.fetchone()[0]
    answered_at = time.time()
    if 0 <= answered_at - asked_at <= _SURE_SECONDS:
        _process.ahead = told - (asked_at + answered_at) / 2


def _seconds() -> float:
    return time.time() + _process.ahead


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
    """Count one request; no I/O. `reasons` are the distinct ones of its unknown values."""
    start = int(_seconds()) // WINDOW_SECONDS * WINDOW_SECONDS
    key = (start, endpoint, mode, verdict)
    with _process.lock:
        counts = _process.counts_of(key)
        counts.requests += 1
        counts.rejects += rejected
        counts.errors += error
        counts.slow += slow
        counts.add_reasons(reasons)
        _process.dirty.add(key)


@refresher.register
def flush() -> None:
    """Write what changed since the last flush; what could not be written stays for the next one.

    Raises:
        django.db.Error: PostgreSQL does not answer.
    """
    with _process.lock:
        dirty, _process.dirty = _process.dirty, set()
        rows = [_row(key, _process.counts[key]) for key in dirty]
    try:
        TrafficWindow.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["process", "started_at", "endpoint", "mode", "verdict"],
            update_fields=["requests", "rejects", "errors", "slow", "reasons"],
        )
    except Exception:  # whatever it is: these counts are in no other place
        _keep_for_the_next(dirty)
        raise
    _drop_written()


def _keep_for_the_next(dirty: set[_Key]) -> None:
    too_old = {key for key in dirty if key[0] < _seconds() - GIVE_UP_SECONDS}
    with _process.lock:
        _process.dirty |= dirty - too_old
        lost = sum(_process.counts.pop(key).requests for key in too_old)
    if lost:
        events.traffic_lost(requests=lost)


def _row(key: _Key, counts: _Counts) -> TrafficWindow:
    start, endpoint, mode, verdict = key
    return TrafficWindow(
        process=counts.process,
        started_at=datetime.datetime.fromtimestamp(start, datetime.UTC),
        endpoint=endpoint,
        mode=mode,
        verdict=verdict,
        requests=counts.requests,
        rejects=counts.rejects,
        errors=counts.errors,
        slow=counts.slow,
        reasons=dict(counts.reasons),
    )


def _drop_written() -> None:
    oldest = int(_seconds()) - _KEEP_WINDOWS * WINDOW_SECONDS
    with _process.lock:
        for key in [
            key for key in _process.counts if key[0] < oldest and key not in _process.dirty
        ]:
            del _process.counts[key]
            _process.dropped_until = max(_process.dropped_until, key[0] + WINDOW_SECONDS)


@dataclass(frozen=True)
class Summary:
    """Requests by shadow verdict over some time, and what each mode would have made of them."""

    canonical: int = 0
    normalized: int = 0
    unknown: int = 0
    malformed: int = 0

    @property
    def total(self) -> int:
        """Return all requests."""
        return self.canonical + self.normalized + self.unknown + self.malformed

    @property
    def outcomes(self) -> dict[str, dict[str, int]]:
        """Return mode → outcome → requests: what this traffic would have met in each mode."""
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
    """Return what arrived in the last `since`, over all processes."""
    rows = (
        TrafficWindow.objects.filter(started_at__gte=timezone.now() - since)
        .values_list("verdict")
        .annotate(total=Sum("requests"))
    )
    return Summary(**dict(rows.values_list("verdict", "total")))
