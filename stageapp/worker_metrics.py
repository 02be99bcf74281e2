"""A worker's own /metrics: its master tells what all its children have counted, at STAGE_WORKER_METRICS_PORT.

The master finds out at a scrape which children are no more, as it is not told of one that was killed.
"""

import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from celery import signals
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from stageapp import conf, events, metrics_archive, ops_access

_servers: list[WSGIServer] = []


class _Server(ThreadingMixIn, WSGIServer):
    """One thread per scrape, so that a slow client holds none but its own."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    """Says nothing, and waits for a client no longer than 5 s a read."""

    timeout = 5

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def serve(**_: Any) -> None:
    """Begin to tell, as a worker's master; with the port taken the worker works without."""
    host, port = conf.worker_metrics()
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
    """Close the inherited socket in a pool's child, or the port would outlive the master."""
    while _servers:
        _servers.pop().socket.close()


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request, as a WSGI application."""
    if environ["PATH_INFO"] != "/metrics":
        status, body = "404 Not Found", b"There is only /metrics here.\n"
    elif not ops_access.may_scrape(environ):
        status, body = "401 Unauthorized", b"Scrape from one of STAGE_OPS_NETWORKS, or send STAGE_METRICS_TOKEN.\n"
    else:
        metrics_archive.bury_the_dead()
        status, body = "200 OK", metrics_archive.text()
    start_response(status, [("Content-Type", CONTENT_TYPE_PLAIN_0_0_4), ("Content-Length", str(len(body)))])
    return [body]
