"""Real processes of the product, for tests: Python code in an interpreter of its own, spoken to
line by line.
"""

import json
import os
import queue
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection

PROJECT = Path(__file__).resolve().parents[1]

_PYTHONPATH = os.pathsep.join([str(PROJECT), *sys.path])
_PRELUDE = """
import json, os, sys, time
import django
django.setup()
from stageapp.mode import store as modes
from stageapp.traffic import windows as traffic
from stageapp.vocabulary import snapshot as vocabulary
from stageapp.infrastructure.refresher import refresher

def say(**fields):
    print(json.dumps(fields), flush=True)

"""

# Answers every line with the mode in force and how long `current()` took at worst in 200 reads.
ANSWER_THE_MODE = """
modes.current()
for line in sys.stdin:
    slowest = 0.0
    for _ in range(200):
        began = time.perf_counter()
        state = modes.current()
        slowest = max(slowest, time.perf_counter() - began)
    say(mode=state.mode, version=state.version, source=state.source, age=modes.age_seconds(), slowest=slowest)
"""


def database_url() -> str:
    """Return the URL of the test database, for a process of its own."""
    at = connection.settings_dict
    place = (
        f":{at['PORT']}/{at['HOST']}"
        if at["HOST"].startswith("/")
        else f"{at['HOST']}:{at['PORT']}"
    )
    return f"postgres://{at['USER']}:{at['PASSWORD']}@{place}/{at['NAME']}"


class Process:
    """A running piece of code; `ask` writes a line and reads the next JSON line."""

    def __init__(self, code: str, **environment: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env=os.environ | {"STAGE_REFRESHER": "1", "PYTHONPATH": _PYTHONPATH} | environment,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self.stderr: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._errors = threading.Thread(target=self._read_errors, daemon=True)
        self._errors.start()

    def _read(self) -> None:
        for line in self.popen.stdout:
            self._lines.put(line)

    def _read_errors(self) -> None:
        self.stderr.extend(self.popen.stderr)

    def hear(self, seconds: float = 20.0) -> dict[str, Any]:
        try:
            return json.loads(self._lines.get(timeout=seconds))
        except queue.Empty:
            raise AssertionError(
                f"The process said nothing. Its stderr: {''.join(self.stderr)}"
            ) from None

    def ask(self, line: str = "") -> dict[str, Any]:
        self.popen.stdin.write(f"{line}\n")
        self.popen.stdin.flush()
        return self.hear()

    def until(self, holds: Callable[[dict[str, Any]], bool], seconds: float) -> float:
        """Ask until it holds; return the seconds it took."""
        began = time.monotonic()
        while not holds(answer := self.ask()):
            assert time.monotonic() - began < seconds, f"not within {seconds} s: {answer}"
            time.sleep(0.01)
        return time.monotonic() - began

    def end(self, seconds: float = 20.0) -> int:
        """Close its input and wait for its end; return the exit code."""
        self.popen.stdin.close()
        return self.popen.wait(seconds)


@contextmanager
def process(code: str = ANSWER_THE_MODE, **environment: str) -> Iterator[Process]:
    """Run the code beside the test, and kill it if it still runs when the block ends."""
    running = Process(code, **environment)
    try:
        yield running
    finally:
        running.popen.kill()
        running.popen.wait()
        running._reader.join(5)
        running._errors.join(5)
        for pipe in (running.popen.stdin, running.popen.stdout, running.popen.stderr):
            pipe.close()
