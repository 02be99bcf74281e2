"""The lifecycle of one server process: start, identify, stop."""

import os
import pwd
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from stageapp.embedded.location import EmbeddedError, Location, own_folder

START_LIMIT = 60.0  # seconds
STOP_LIMIT = 30.0  # seconds, before what is left is killed
LOG_LIMIT = 10_000_000  # bytes; a longer log begins anew at the next start
# The caller's own settings (PGPORT, LD_LIBRARY_PATH, a locale, …) must not reach a server.
CLEAN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


class Server(ABC):
    """A server run in the folder `data`, which is the working directory of all its processes."""

    name: str
    program: str
    pid_file: str
    stop_signal: signal.Signals
    data: Path
    socket: Path

    def __init__(self, location: Location) -> None:
        self.location = location

    @property
    def account(self) -> pwd.struct_passwd | None:
        """The user to run as, None for ourselves."""
        return None

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.location.root / "log" / f"{self.name}.log"

    @abstractmethod
    def answers(self) -> bool:
        """Whether this very server currently answers on its socket."""

    @abstractmethod
    def prepare(self) -> None:
        """Create the data folder if it does not exist."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""

    def set_damage_aside(self) -> bool:
        """Move damaged data away if the server can do without it; return whether it did."""
        return False

    def ensure(self) -> bool:
        """Ensure that the server answers; return True if started, False if already running.

        Raises:
            EmbeddedError: it ends at once, or does not answer within START_LIMIT.
        """
        if self.answers():
            return False
        main = self.main_pid()
        # Started by someone else and still recovering; without its socket nobody can ever reach it.
        if main is not None and self.socket.exists() and self._await(main):
            return False
        self.end()
        self.log.parent.mkdir(exist_ok=True)
        own_folder(self.location.sockets, 0o711)
        own_folder(self.socket.parent, owner=self.account.pw_uid if self.account else None)
        for (
            leftover
        ) in self.socket.parent.iterdir():  # a stale lock file names a pid that may live again
            leftover.unlink()
        self.prepare()
        if self._start() or (self.set_damage_aside() and self._start()):
            return True
        raise EmbeddedError(f"{self.name} ended while it started. {self._log_tail()}")

    def end(self) -> bool:
        """Stop the server and any orphaned processes; return False if there were none."""
        running = self._processes()
        main = self.main_pid()
        if main is not None:
            with suppress(ProcessLookupError):
                os.kill(main, self.stop_signal)
            wait_for_end(running, STOP_LIMIT)
        kill(self._processes(), STOP_LIMIT)
        return bool(running)

    def main_pid(self) -> int | None:
        """Return the server's pid, None if it is not running; a pid alone proves nothing."""
        try:
            noted = int((self.data / self.pid_file).read_text().split()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return None
        return noted if noted in {process.pid for process in self._processes()} else None

    def run(self, command: list[str], **options: Any) -> None:
        """Run one of the server's programs to its end, as the server's user.

        Raises:
            EmbeddedError: the program failed; the text has its output.
        """
        done = subprocess.run(  # noqa: S603
            command,
            **self._process_options(),
            **options,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EmbeddedError(
                f"{Path(command[0]).name} failed ({done.returncode}): {done.stdout.strip()[-2000:]}"
            )

    def _processes(self) -> list[psutil.Process]:
        return working_in(self.data, [self.program])

    def _start(self) -> bool:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            os.truncate(self.log, 0)
        with self.log.open("ab") as log:
            # The shell leaves at once, so that the server is never a child (nor a zombie) of ours.
            shell = subprocess.run(  # noqa: S603
                ["/bin/sh", "-c", 'exec "$@" >&2 & echo $!', "sh", *self.command()],
                cwd=self.data,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                check=True,
                **self._process_options(),
            )
        return self._await(int(shell.stdout))

    def _await(self, pid: int) -> bool:
        """Wait until the server answers; return False if the process ends first."""
        deadline = time.monotonic() + START_LIMIT
        while not self.answers():
            if not alive(pid):
                return False
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"{self.name} (pid {pid}) has not answered within {START_LIMIT:.0f} s; "
                    f"`manage.py services stop` ends it. {self._log_tail()}"
                )
            time.sleep(0.02)
        return True

    def _process_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"env": CLEAN_ENVIRONMENT, "umask": 0o077}
        if self.account is not None:
            options |= {
                "user": self.account.pw_uid,
                "group": self.account.pw_gid,
                "extra_groups": [],
            }
        return options

    def _log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([f"The end of {self.log}:", *lines])


# Processes are recognized by working directory: a pid alone may have been reused.


def working_in(folder: Path, programs: Iterable[str]) -> list[psutil.Process]:
    """Return the processes of these programs whose working directory is the folder."""
    processes = []
    for process in psutil.process_iter():
        try:
            if process.name() in programs and Path(process.cwd()) == folder:
                processes.append(process)
        except psutil.Error:  # gone meanwhile, a zombie, or another user's
            continue
    return processes


def alive(pid: int) -> bool:
    """Whether a process is running; a zombie is not, and some containers never reap theirs."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_for_end(processes: list[psutil.Process], seconds: float) -> None:
    """Wait until all processes have ended, or the time is up."""
    deadline = time.monotonic() + seconds
    while any(alive(process.pid) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.01)


def kill(processes: list[psutil.Process], seconds: float) -> None:
    """Kill the processes and wait until they are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    wait_for_end(processes, seconds)
