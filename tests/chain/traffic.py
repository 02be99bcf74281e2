"""Callers at a steady rate who send canonical stages, until they are told to send what is no
stage.
"""

import http.client
import itertools
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from tests.faults import load

_HEADERS = {"Authorization": f"Token {load.TOKEN}", "Content-Type": "application/json"}
_GOOD = json.dumps({"stage_distribution": {"seed": 90, "series_a": 10}})
_BAD = json.dumps({"stage_distribution": {"seed": 90, "space rock": 10}})


@dataclass(frozen=True)
class Answered:
    """One request: when it was sent (seconds since the epoch), whether it was bad, and the
    status it got.
    """

    at: float
    bad: bool
    status: int


class Traffic:
    """`rate` requests a second, started at fixed times whatever the answers take, until the
    block ends.
    """

    def __init__(self, port: int, *, rate: float = 20.0, threads: int = 8) -> None:
        self.answers: list[Answered] = []
        self.errors: list[Exception] = []
        self.bad = False
        self._port, self._rate, self._began = port, rate, time.monotonic()
        self._numbers, self._stop = itertools.count(), threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            due = self._began + next(self._numbers) / self._rate
            if not self._stop.wait(max(0.0, due - time.monotonic())):
                self._ask(self.bad)

    def _ask(self, bad: bool) -> None:
        at, caller = time.time(), http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            caller.request("POST", "/api/allocations", _BAD if bad else _GOOD, _HEADERS)
            response = caller.getresponse()
            response.read()
            self.answers.append(Answered(at, bad, response.status))
        except (OSError, http.client.HTTPException) as error:
            self.errors.append(error)
        finally:
            with suppress(OSError):
                caller.close()

    def first_bad(self) -> float:
        """Return when the first bad request was sent."""
        return min(answer.at for answer in list(self.answers) if answer.bad)

    def last_refused(self) -> float:
        """Return when the last request that was refused was sent."""
        return max(answer.at for answer in list(self.answers) if answer.status == 400)
