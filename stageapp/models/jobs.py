"""Jobs that people ask for and workers do."""

import datetime
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import QuerySet
from django.utils import timezone

from stageapp.infrastructure import locks
from stageapp.infrastructure.locks import Lock
from stageapp.models.recorded import Recorded

# A worker holds its job's lock, however long it reports nothing; this is for a session that was cut
# and comes back.
DEAD_AFTER = datetime.timedelta(minutes=1)
BEAT_SECONDS = 1.0


@dataclass(frozen=True)
class JobProgress:
    """How far a job is: `done` of `whole`, which is 0 if unknown and may be an estimate; `seconds`
    is how long that took.
    """

    done: int
    whole: int
    estimated: bool
    seconds: float | None

    @property
    def rate(self) -> float | None:
        """Return how much is done in a second."""
        return self.done / self.seconds if self.seconds and self.done else None

    @property
    def percent(self) -> float | None:
        """Return how much is done, 0 to 100; of an estimate it never reaches the end."""
        if not self.whole:
            return None
        return min(100.0 * self.done / self.whole, 99.0 if self.estimated else 100.0)

    @property
    def eta_seconds(self) -> float | None:
        """Return how long the rest will take."""
        return max(self.whole - self.done, 0) / self.rate if self.whole and self.rate else None


class Job(Recorded):
    """A request to a worker. The row is the queue, and a message only a nudge."""

    ACTIVE = ("waiting", "working")
    STATES = [(state, state) for state in (*ACTIVE, "done", "failed")]
    LOCK: ClassVar[Lock]
    _beaten = 0.0

    state = models.CharField(max_length=10, choices=STATES, default="waiting")
    said = models.TextField(blank=True, default="", help_text="how it ended")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta(Recorded.Meta):
        abstract = True

    @classmethod
    @contextmanager
    def claimed(cls, job_id: int, **changes: Any) -> Iterator[Self | None]:
        """Hold a waiting job for the block, and yield it; None if another worker has it."""
        with locks.attempt(cls.LOCK, job_id) as alone:
            jobs = cls._default_manager.filter(pk=job_id)
            changes |= {"state": "working", "heartbeat_at": timezone.now()}
            mine = alone and jobs.filter(state="waiting").update(**changes) == 1
            yield jobs.get() if mine else None

    @classmethod
    def orphans(cls) -> QuerySet[Self]:
        """Return the jobs whose worker died."""
        silent = cls._default_manager.filter(
            state="working", heartbeat_at__lt=timezone.now() - DEAD_AFTER
        )
        return silent.exclude(pk__in=locks.held(cls.LOCK)) if silent.exists() else silent.none()

    @classmethod
    def queue(cls) -> list[int]:
        """Return the keys of the jobs that wait for a worker, oldest first."""
        waiting = cls._default_manager.filter(state="waiting").order_by("pk")
        return list(waiting.values_list("pk", flat=True))

    def beat(self, *, at_once: bool = False, **progress: Any) -> None:
        """Write that the worker is alive and how far it is, at most once a second unless at once."""
        if not at_once and time.monotonic() - self._beaten < BEAT_SECONDS:
            return
        self._beaten = time.monotonic()
        type(self)._default_manager.filter(pk=self.pk).update(
            heartbeat_at=timezone.now(), **progress
        )

    def seconds_since(self, began: datetime.datetime | None) -> float | None:
        """Return how long the worker had worked on something when it was last heard of."""
        return (self.heartbeat_at - began).total_seconds() if began and self.heartbeat_at else None

    def end(self, state: str, said: str = "", **result: Any) -> None:
        """Write how it ended, unless the worker comes back after its job was given up."""
        type(self)._default_manager.filter(pk=self.pk, state="working").update(
            state=state, said=said, ended_at=timezone.now(), **result
        )
