"""Celery processes: they follow the mode from their start, register, and learn when to end.

Connected to signals, because a pool's child and beat serve no request that could start this.
"""

import mmap
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from celery import signals
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from stageapp import conf
from stageapp.infrastructure import archive, events, metrics, network
from stageapp.mode import processes

# One byte, shared with the pool's children by fork: they do the work, but only their master gets
# the signal.
_ending = mmap.mmap(-1, 1)


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def serve_tasks(**_: Any) -> None:
    """Register as a pool child; the solo pool sends this too."""
    processes.serve_as("worker")


@signals.beat_init.connect  # type: ignore[untyped-decorator]
@signals.beat_embedded_init.connect  # type: ignore[untyped-decorator]
def serve_the_schedule(**_: Any) -> None:
    """Register as beat, standalone or embedded in a worker."""
    processes.serve_as("beat")


@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def leave(**_: Any) -> None:
    """Deregister a pool child, which runs no exit handlers."""
    processes.leave()


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def tell_children(**_: Any) -> None:
    """Signal long tasks to end soon; otherwise a worker would wait for all of their work."""
    _ending[0] = 1


def ending() -> bool:
    """Whether this process's worker was told to end."""
    return _ending[0] == 1


# What is told of each task: its name, and the request it came from, in every log line; its time in
# the metrics.

_HEADER = "stage_request_id"
_began: dict[str, float] = {}  # by task id, of the monotonic clock


@signals.before_task_publish.connect  # type: ignore[untyped-decorator]
def name_the_request(headers: dict[str, Any], **_: Any) -> None:
    """Pass on the id of the request that queued the task."""
    if name := structlog.contextvars.get_contextvars().get("request_id"):
        headers[_HEADER] = name


@signals.task_prerun.connect  # type: ignore[untyped-decorator]
def begin(task_id: str, task: Any, **_: Any) -> None:
    """Add the task's name and id to all further log lines."""
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
        metrics.task_ended(
            task=task.name, outcome=str(state).lower(), seconds=time.monotonic() - began
        )


# A worker's own /metrics: its master tells what all its children have counted, at
# STAGE_WORKER_METRICS_PORT.
#
# The master finds out at a scrape which children are no more, as it is not told of one that was
# killed.

_servers: list[WSGIServer] = []


class _Server(ThreadingMixIn, WSGIServer):
    """One thread per scrape, so that a slow client blocks only its own."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Logs nothing, and waits at most 5 s for each read from a client."""

    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def serve(**_: Any) -> None:
    """Serve metrics from the worker's master; if the port is taken, the worker runs without."""
    host, port = conf.settings.worker_metrics_host, conf.settings.worker_metrics_port
    if port == 0:
        return
    try:
        server = make_server(host, port, answer, server_class=_Server, handler_class=_Handler)
    except OSError as error:
        events.worker_metrics_not_served(host=host, port=port, error=str(error))
        return
    _servers.append(server)
    threading.Thread(target=server.serve_forever, name="stage-worker-metrics", daemon=True).start()


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def leave_it_to_the_master(**_: Any) -> None:
    """Close the inherited socket in a pool child; otherwise the port would outlive the master."""
    while _servers:
        _servers.pop().socket.close()


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve `/metrics` to permitted clients, as a WSGI application."""
    if environ["PATH_INFO"] != "/metrics":
        status, body = "404 Not Found", b"There is only /metrics here.\n"
    elif not network.may_scrape(environ):
        status, body = (
            "401 Unauthorized",
            b"Scrape from one of STAGE_OPS_NETWORKS, or send STAGE_METRICS_TOKEN.\n",
        )
    else:
        archive.remove_dead()
        status, body = "200 OK", archive.text()
    start_response(
        status, [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4), ("Content-Length", str(len(body)))]
    )
    return [body]
