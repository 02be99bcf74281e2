"""Celery's processes follow the mode from their start, say so in the registry, and know when they are to end.

Connected here, as a pool's child and beat answer no request that could begin it.
"""

import mmap
from typing import Any

from celery import signals

from stageapp import processes

# One byte, shared with the pool's children by fork: they do the work, but only their master gets the signal.
_ending = mmap.mmap(-1, 1)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def serve_tasks(**_: Any) -> None:
    """Begin as a pool's child; the solo pool sends this too."""
    processes.serve_as("worker")


@signals.beat_init.connect  # type: ignore[untyped-decorator]
@signals.beat_embedded_init.connect  # type: ignore[untyped-decorator]
def serve_the_schedule(**_: Any) -> None:
    """Begin as beat, on its own or beside a worker."""
    processes.serve_as("beat")


@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def leave(**_: Any) -> None:
    """End as a pool's child, which runs no exit handlers."""
    processes.leave()


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def tell_children(**_: Any) -> None:
    """Let long tasks end at their next good moment; without it a worker would wait for the whole of them."""
    _ending[0] = 1


def ending() -> bool:
    """Tell whether this process's worker was told to end."""
    return _ending[0] == 1
