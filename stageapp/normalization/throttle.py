"""Throttle a run while the database is unhealthy.

The worker checks before each batch. A check queries PostgreSQL at most every half second and never
fails the run.
"""

import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from django.db import DatabaseError
from django.utils import timezone

from stageapp import conf
from stageapp.infrastructure import events
from stageapp.models.limits import ThrottleLook
from stageapp.models.normalization import Run
from stageapp.normalization import health, leases, limits
from stageapp.normalization.factors import FACTORS, Judged, Standing, judge
from stageapp.normalization.health import Standby, WalMarks

LOOK_SECONDS = 0.5
WAIT_SECONDS = 0.5  # how long a worker rests before it looks again
_TELL_SECONDS = 2.0  # how often an unchanged finding is written
_PATIENCE_SECONDS = 10.0  # so long a hold outlives looks that fail


@dataclass(frozen=True)
class Hold:
    """What throttles the run: factor, value and limit in its unit, and a sentence to display."""

    reason: str
    value: float
    limit: float
    text: str


class Throttle:
    """One worker's throttle for one run.

    Each worker checks for itself; a factor that throttles one also throttles the others, and
    workers that join later.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.judged: list[Judged] = []
        self._held: Judged | None = None
        self._next_look = self._next_telling = self._read_well_at = 0.0
        self._marks: WalMarks | None = None
        self._pending: dict[str, float] = {}
        self._workers = 1
        self._standbys: list[Standby] = []
        self._end = weakref.finalize(self, _close, self._standbys)

    def look(self) -> Hold | None:
        """Return what throttles the run now; between two checks, the last answer."""
        if time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + LOOK_SECONDS
        held = self._held
        if held is None or held.reading.value is None:
            return None
        return Hold(held.factor.name, held.reading.value, held.limit, held.text)

    def waited(self, hold: Hold, seconds: float) -> None:
        """Add the worker's share of the wait to the run's time; retry failed writes next time.

        With four workers, a second in which all of them wait adds one second.
        """
        with suppress(DatabaseError):
            self._workers = max(1, len(leases.held(self.run)))
        self._pending[hold.reason] = self._pending.get(hold.reason, 0.0) + seconds / self._workers
        with suppress(DatabaseError):
            for reason in list(self._pending):
                limits.add_seconds(self.run, reason, self._pending[reason])
                del self._pending[reason]

    def close(self) -> None:
        """Close the standby connections."""
        self._end()

    def _look(self) -> None:
        before = self._held
        try:
            self.judged = self._read()
        except DatabaseError as error:
            self._failed(error)
        else:
            self._read_well_at = time.monotonic()
            # What holds the run; of several the one that held it before.
            holding = [one for one in self.judged if one.standing == Standing.HOLDS]
            self._held = next(
                (one for one in holding if _name(before) == one.factor.name),
                holding[0] if holding else None,
            )
        changed = _name(before) != _name(self._held)
        if changed and self._held is not None:
            events.run_held(run=self.run.pk, reason=self._held.factor.name, text=self._held.text)
        elif changed and before is not None:
            events.run_released(run=self.run.pk, reason=before.factor.name)
        if changed or time.monotonic() >= self._next_telling:
            self._next_telling = time.monotonic() + _TELL_SECONDS
            marks = self._marks.marks if self._marks else []
            with suppress(DatabaseError):
                limits.remember(self.run, self.judged, self._held, marks)

    def _read(self) -> list[Judged]:
        look = ThrottleLook.objects.filter(run=self.run).first()
        if self._marks is None:
            self._marks = WalMarks(look.wal_marks if look else ())
            self._standbys += [Standby(url) for url in conf.settings.standby_urls]
        in_force = limits.limits(self.run)
        readings = health.read(self._marks, self._standbys, conf.settings.disk_paths)
        # What held the run by our last look, or by a recent one of any of its workers. A limit that
        # a person has changed meanwhile is held against the value anew.
        holding = {
            (one.factor.name, one.limit) for one in self.judged if one.standing == Standing.HOLDS
        }
        if look is not None and timezone.now() - look.looked_at < limits.CURRENT_FOR:
            told = [one for one in look.readings if one["state"] == Standing.HOLDS]
            holding |= {(one["factor"], one["limit"]) for one in told}
        wanted = {name: in_force[name].limit for name in FACTORS}
        return [
            judge(n, readings[n], limit, held=(n, limit) in holding) for n, limit in wanted.items()
        ]

    def _failed(self, error: DatabaseError) -> None:
        """Show that nothing is measured. A hold persists for a while: unreadable is not healthy."""
        events.throttle_look_failed(run=self.run.pk, error=str(error))
        if self._held is not None and time.monotonic() - self._read_well_at < _PATIENCE_SECONDS:
            return
        self._held = None
        readings = health.unreadable(f"the check failed: {error}".strip())
        self.judged = [
            judge(name, readings[name], limit, held=False)
            for name, limit in conf.settings.hold.items()
        ]


def _name(judged: Judged | None) -> str:
    return judged.factor.name if judged else ""


def _close(standbys: Sequence[Standby]) -> None:
    for standby in standbys:
        standby.close()
