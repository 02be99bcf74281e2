"""`manage.py` and what else runs as a process of its own, on the test's database."""

import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from stageapp.models import Run
from stageapp.normalization import leases
from tests.normalization.evidence import database_url

ROOT = Path(__file__).resolve().parents[2]
MANAGE = [sys.executable, "-W", "ignore", "manage.py"]


def begin(*command, stdin=subprocess.DEVNULL, log=None, **environment):
    """Start a program in a process group of its own; what it prints can be read at its end, in a
    `log` at any time.
    """
    known = {
        "DATABASE_URL": database_url(),
        "STAGE_EMBEDDED": "1",
        "STAGE_BATCH_PAUSE_SECONDS": "0",
    }
    with log.open("w") if log else nullcontext(subprocess.PIPE) as stderr:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | known | environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )


def manage(*arguments, **environment):
    """Run a command of the project to its end; return its exit code, stdout and stderr."""
    process = begin(*MANAGE, *arguments, **environment)
    out, err = process.communicate(timeout=900)
    return process.returncode, out, err


def wait_for(condition, seconds=30.0, what="it"):
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.005)


def wait_until_free(run):
    """Wait until PostgreSQL has noticed that the worker is dead."""
    wait_for(lambda: not leases.is_held(run), what="the end of the dead worker's session")


def state_of(run):
    """Return the run's state as the database has it."""
    return Run.objects.values_list("state", flat=True).get(pk=run.pk)
