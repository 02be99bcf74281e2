"""Requests at a steady rate, from many threads, with the latency and the mode of each answer."""

import http.client
import itertools
import json
import threading
import time
from dataclasses import dataclass

import numpy

TOKEN = "fault-tests-token"
_BODY = json.dumps(
    {"stage_distribution": {"seed": 90, "space rock": 10}}
)  # the second one is unknown
_HEADERS = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """One answer: its status, the mode it was given in, and how long it took, in seconds."""

    status: int
    mode: str
    seconds: float
    at: float


def ask(port: int) -> Answer:
    """Send one request that holds an unknown stage; the answer tells the mode."""
    began = time.monotonic()
    caller = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        caller.request("POST", "/api/allocations", _BODY, _HEADERS)
        response = caller.getresponse()
        response.read()
    finally:
        caller.close()
    # Only enforce refuses an unknown; warn says so in a header; off adds nothing.
    mode = {400: "enforce", 200: response.getheader("X-Stage-Mode", "off")}.get(
        response.status, "?"
    )
    return Answer(response.status, mode, time.monotonic() - began, began)


class Load:
    """`rate` requests a second for `seconds`, started at fixed times whatever the answers take
    (open loop).
    """

    def __init__(self, port: int, *, rate: float, seconds: float, threads: int = 16) -> None:
        self.answers: list[Answer] = []
        self.errors: list[Exception] = []
        self._port, self._rate, self._began = port, rate, time.monotonic()
        self._numbers, self._count = itertools.count(), int(rate * seconds)
        self._threads = [threading.Thread(target=self._work) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (number := next(self._numbers)) < self._count:
            time.sleep(max(0.0, self._began + number / self._rate - time.monotonic()))
            try:
                self.answers.append(ask(self._port))
            except Exception as error:
                self.errors.append(error)

    def wait(self) -> "Load":
        for thread in self._threads:
            thread.join()
        return self

    @property
    def modes(self) -> set[str]:
        return {answer.mode for answer in self.answers}

    def milliseconds(self, percent: float) -> float:
        """Return a percentile of the latency; 100 is the maximum."""
        return float(numpy.percentile([answer.seconds for answer in self.answers], percent) * 1000)

    def __str__(self) -> str:
        figures = "/".join(f"{self.milliseconds(percent):.1f}" for percent in (50, 99, 100))
        return f"{len(self.answers)} answers, p50/p99/max {figures} ms"
