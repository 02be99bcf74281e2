"""Celery's processes follow the mode from their start, and say so in the registry.

Connected here, as a pool's child and beat answer no request that could begin it.
"""

from typing import Any

from celery import signals

from stageapp import processes


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
