"""The process registry: each serving process reports which version of the mode it follows.

A process is named at its start (`serve_as`); short commands have no name and do not register.
"""

import atexit
import datetime
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from stageapp import conf
from stageapp.infrastructure import metrics
from stageapp.infrastructure.refresher import refresher
from stageapp.mode import store
from stageapp.models.mode import ServerProcess

_LEAST_LIVE_SECONDS = 15.0
KEPT_SECONDS = 120.0  # so long a stale process is shown
_SHOWN = ["name", "host", "pid", "mode", "percent", "epoch", "version", "source"]
_TOLD = ["mode", "percent", "epoch", "version", "source", "age", "heartbeat_at"]


def live_seconds() -> float:
    """Return how long a live process may be silent: three rounds and the time to write."""
    return max(_LEAST_LIVE_SECONDS, 3 * conf.settings.refresh_seconds + 3)


class _Me:
    """This process; a forked child starts as a new one, without a name."""

    def __init__(self) -> None:
        self.id = uuid.uuid4()
        self.lock = threading.Lock()
        self.name = ""
        self.ready = self.leaving = False


_me = _Me()


def forget() -> None:
    """Reset to a new process identity in a forked child."""
    global _me
    _me = _Me()


os.register_at_fork(after_in_child=forget)


def serve_as(name: str) -> None:
    """Name this process and wait (once, at most 2 s) for the mode; for a server's start."""
    if _me.ready:
        return
    with _me.lock:
        if not _me.ready:
            _me.name = name
            store.await_first_answer()
            _me.ready = True
            tell_metrics()


def is_ready() -> bool:
    """Whether this process has been named and its wait for the mode is over."""
    return _me.ready


@refresher.register
def heartbeat() -> None:
    """Write this process's row, or remove it at exit; delete the rows of long-gone processes.

    Raises:
        django.db.Error: PostgreSQL does not answer.
    """
    if not _me.name:
        return
    if _me.leaving:
        ServerProcess.objects.filter(pk=_me.id).delete()
        return
    state = store.current()
    ServerProcess.objects.bulk_create(
        [
            ServerProcess(
                id=_me.id,
                name=_me.name,
                host=socket.gethostname(),
                pid=os.getpid(),
                started_at=Now(),
                mode=state.mode,
                percent=state.percent,
                epoch=state.epoch,
                version=state.version,
                source=state.source,
                age=store.age_seconds(),
                heartbeat_at=Now(),
            )
        ],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=_TOLD,
    )
    ServerProcess.objects.filter(
        heartbeat_at__lt=Now() - datetime.timedelta(seconds=KEPT_SECONDS)
    ).delete()


@refresher.register_fallback
def tell_metrics() -> None:
    """Report the mode in force to the metrics after every round, even without PostgreSQL."""
    if not _me.name:
        return
    state, age = store.current(), store.age_seconds()
    confirmed_at = 0.0 if age is None else time.time() - age
    metrics.mode_followed(
        process=_me.name, mode=state.mode, version=state.version, confirmed_at=confirmed_at
    )


def leave() -> None:
    """Remove this process from the registry and end its refresher."""
    _me.leaving = True
    refresher.stop()


atexit.register(leave)  # runs before the refresher's own, which was registered earlier


@dataclass(frozen=True)
class Seen:
    """A process at its last heartbeat; `silent_for` and `age` are seconds up to now."""

    name: str
    host: str
    pid: int
    mode: str
    percent: int
    epoch: int
    version: int
    source: str
    age: float | None
    silent_for: float

    @property
    def live(self) -> bool:
        """Whether its heartbeat is recent."""
        return self.silent_for <= live_seconds()

    def document(self) -> dict[str, Any]:
        age = None if self.age is None else round(self.age, 3)
        return {
            **asdict(self),
            "age": age,
            "silent_for": round(self.silent_for, 3),
            "live": self.live,
        }

    def __str__(self) -> str:
        return f"{self.name} {self.host}:{self.pid} (version {self.epoch}.{self.version})"


def seen() -> list[Seen]:
    """Return every registered process, including stale ones."""
    silence = ExpressionWrapper(Now() - F("heartbeat_at"), output_field=DurationField())
    processes = []
    for row in ServerProcess.objects.annotate(silence=silence):
        silent_for = max(0.0, row.silence.total_seconds())
        known = {name: getattr(row, name) for name in _SHOWN}
        age = None if row.age is None else row.age + silent_for
        processes.append(Seen(**known, age=age, silent_for=silent_for))
    return processes


@dataclass(frozen=True)
class Agreement:
    """The processes that follow a version or a newer one, live ones that do not, and stale ones."""

    following: tuple[Seen, ...]
    behind: tuple[Seen, ...]
    stale: tuple[Seen, ...]


def agreement(order: tuple[int, int]) -> Agreement:
    """Return which processes follow the version (epoch, version)."""
    registered = seen()
    live = [one for one in registered if one.live]
    return Agreement(
        following=tuple(one for one in live if (one.epoch, one.version) >= order),
        behind=tuple(one for one in live if (one.epoch, one.version) < order),
        stale=tuple(one for one in registered if not one.live),
    )


def await_agreement(
    order: tuple[int, int], seconds: float, look: Callable[[tuple[int, int]], Agreement] = agreement
) -> Agreement:
    """Wait at most `seconds` for every live process to follow the version; return the result."""
    deadline = time.monotonic() + seconds
    while (agreed := look(order)).behind and time.monotonic() < deadline:
        time.sleep(0.05)
    return agreed
