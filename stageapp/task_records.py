"""What is told of each task: its name, and the request it came from, in every log line; its time in the metrics."""

import time
from typing import Any

import structlog
from celery import signals

from stageapp import metrics

_HEADER = "stage_request_id"
_began: dict[str, float] = {}  # by task id, of the monotonic clock


@signals.before_task_publish.connect  # type: ignore[untyped-decorator]
def name_the_request(headers: dict[str, Any], **_: Any) -> None:
    """Send along which request asked for the task."""
    if name := structlog.contextvars.get_contextvars().get("request_id"):
        headers[_HEADER] = name


@signals.task_prerun.connect  # type: ignore[untyped-decorator]
def begin(task_id: str, task: Any, **_: Any) -> None:
    """Name the task in the log from here on."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)
    if name := task.request.get(_HEADER):
        structlog.contextvars.bind_contextvars(request_id=str(name))
    _began[task_id] = time.monotonic()


@signals.task_postrun.connect  # type: ignore[untyped-decorator]
def end(task_id: str, task: Any, state: str, **_: Any) -> None:
    """Count the task; `state` is Celery's."""
    structlog.contextvars.clear_contextvars()
    began = _began.pop(task_id, None)
    if began is not None:
        metrics.task_ended(task=task.name, outcome=str(state).lower(), seconds=time.monotonic() - began)
