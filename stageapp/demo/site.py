"""The demo's site: web, worker and beat as child processes, and the wait until it responds."""

import http.client
import os
import socket
import time
from pathlib import Path

from stageapp.demo.children import Children

HOST = "127.0.0.1"
START_LIMIT = 90.0  # seconds
_CELERY = ["celery", "-A", "config.celery", "--quiet"]


class PortInUse(Exception):
    """The port is already in use."""


class NoAnswer(Exception):
    """The site does not respond in time."""


def listen(port: int) -> socket.socket:
    """Return a listening loopback socket for the web server; port 0 takes a free port.

    Raises:
        PortInUse: the port is taken, or we may not use it.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise PortInUse(
            f"Port {port} cannot be used ({error.strerror}). Choose another one, e.g. --port "
            f"{_other(port)}."
        ) from None
    return listener


def start(children: Children, listener: socket.socket, scratch: Path) -> int:
    """Start web, worker and beat, pass on the socket, wait for the site, and return its port.

    Raises:
        ChildDied: one of them ended at once.
        NoAnswer: the site does not respond in time.
    """
    port: int = listener.getsockname()[1]
    with listener:
        bind = f"fd://{listener.fileno()}"
        command = ["gunicorn", "-c", "python:config.gunicorn", "--bind", bind, "config.wsgi"]
        children.start("web", command, [listener.fileno()])
    children.start("worker", [*_CELERY, "worker", "--concurrency", "1", "--loglevel", "INFO"])
    children.start(
        "beat",
        [
            *_CELERY,
            "beat",
            "--loglevel",
            "INFO",
            "--schedule",
            str(scratch / "beat-schedule"),
            "--pidfile=",
        ],
    )
    deadline = time.monotonic() + START_LIMIT
    while not _answers(port):
        children.check()
        if time.monotonic() > deadline:
            raise NoAnswer(f"The site does not answer within {START_LIMIT:.0f} s on port {port}.")
        time.sleep(0.1)
    children.check()
    return port


def environment() -> dict[str, str]:
    """Return the child processes' environment: ours, with servers logging what they do."""
    return {**os.environ, "LOG_LEVEL": "INFO"}


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _other(port: int) -> int:
    return port + 1 if 1024 <= port < 65535 else 8001
