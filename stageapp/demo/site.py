"""The demo's site: web, worker and beat, and the wait until it responds.

They are child processes that end with their parent and never end unnoticed.
"""

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STOP_LIMIT = 15.0  # seconds, before what is left is killed
_TAIL = 15  # lines
_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ChildDied(Exception):
    """A child ended without being asked to; the text has the end of its log."""


@dataclass(frozen=True)
class Child:
    """A running program and its log file."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path


class Children:
    """The programs of a demo; leaving the block stops them all."""

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        self._logs = logs
        self._environment = environment
        self._all: list[Child] = []

    def __enter__(self) -> "Children":
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, command: list[str], pass_fds: Iterable[int] = ()) -> Child:
        """Start a Python module with arguments; its output goes to `<name>.log`."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  our own command
                [sys.executable, "-m", *command],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=tuple(pass_fds),
                start_new_session=True,  # Ctrl-C at the terminal is for us; we tell them
                preexec_fn=ending_with_us(),
            )
        child = Child(name, process, log)
        self._all.append(child)
        return child

    def check(self) -> None:
        """Raise ChildDied if one has ended."""
        for child in self._all:
            if (code := child.process.poll()) is not None:
                ending = f"exit code {code}" if code >= 0 else f"signal {-code}"
                raise ChildDied(
                    f"The {child.name} ended ({ending}). The end of {child.log}:\n{tail(child.log)}"
                )

    def stop(self) -> None:
        """Stop all children and their descendants, and wait until they are gone."""
        for child in reversed(self._all):
            with suppress(ProcessLookupError):
                child.process.terminate()
        deadline = time.monotonic() + STOP_LIMIT
        for child in self._all:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
            with suppress(
                ProcessLookupError
            ):  # the whole group: also what a dead child left behind
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
        self._all.clear()


def ending_with_us() -> Callable[[], None]:
    """Return a preexec function that makes a child get SIGTERM when we die (no-op off Linux)."""
    parent = os.getpid()

    def ask_the_kernel() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # we died before it could ask
                os._exit(1)

    return ask_the_kernel


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])


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
        other = port + 1 if 1024 <= port < 65535 else 8001
        raise PortInUse(
            f"Port {port} cannot be used ({error.strerror}). Choose another one, e.g. --port "
            f"{other}."
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
