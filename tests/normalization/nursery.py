"""Fork workers of a run from a process that has loaded everything: one that is killed is replaced
in no time.

Reads the run's number, one a line, from stdin; answers with the new worker's process number.
"""

import os
import signal
import sys
import time

import django

django.setup()

from stageapp.models import Run  # noqa: E402
from stageapp.models.normalization import ACTIVE  # noqa: E402
from stageapp.normalization import worker  # noqa: E402
from stageapp.targets.errors import RunBusy  # noqa: E402

BETWEEN_TRIES = 0.01  # seconds


def work(number: int) -> None:
    """Take part in the run for as long as it is being worked on."""
    while (run := Run.objects.get(pk=number)).state in ACTIVE:
        try:
            worker.advance(run)
        except RunBusy:
            time.sleep(BETWEEN_TRIES)


def answer() -> None:
    """Fork a worker for each line; whoever ends is not waited for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(int(line))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    answer()
