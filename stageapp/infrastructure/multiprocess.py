"""The folder for sharing a service's counts between processes (multiprocess prometheus_client).

Each service has one, created by its master and removed with it. The first import of
prometheus_client decides whether values are shared, so `begin` must come first, and this module
does not import it.
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
    """Create a service's folder in TMPDIR, in its master and before its children start.

    Leftovers of a killed master are removed first. An inherited folder belongs to another master
    and is not used.
    """
    base = Path(tempfile.gettempdir())
    for abandoned in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = abandoned.lstat()
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > _YOUNG_SECONDS:
                descriptor = _locked(abandoned)
                shutil.rmtree(abandoned)
                os.close(descriptor)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{service}-", dir=base))
    _held.append(_locked(folder))
    os.environ[VARIABLE] = str(folder)
    atexit.register(_remove, folder, os.getpid())
    return folder


def current() -> Path | None:
    """Return the folder of this process's service, None if nothing is shared."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder and Path(folder).is_dir() else None


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Block moves of dead processes' files while reading; they would be missed or counted twice."""
    with _guarded(folder, fcntl.LOCK_SH):
        yield


@contextmanager
def moving(folder: Path) -> Iterator[None]:
    """Block readers while counts are moved from file to file."""
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
    """Return a descriptor that locks the folder; raises BlockingIOError if it is already locked."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child inherits the exit handlers of its master
        shutil.rmtree(folder, ignore_errors=True)
