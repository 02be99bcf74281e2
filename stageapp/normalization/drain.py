"""Drain: Celery workers finish their current batch and start no run until the drain ends.

The state is in PostgreSQL and is read between batches: a restarted worker would forget a command.
"""

from stageapp.infrastructure import events
from stageapp.models.normalization import WorkerDrain
from stageapp.models.recorded import require_reason
from stageapp.targets.errors import IllegalMove


def draining() -> bool:
    """Whether workers must not start a run."""
    switched = newest()
    return switched is not None and switched.draining


def newest() -> WorkerDrain | None:
    """Return the latest switch (who, when, why), or None if there has been none."""
    return WorkerDrain.objects.order_by("-id").first()


def switch(*, draining: bool, actor: str, reason: str) -> WorkerDrain:
    """Drain the workers, or let them work again.

    Raises:
        IllegalMove: the reason is empty.
    """
    why = require_reason(reason, IllegalMove)
    row = WorkerDrain.objects.create(draining=draining, actor=actor, reason=why)
    events.workers_drained(draining=draining, actor=actor, reason=why)
    return row
