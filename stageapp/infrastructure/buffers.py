"""Bounded per-process buffers of counts that are not yet written, one per subject.

A request adds to a dictionary, without I/O. The refresher writes the counts every few seconds and
when the process ends.
"""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Generic, Protocol, Self, TypeVar

from stageapp.infrastructure.refresher import refresher


class Addable(Protocol):
    """A count that can be added to another of its key; neither operand changes."""

    def __add__(self, other: Self, /) -> Self:
        """Return the sum as a new object."""


Key = TypeVar("Key", bound=Hashable)
Amount = TypeVar("Amount", bound=Addable)


class Buffer(ABC, Generic[Key, Amount]):
    """Amounts by key, until they are written.

    A buffer lives as long as the program: it stays registered with the refresher and for forks.
    """

    most: int  # keys that are kept apart between two flushes

    def __init__(self) -> None:
        self.forget()
        os.register_at_fork(after_in_child=self.forget)
        refresher.register(self.flush)

    def forget(self) -> None:
        """Start empty in a forked child: the parent writes what the parent counted."""
        # New locks too: a thread that did not survive the fork may have held the old ones.
        self.lock = threading.Lock()
        self._flushing = threading.Lock()
        self._amounts: dict[Key, Amount] = {}

    @abstractmethod
    def new(self) -> Amount:
        """Return the initial amount of a new key."""

    @abstractmethod
    def beyond(self, key: Key) -> Key:
        """Return the overflow key for a key that has no room; there are few of them."""

    @abstractmethod
    def write(self, taken: dict[Key, Amount]) -> None:
        """Atomically add the amounts to the stored ones, without changing the arguments."""

    def __len__(self) -> int:
        """Return the number of keys waiting to be written."""
        return len(self._amounts)

    @property
    def full(self) -> bool:
        """Whether there is no room for a new key."""
        return len(self._amounts) >= self.most

    def at(self, key: Key) -> Amount:
        """Return the amount of this key, to be changed in place while holding the lock."""
        amount = self._amounts.get(key)
        if amount is None:
            amount = self._amounts.setdefault(self._bounded(key), self.new())
        return amount

    def flush(self) -> None:
        """Write everything; what cannot be written stays for the next flush.

        Raises:
            django.db.Error: PostgreSQL does not answer.
        """
        with self._flushing:  # what one flush takes out is written or put back before the next
            with self.lock:
                taken, self._amounts = self._amounts, {}
            if not taken:
                return
            try:
                self.write(taken)
            except BaseException:  # whatever it is: these amounts are in no other place
                self.put_back(taken)
                raise

    def put_back(self, taken: dict[Key, Amount]) -> None:
        """Merge newer amounts into the unwritten ones; the older keys keep their room."""
        with self.lock:
            meanwhile, self._amounts = self._amounts, taken
            for key, amount in meanwhile.items():
                place = self._bounded(key)
                before = self._amounts.get(place)
                self._amounts[place] = amount if before is None else before + amount

    def _bounded(self, key: Key) -> Key:
        return self.beyond(key) if self.full and key not in self._amounts else key
