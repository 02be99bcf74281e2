"""Find and end processes by working directory: a pid alone may have been reused."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil


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
