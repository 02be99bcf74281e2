"""The shards of a run as its page shows them: which rows, how far, and who works there."""

from typing import Any

from stageapp.models.batches import Checkpoint, Direction
from stageapp.models.normalization import Run
from stageapp.normalization import claims

SHOWN = 100  # a run has at most 32 shards in a direction; each rollback has its own


def rows(run: Run) -> list[dict[str, Any]]:
    """Return the newest round first; `holder` is empty unless a worker holds the shard at this moment.

    A verification has a checkpoint for its lease alone: it is no shard, and has a part of the page to itself.
    """
    holders = claims.holders(run)
    shards = run.checkpoints.exclude(direction=Direction.VERIFY).order_by("-round", "direction", "shard")[:SHOWN]
    return [{"at": shard, "range": _range(shard), "holder": holders.get(shard.pk, "")} for shard in shards]


def _range(shard: Checkpoint) -> str:
    return f"{shard.lower or 'the start'} to {shard.upper or 'the end'}"
