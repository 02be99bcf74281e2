"""Gunicorn's settings: `gunicorn -c python:config.gunicorn config.wsgi`.

It uses threads: with one request per process, two slow callers would block everyone.
"""

import os
from typing import Any

from stageapp.infrastructure import multiprocess

worker_class = "config.deadlines.DeadlineWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = 8
timeout = 30  # of a process that does not answer its master
graceful_timeout = 20
keepalive = 5
max_requests = 20_000  # a new process now and then, so that no leak grows for ever
max_requests_jitter = 2_000
limit_request_line = 8190
limit_request_fields = 60
limit_request_field_size = 8190
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Wait for the mode before a worker's first request; until then it knows only the default."""
    from stageapp.mode import processes  # noqa: PLC0415  gunicorn reads this file before Django is loaded

    processes.serve_as("web")


def nworkers_changed(server: Any, workers: int, before: int | None) -> None:
    """Create the metrics folder; the only hook that runs before the master may load the app."""
    if before is None:
        multiprocess.begin("web")


def child_exit(server: Any, worker: Any) -> None:
    """Archive an ended worker's counts and drop it from the live gauges."""
    from stageapp.infrastructure import archive  # noqa: PLC0415  it decides whether counts are shared

    archive.remove(worker.pid)
