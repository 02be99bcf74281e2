"""In-memory token buckets: per-key rate limits of this process, without a server."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MINUTE = 60.0


class TokenBuckets:
    """One bucket per key: it holds a minute's tokens, refills evenly, and a request takes one.

    At most `capacity` keys are kept. Beyond that the least recently used key is forgotten and
    returns with a full bucket: this admits too many requests, never too few. `clock` returns
    monotonic seconds.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = (
            OrderedDict()
        )  # key → tokens, when they were counted

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, per_minute: float) -> float:
        """Take a token and return 0.0, or return the seconds until one is available."""
        with self._lock:
            now = self._clock()
            tokens, counted_at = self._buckets.pop(key, (per_minute, now))
            tokens = min(per_minute, tokens + (now - counted_at) * per_minute / MINUTE)
            admitted = tokens >= 1
            self._buckets[key] = (tokens - admitted, now)
            if len(self._buckets) > self._capacity:
                self._buckets.popitem(last=False)
        return 0.0 if admitted else (1 - tokens) * MINUTE / per_minute

    def forget(self) -> None:
        with self._lock:
            self._buckets.clear()
