"""The progress of a run: how far, how fast, and when it ends."""

import datetime
from dataclasses import dataclass

from django.db.models import Max, Sum
from django.utils import timezone

from stageapp.audit import rollbacks
from stageapp.audit.rollbacks import Standing
from stageapp.models.batches import Direction
from stageapp.models.normalization import ACTIVE, Run, State
from stageapp.normalization import leases, runs

_RATE_OVER = datetime.timedelta(seconds=30)


@dataclass(frozen=True)
class Progress:
    """Rows in the run's current direction, over all shards.

    `rate` is rows scanned per second over the last 30 s. `eta_seconds` is None while the rate is
    unknown or the run stands still. `workers` are those with a lease on a shard.
    """

    direction: str
    scanned: int
    total: int
    changed: int
    skipped: int
    quarantined: int
    sweep: int
    shards: int
    shards_done: int
    workers: list[str]
    heartbeat_at: datetime.datetime | None
    stuck: bool
    rate: float | None
    eta_seconds: float | None
    standing: Standing

    @property
    def percent(self) -> float:
        """The share that is done, from 0 to 100."""
        return 100.0 if self.total == 0 else min(100.0, 100.0 * self.scanned / self.total)


def progress(run: Run) -> Progress:
    """Return the progress of a run, whatever its state."""
    direction, round_, total = Direction.FORWARD, 0, run.plan.rows_total
    if run.state in (State.ROLLING_BACK, State.ROLLED_BACK) and run.rollbacks.exists():
        plan = rollbacks.newest(run)
        direction, round_, total = Direction.ROLLBACK, plan.round, plan.rows
    elif run.state == State.VERIFYING:
        direction = Direction.VERIFY
    shards = run.checkpoints.filter(direction=direction, round=round_)
    at = shards.aggregate(
        scanned=Sum("scanned"),
        changed=Sum("changed"),
        skipped=Sum("skipped"),
        quarantined=Sum("quarantined"),
        sweep=Max("sweep"),
    )
    number, done = shards.count(), shards.filter(finished=True).count()
    finished = (bool(number) and done == number) or bool(at["sweep"])
    scanned = total if finished else min(at["scanned"] or 0, total)
    rate = _rate(run, direction, scanned) if run.state in ACTIVE else None
    return Progress(
        direction=direction,
        scanned=scanned,
        total=total,
        changed=at["changed"] or 0,
        skipped=at["skipped"] or 0,
        quarantined=at["quarantined"] or 0,
        sweep=at["sweep"] or 0,
        shards=number,
        shards_done=done,
        workers=sorted(set(leases.held(run))),
        heartbeat_at=leases.last_heartbeat(run),
        stuck=runs.is_stuck(run),
        rate=rate,
        eta_seconds=(total - scanned) / rate if rate else None,
        standing=rollbacks.standing(run),
    )


def _rate(run: Run, direction: Direction, scanned: int) -> float | None:
    if direction == Direction.VERIFY:
        began = (
            run.moves.filter(new_state=State.VERIFYING)
            .order_by("-id")
            .values_list("created_at", flat=True)
            .first()
        )
        return scanned / (timezone.now() - began).total_seconds() if began and scanned else None
    recent = run.batches.filter(direction=direction, committed_at__gte=timezone.now() - _RATE_OVER)
    first = recent.order_by("committed_at").first()
    if first is None:
        return None
    seconds = (timezone.now() - first.committed_at).total_seconds() + first.seconds
    rows = recent.aggregate(rows=Sum("scanned"))["rows"] or 0
    return rows / seconds if seconds > 0 else None
