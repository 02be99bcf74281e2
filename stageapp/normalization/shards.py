"""Shards: disjoint key ranges of similar size, so that several workers can run in parallel."""

import datetime

from django.db import connection

from stageapp.audit import log
from stageapp.audit.log import Bounds
from stageapp.models.batches import Batch, Checkpoint, Direction
from stageapp.models.normalization import RollbackPlan, Run, State
from stageapp.targets.targets import Target

SMALLEST = 2_000  # rows; a range with fewer is not divided


def divide(run: Run, target: Target) -> None:
    """Split the rest of the main pass until there are as many shards as allowed workers."""
    if not run.checkpoints.filter(direction=Direction.FORWARD).exists():
        Checkpoint.objects.create(run=run, direction=Direction.FORWARD)
        if run.shards > 1:
            whole = Checkpoint.objects.get(run=run, direction=Direction.FORWARD)
            rows = _count(target, Bounds())
            number = min(run.shards, max(1, rows // SMALLEST))
            edges = [
                _key_at(target, Bounds(), rows * part // number - 1) for part in range(1, number)
            ]
            whole.delete()
            _create(run, Direction.FORWARD, edges)
        return
    while run.checkpoints.filter(direction=Direction.FORWARD, finished=False).count() < run.shards:
        if not _halve_the_largest(run, target):
            return


def reopen(run: Run) -> None:
    """Begin another sweep: reopen every shard from its start."""
    run.checkpoints.filter(direction=Direction.FORWARD, finished=True).update(
        sweep=_newest_sweep(run) + 1, position="", finished=False
    )


def newest_sweep_changed(run: Run) -> bool:
    """Whether the newest pass over the rows has changed any."""
    batches = Batch.objects.filter(run=run, direction=Direction.FORWARD, sweep=_newest_sweep(run))
    return batches.filter(changed__gt=0).exists()


def divide_rollback(run: Run, plan: RollbackPlan) -> None:
    """Split the changes of a run into shards with a similar number of entries."""
    batches = Batch.objects.filter(run=run, direction=Direction.FORWARD, sweep=0, changed__gt=0)
    ends = sorted(
        (log.order(key), key, changed)
        for key, changed in batches.values_list("last_key", "changed")
    )
    total, seen = sum(changed for _, _, changed in ends), 0
    edges: list[str] = []
    for _, key, changed in ends[:-1]:
        seen += changed
        if len(edges) + 1 < run.shards and seen >= total * (len(edges) + 1) / run.shards:
            edges.append(key)
    _create(run, Direction.ROLLBACK, edges, round=plan.round)


def unfinished(run: Run, direction: Direction, *, round: int = 0) -> bool:
    """Whether any shard is unfinished."""
    return run.checkpoints.filter(direction=direction, round=round, finished=False).exists()


def open_heartbeats(run: Run) -> list[datetime.datetime | None]:
    """Return the last heartbeat of each unfinished shard."""
    direction = {State.ROLLING_BACK: Direction.ROLLBACK, State.VERIFYING: Direction.VERIFY}.get(
        State(run.state), Direction.FORWARD
    )
    open_ones = run.checkpoints.filter(direction=direction, finished=False)
    return list(open_ones.values_list("heartbeat_at", flat=True))


def _create(run: Run, direction: Direction, edges: list[str], *, round: int = 0) -> None:
    for shard, (lower, upper) in enumerate(zip(["", *edges], [*edges, ""], strict=True)):
        Checkpoint.objects.create(
            run=run, direction=direction, round=round, shard=shard, lower=lower, upper=upper
        )


def _halve_the_largest(run: Run, target: Target) -> bool:
    """Move the second half of the largest remaining main-pass range to a new shard."""
    walking = run.checkpoints.select_for_update().filter(
        direction=Direction.FORWARD, finished=False, sweep=0
    )
    rests = [
        (_count(target, rest), rest, shard)
        for shard in walking
        for rest in [Bounds(shard.position or shard.lower, shard.upper)]
    ]
    rows, rest, shard = max(rests, key=lambda rest: rest[0], default=(0, Bounds(), None))
    if shard is None or rows < 2 * SMALLEST:
        return False
    middle = _key_at(target, rest, rows // 2 - 1)
    newest = max(
        run.checkpoints.filter(direction=Direction.FORWARD).values_list("shard", flat=True)
    )
    Checkpoint.objects.create(
        run=run, direction=Direction.FORWARD, shard=newest + 1, lower=middle, upper=shard.upper
    )
    run.checkpoints.filter(pk=shard.pk).update(upper=middle)
    return True


def _count(target: Target, bounds: Bounds) -> int:
    where, ends = bounds.sql(target.key, target.key_type)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {target.table} WHERE {where}", ends)
        return int(cursor.fetchone()[0])


def _key_at(target: Target, bounds: Bounds, offset: int) -> str:
    where, ends = bounds.sql(
        f"t.{target.key}", target.key_type
    )  # without t. it would be ordered as the text it shows
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT t.{target.key}::text FROM {target.table} t WHERE {where} "
            f"ORDER BY t.{target.key} OFFSET %s LIMIT 1",
            [*ends, offset],
        )
        return str(cursor.fetchone()[0])


def _newest_sweep(run: Run) -> int:
    return max(
        run.checkpoints.filter(direction=Direction.FORWARD).values_list("sweep", flat=True),
        default=0,
    )
