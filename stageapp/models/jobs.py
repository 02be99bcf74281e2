"""Jobs that people ask for and workers do."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
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


class Job(Recorded):
    """A request to a worker. The row is the queue, and a message only a nudge."""

    ACTIVE = ("waiting", "working")
    STATES = [(state, state) for state in (*ACTIVE, "done", "failed")]
    LOCK: ClassVar[Lock]

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

    def beat(self, **progress: Any) -> None:
        """Write that the worker is alive, and how far it is."""
        type(self)._default_manager.filter(pk=self.pk).update(
            heartbeat_at=timezone.now(), **progress
        )

    def end(self, state: str, said: str = "", **result: Any) -> None:
        """Write how it ended, unless the worker comes back after its job was given up."""
        type(self)._default_manager.filter(pk=self.pk, state="working").update(
            state=state, said=said, ended_at=timezone.now(), **result
        )
