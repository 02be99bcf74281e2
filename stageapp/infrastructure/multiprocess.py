"""The folder through which the processes of one service add up their counts (prometheus_client's
multi-process mode).

Each service has one, made by its master and removed with it. Whether values are shared is decided
when prometheus_client is imported first, so `begin` comes before that, and this file imports
nothing of it.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "stage-metrics-"
_YOUNG_SECONDS = 60.0  # its master may not have locked it yet
# descriptors; children share them, so the folder is in use until the last of them is gone
_held: list[int] = []


def begin(service: str) -> Path:
    """Make the folder of a service, as its master and before its children; TMPDIR decides where.

    What a killed master has left there is removed first. An inherited folder is another master's:
    it is not used.
    """
    base = Path(tempfile.gettempdir())
    _remove_abandoned(base)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{service}-", dir=base))
    _held.append(_locked(folder))
    os.environ[VARIABLE] = str(folder)
    atexit.register(_remove, folder, os.getpid())
    return folder


def current() -> Path | None:
    """Return the folder of this process's service, None where nothing is shared."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder and Path(folder).is_dir() else None


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Hold off that a file of a dead process is moved while the block reads: it would be missed
    or counted twice.
    """
    with _guarded(folder, fcntl.LOCK_SH):
        yield


@contextmanager
def moving(folder: Path) -> Iterator[None]:
    """Hold off readers while the block moves counts from file to file."""
    with _guarded(folder, fcntl.LOCK_EX):
        yield


@contextmanager
def _guarded(folder: Path, how: int) -> Iterator[None]:
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, how)
        try:
            yield
        # closing it does not: a child forked meanwhile shares the lock, and would hold it for life
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def _locked(folder: Path) -> int:
    """Return a descriptor that holds the folder's lock; raises BlockingIOError where another
    process has it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_abandoned(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = folder.lstat()
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > _YOUNG_SECONDS:
                descriptor = _locked(folder)
                shutil.rmtree(folder)
                os.close(descriptor)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child inherits the exit handlers of its master
        shutil.rmtree(folder, ignore_errors=True)
