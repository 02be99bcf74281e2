"""Gunicorn's settings: `gunicorn -c python:config.gunicorn config.wsgi`.

Threads, as with one request per process two slow callers would block everybody.
"""

from typing import Any

worker_class = "gthread"
workers = 2
threads = 8
timeout = 30
graceful_timeout = 10
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Let a new worker know the mode before its first request: until a store answers it knows only the default."""
    from stageapp import modes  # noqa: PLC0415  gunicorn reads this file before Django is loaded

    modes.await_first_answer()
