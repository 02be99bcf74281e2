"""Real servers under test: gunicorns and Celery workers on a PostgreSQL and a Redis of their
own.
"""

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from tests.faults import load
from tests.processes import PROJECT, Process
from tests.servers import Servers

# Answers each line: a mode is set and its version told; "seen" tells the registry; "task NAME"
# sends one.
CONTROL = f"""
from celery import current_app
from config import celery
from stageapp.mode import processes
from stageapp.models import Consumer
from stageapp.rollout.changes import downgrade
Consumer.objects.get_or_create(
    name="fault-tests", token_sha256=Consumer.digest("{load.TOKEN}"), scopes=["read", "write"])
say(ready=True)
for line in sys.stdin:
    word = line.strip()
    if word == "seen":
        say(seen=[one.document() for one in processes.seen() if one.live])
    elif word.startswith("task "):
        current_app.send_task(word.split()[1])
        say(done=True)
    elif word == "forget":
        processes.ServerProcess.objects.all().delete()
        say(done=True)
    else:
        began = time.monotonic()
        row = (downgrade(actor="alert", reason="a test") if word == "downgrade"
               else modes.change(mode=word, actor="test", reason="a test"))
        say(version=row.version, at=time.monotonic(), took=time.monotonic() - began)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


class Fleet:
    """Programs that are started together and ended together; their messages go to files in
    `folder`.
    """

    _sessions: ClassVar[set[int]] = set()  # of every program that any fleet has started

    def __init__(self, servers: Servers, folder: Path, **environment: str) -> None:
        self.servers, self._folder = servers, folder
        self._environment = (
            os.environ
            | servers.environment
            | {
                "DEBUG": "0",
                "SECRET_KEY": "k" * 50,
                "SECURE_SSL_REDIRECT": "0",
                "ALLOWED_HOSTS": "127.0.0.1",
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "STAGE_REFRESHER": "1",
                "STAGE_THROTTLE_PER_MINUTE": "0",
            }
            | environment
        )
        self._number = 0
        self._programs: list[subprocess.Popen[bytes]] = []
        self._control = Process(CONTROL, **servers.environment | {"STAGE_REFRESHER": "0"})
        self._control.hear(30)
        self._control.ask("forget")

    def web(
        self, workers: int = 2, *options: str, config: str = "python:config.gunicorn", port: int = 0
    ) -> int:
        """Start a gunicorn; return its port once it answers."""
        port = port or free_port()
        bind = ["-w", str(workers), "-b", f"127.0.0.1:{port}", "--no-control-socket"]
        self._start("gunicorn", *(["-c", config] if config else []), *bind, *options, "config.wsgi")
        until(lambda: self._answers(port), 30)
        return port

    def worker(self, children: int = 2) -> None:
        """Start a Celery worker with a pool of children."""
        name = f"w{len(self._programs)}@localhost"
        self._start(
            "celery", "-A", "config.celery", "--quiet", "worker", "-c", str(children), "-n", name
        )

    def _start(self, *command: str) -> None:
        with (self._folder / f"{len(self._programs)}.log").open("wb") as log:
            program = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=PROJECT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._programs.append(program)
        Fleet._sessions.add(program.pid)

    def _answers(self, port: int) -> bool:
        assert all(program.poll() is None for program in self._programs), self.log()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    def set(self, mode: str) -> dict[str, Any]:
        """Set the mode, as the command line does; return its version and when it was done."""
        return self._control.ask(mode)

    def seen(self) -> list[dict[str, Any]]:
        """Return the live processes of the registry, without those of another fleet."""
        live = self._control.ask("seen")["seen"]
        return [one for one in live if _session(one["pid"]) not in self._elsewhere()]

    def _elsewhere(self) -> frozenset[int]:
        return frozenset(Fleet._sessions - {program.pid for program in self._programs})

    def registered(self, number: int, seconds: float = 30) -> None:
        """Wait until so many processes are in the registry; from then on that many have to
        agree.
        """
        self._number = number
        until(lambda: len(self.seen()) == number, seconds, lambda: f"{self.seen()}\n{self.log()}")

    def agreed(self, made: dict[str, Any], seconds: float = 30) -> float:
        """Wait until every process follows the version; return the seconds since it was set."""
        until(lambda: self._following(made["version"]) >= self._number, seconds, self.seen)
        return time.monotonic() - made["at"]

    def _following(self, version: int) -> int:
        return sum(one["version"] >= version for one in self.seen())

    def log(self) -> str:
        """Return what all programs have written."""
        return "".join(
            path.read_text(errors="replace") for path in sorted(self._folder.glob("*.log"))
        )

    def end(self) -> None:
        for program in self._programs:
            program.terminate()
        for program in self._programs:
            with suppress(subprocess.TimeoutExpired):
                program.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(program.pid, 9)
            program.wait()
        self._control.popen.kill()
        self._control.popen.wait()
        for pipe in (
            self._control.popen.stdin,
            self._control.popen.stdout,
            self._control.popen.stderr,
        ):
            pipe.close()


def until(holds: Any, seconds: float, said: Any = lambda: "") -> float:
    """Wait until it holds; return the seconds it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {said()}"
        time.sleep(0.02)
    return time.monotonic() - began
