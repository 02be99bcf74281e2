"""How far a run is, how fast it goes, and when it will be over."""

import datetime
from dataclasses import dataclass

from django.db.models import Sum
from django.utils import timezone

from stageapp.models.normalization import Direction, Run, State
from stageapp.normalization import runs

_RATE_OVER = datetime.timedelta(seconds=30)


@dataclass(frozen=True)
class Progress:
    """Rows are of the direction the run is going; `rate` is rows scanned a second over the last 30 s.

    `eta_seconds` is None while the rate is unknown or the run stands still.
    """

    direction: str
    scanned: int
    total: int
    changed: int
    skipped: int
    sweep: int
    rate: float | None
    eta_seconds: float | None

    @property
    def percent(self) -> float:
        """Return how much is done, 0 to 100."""
        return 100.0 if self.total == 0 else min(100.0, 100.0 * self.scanned / self.total)


def progress(run: Run) -> Progress:
    """Return the progress of a run in any state."""
    direction = _direction(run)
    at = runs.checkpoint(run, direction)
    total = _total(run, direction)
    scanned = min(at.scanned, total) if at else 0
    rate = _rate(run, direction)
    moving = run.state in (State.RUNNING, State.ROLLING_BACK, State.PAUSING)
    return Progress(
        direction=direction,
        scanned=total if at and at.finished else scanned,
        total=total,
        changed=at.changed if at else 0,
        skipped=at.skipped if at else 0,
        sweep=at.sweep if at else 0,
        rate=rate if moving else None,
        eta_seconds=(total - scanned) / rate if moving and rate else None,
    )


def _direction(run: Run) -> Direction:
    back = run.state in (State.ROLLING_BACK, State.ROLLED_BACK)
    return Direction.ROLLBACK if back else Direction.FORWARD


def _total(run: Run, direction: Direction) -> int:
    if direction == Direction.FORWARD:
        return run.plan.rows_total
    at = runs.checkpoint(run, Direction.FORWARD)
    return at.changed if at else 0


def _rate(run: Run, direction: Direction) -> float | None:
    recent = run.batches.filter(direction=direction, committed_at__gte=timezone.now() - _RATE_OVER)
    first = recent.order_by("committed_at").first()
    if first is None:
        return None
    seconds = (timezone.now() - first.committed_at).total_seconds() + first.seconds
    rows = recent.aggregate(rows=Sum("scanned"))["rows"] or 0
    return rows / seconds if seconds > 0 else None
