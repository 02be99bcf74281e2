"""The counts of all processes of a service, including ended ones.

A counter never decreases, so the counts of a dead process are kept. They are added to one archive,
as the number of files would otherwise grow without bound: a web process ends after a bounded
number of requests.
"""

import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from stageapp.infrastructure import events, multiprocess

_KINDS = ("counter", "histogram")


def text() -> bytes:
    """Return the counts of all processes of this service in Prometheus' text format."""
    registry, folder = CollectorRegistry(), multiprocess.current()
    if folder is None:
        return generate_latest(REGISTRY)
    MultiProcessCollector(registry, str(folder))
    with multiprocess.reading(folder):
        return generate_latest(registry)


def remove(pid: int) -> None:
    """Take a process that has ended out of the live gauges, and add its counts to the archive."""
    folder = multiprocess.current()
    if folder is None:
        return
    with multiprocess.moving(folder):
        mark_process_dead(pid, str(folder))
        for kind in _KINDS:
            _archive(folder / f"{kind}_{pid}.db", folder / f"{kind}_archive.db")


def remove_dead() -> None:
    """Remove every process that left a file and has ended; for a master that misses some ends."""
    folder = multiprocess.current()
    ends = {file.stem.rpartition("_")[2] for file in folder.glob("*.db")} if folder else set()
    for pid in {int(end) for end in ends if end.isdecimal()} - {0}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            remove(pid)
        except PermissionError:  # it is alive, and another user's
            continue


def _archive(source: Path, archive: Path) -> None:
    if not source.is_file():
        return
    total = MmapedDict(str(archive))
    try:
        for key, value, *_ in list(MmapedDict.read_all_values_from_file(str(source))):
            total.write_value(key, total.read_value(key)[0] + value, 0.0)
    except (ValueError, RuntimeError, OSError) as error:  # it was killed while it wrote
        events.metrics_lost(file=source.name, error=repr(error))
    finally:
        total.close()
    with suppress(FileNotFoundError):
        source.unlink()
