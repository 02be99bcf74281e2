"""Gauges of the mode that is stored, its history, and the processes that follow it."""

from collections import Counter
from collections.abc import Iterator

from django.utils import timezone
from prometheus_client.core import Metric

from stageapp import metrics, mode_history, modes, processes


def stored_mode() -> Iterator[Metric]:
    """Yield the stored mode and what its history says."""
    state, history, now = modes.latest(), mode_history.read(), timezone.now()
    since = history.phase_since()
    kinds = Counter(change.kind for change in history.changes)
    yield metrics.MODE_INFO.of({(mode,): mode == state.mode for mode in metrics.MODES})
    yield metrics.MODE_PERCENT.value(state.percent)
    yield metrics.MODE_VERSION.value(state.version)
    yield metrics.MODE_EPOCH.value(state.epoch)
    yield metrics.MODE_AGE.value((now - since).total_seconds() if since else None)
    yield metrics.MODE_LATCHED.value(history.latched)
    yield metrics.MODE_CHANGES.of({(kind,): kinds[kind] for kind in ("manual", "downgrade", "scheduled")})
    yield metrics.WARN_SECONDS.value(history.time_in_warn(now).total_seconds())


def registry() -> Iterator[Metric]:
    """Yield how many processes beat, and how many have fallen silent."""
    seen = Counter((one.name, "live" if one.live else "stale") for one in processes.seen())
    names = ("web", "worker", "beat")
    yield metrics.PROCESSES.of({(name, state): seen[name, state] for name in names for state in ("live", "stale")})
