"""Adaptive sampling of frequent log events, such that what was kept tells how many there were.

All are kept while they are few; beyond that one in so many, by chance. Each kept line carries the rate at which
lines of its kind were kept at that moment, so that the sum of 1 / rate estimates the true number without bias.
"""

import random
import threading
import time
from collections.abc import Callable

FEW = 10  # a minute
_MINUTE = 60.0  # seconds


class Sampler:
    """Decides which events of one kind are kept; `clock` tells seconds, `chance` draws from [0, 1)."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self._clock, self._chance = clock, chance
        self._lock = threading.Lock()
        self._minute, self._seen = -1, 0

    def rate(self, rate: float) -> float | None:
        """Return at which rate this event is kept: 1 or `rate`; None if it is not."""
        minute = int(self._clock() // _MINUTE)
        with self._lock:
            if minute != self._minute:
                self._minute, self._seen = minute, 0
            self._seen += 1
            few = self._seen <= FEW
        if few:
            return 1.0
        return rate if self._chance() < rate else None

    def renew(self) -> None:
        """Begin anew in a forked child, where a thread of the parent may have held the lock."""
        self._lock, self._seen = threading.Lock(), 0
