"""Token buckets in this process's memory: how often each key may come, without asking any
server.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MINUTE = 60.0


class TokenBuckets:
    """One bucket per key: it holds a minute's worth of tokens, fills evenly, and each request takes
    one.

    At most `capacity` keys are kept. Beyond that the key that came least recently is forgotten, and
    comes back with a full bucket: too much is let in then, never too little. `clock` gives seconds
    that only grow.
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
        """Take a token and return 0.0, or take none and return the seconds until there is one."""
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
        """Forget every key."""
        with self._lock:
            self._buckets.clear()
