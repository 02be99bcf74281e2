"""Worker processes of the product, on the copy that is measured, and a writer beside them."""

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.speed_table import TABLE, Server
from tests.processes import Process, process

PATIENCE = 3600.0  # seconds for one order
_CODE = "from tests.benchmarks import speed_process; speed_process.serve(say)"
_ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "REDIS_URL": "unix:///nonexistent",
    "STAGE_REQUIRE_BACKUP": "false",
    "STAGE_REFRESHER": "0",
    "STAGE_EMBEDDED": "1",
}


@contextlib.contextmanager
def at_work(server: Server, workers: int = 1) -> Iterator[list[Process]]:
    """Start so many processes, as Celery's workers stand ready before a run begins."""
    with contextlib.ExitStack() as stack:
        environment = _ENVIRONMENT | {"DATABASE_URL": server.url}
        crew = [stack.enter_context(process(_CODE, **environment)) for _ in range(workers)]
        for one in crew:
            one.hear(60)
        yield crew


def order(*crew: Process, do: str, **arguments: Any) -> list[dict[str, Any]]:
    """Give each process the same order, and return their answers when all are done."""
    for one in crew:
        one.popen.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        one.popen.stdin.flush()
    return [one.hear(PATIENCE) for one in crew]


@dataclass
class Went:
    """One direction of a run: seconds of writing, and of all with the verification; what its
    batches took at most.
    """

    seconds: float
    whole_seconds: float
    longest_batch: float
    batch_rows: float
    peak: int


def forward(crew: Sequence[Process], *, pause: float | None = 0.0) -> Went:
    """Run the plan, a shard for each process, from the start's first statement to the last look
    for rows left.
    """
    [began] = order(crew[0], do="start", shards=len(crew), pause=pause)
    return _finish(crew, began["began"], "forward", "verifying", "done")


def backward(crew: Sequence[Process]) -> Went:
    """Roll it back."""
    [began] = order(crew[0], do="undo")
    return _finish(crew, began["began"], "rollback", "rolled_back", "rolled_back")


def _finish(crew: Sequence[Process], began: float, direction: str, written: str, over: str) -> Went:
    answers = order(*crew, do="advance")
    [end] = order(crew[0], do="ended")
    if end["state"] != over:
        raise RuntimeError(f"The run is {end['state']}, not {over}: {end['error']}")
    return Went(
        end["at"][written] - began,
        end["at"][over] - began,
        end["longest"][direction],
        end["batch_rows"][direction],
        max(answer["peak"] for answer in answers),
    )


class Writer:
    """Somebody who changes single rows at random, each in a transaction of its own, with a short
    rest between two.
    """

    def __init__(self, server: Server, rows: int, *, rest: float = 0.002) -> None:
        self.ms: list[float] = []
        self._server, self._rows, self._rest = server, rows, rest
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        chance = random.Random(os.getpid())
        with self._server.connect() as connection:
            while not self._over.wait(self._rest):
                began = time.perf_counter()
                connection.execute(
                    f"UPDATE {TABLE} SET name = name || '!' WHERE id = %s",
                    [chance.randint(1, self._rows)],
                )
                self.ms.append((time.perf_counter() - began) * 1000)

    def percentile(self, percent: float) -> float:
        """Return this percentile of the ms that a write took."""
        ordered = sorted(self.ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
