"""Child processes that end with their parent and never end unnoticed."""

import ctypes
import os
import signal
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
                raise ChildDied(
                    f"The {child.name} ended ({_ending(code)}). The end of "
                    f"{child.log}:\n{tail(child.log)}"
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


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
