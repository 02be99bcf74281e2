"""Drain: Celery's workers end the batch in hand and take up no run until they may again.

A state in PostgreSQL, read between batches: a command to the workers alone would be forgotten by
one that restarts.
"""

from stageapp.infrastructure import events
from stageapp.models.normalization import WorkerDrain
from stageapp.models.recorded import require_reason
from stageapp.targets.errors import IllegalMove


def draining() -> bool:
    """Tell whether workers should take up no run."""
    switched = newest()
    return switched is not None and switched.draining


def newest() -> WorkerDrain | None:
    """Return who switched it last, when and why; None if nobody ever has."""
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
