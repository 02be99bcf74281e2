"""Progress bars for long work on stderr, with rate and time left where they can be known.

Nothing is shown for work that ends within two seconds. On a terminal the line is redrawn twice a
second, in a log every 10 s.
"""

import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

SILENT_SECONDS = 2.0
_CLOCK = "{desc}: {elapsed}"


def _every() -> float:
    """Seconds between two drawings of a bar."""
    return 0.5 if sys.stderr.isatty() else 10.0


def bar(
    total: int | None, unit: str, *, quiet: bool = False, scaled: bool = True, **options: Any
) -> "tqdm[Any]":
    """Return a bar of so many units, about `total` if that is known."""
    return tqdm(
        total=total,
        unit=unit,
        unit_scale=scaled,
        disable=quiet,
        file=sys.stderr,
        mininterval=_every(),
        **options,
    )


@contextmanager
def reading(descriptor: int, *, quiet: bool = False) -> Iterator[None]:
    """Show how much of an open file the block has read; for a pipe, only the elapsed time."""
    status = os.fstat(descriptor)
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    if size is None:
        with working("reading", quiet=quiet):
            yield
        return
    bar = tqdm(
        desc="reading",
        total=size,
        unit="B",
        unit_scale=True,
        disable=quiet,
        file=sys.stderr,
        mininterval=0,
        delay=SILENT_SECONDS,
    )
    with bar, _renewing(lambda: bar.update(os.lseek(descriptor, 0, os.SEEK_CUR) - bar.n)):
        yield


@contextmanager
def working(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Show the work and its elapsed time, e.g. for an SQL statement, which reports no progress."""
    bar = tqdm(
        desc=what,
        bar_format=_CLOCK,
        disable=quiet,
        file=sys.stderr,
        mininterval=0,
        delay=SILENT_SECONDS,
    )
    with bar, _renewing(lambda: bar.update(1)):
        yield


@contextmanager
def counting(
    what: str, whole: int, unit: str, *, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show count, rate and time left of about `whole`; yield a function for the count so far."""
    shown = bar(whole, unit, quiet=quiet, desc=what, delay=SILENT_SECONDS)

    def reached(done: int) -> None:
        shown.total = max(shown.total or 0, done)
        shown.update(done - shown.n)

    with shown:
        yield reached


@contextmanager
def _renewing(show: Callable[[], object]) -> Iterator[None]:
    """Call `show` periodically while the block runs, and once at its end."""
    ended = threading.Event()
    every = _every()

    def renew() -> None:
        while not ended.wait(every):
            show()

    thread = threading.Thread(target=renew, name="stage-bar", daemon=True)
    thread.start()
    try:
        yield
        show()
    finally:
        ended.set()
        thread.join()
