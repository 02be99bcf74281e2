"""Rollbacks: their scope, its size, and the outcome."""

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet, Sum

from stageapp.audit import log
from stageapp.models.batches import Direction
from stageapp.models.normalization import RollbackPlan, Run
from stageapp.targets import values
from stageapp.targets.errors import IllegalMove
from stageapp.targets.targets import Target

_COUNT = """(SELECT coalesce(sum(coalesce(cardinality(l.keys), cardinality(l.uuids))), 0)
  FROM stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id
 WHERE b.run_id = %(run)s AND b.direction = '{direction}' AND {asked})"""

_PREVIEW_SQL = """
SELECT r.old, r.new, count(*), count(*) FILTER (WHERE t.{key} IS NOT NULL AND {value} = r.new)
  FROM ({remaining}) AS r LEFT JOIN {table} t ON t.{key} = r.k
 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""


_SUMS = {"sum_written": Direction.FORWARD, "sum_undone": Direction.ROLLBACK}


@dataclass(frozen=True)
class Standing:
    """How many rows a run has changed, and how many of these changes were rolled back."""

    written: int
    undone: int

    @property
    def nothing(self) -> bool:
        """Whether all changes of the run have been undone."""
        return 0 < self.written <= self.undone

    @property
    def left(self) -> int:
        """The number of the run's changes that have not been undone."""
        return max(0, self.written - self.undone)

    @property
    def words(self) -> str:
        """The same as text; empty if nothing has been undone."""
        if self.nothing:
            return f"rolled back: none of {self.written:,} rows remains changed"
        remain = "remains" if self.left == 1 else "remain"
        left = f"{self.left:,} of {self.written:,} rows {remain} changed"
        return f"partly rolled back: {left}" if self.undone else ""


def standing(run: Run) -> Standing:
    """Return what remains of a run's changes; reads the checkpoints' sums, not the log."""
    sums = run.checkpoints.order_by().values_list("direction").annotate(rows=Sum("changed"))
    rows = dict(sums)
    return Standing(rows.get(Direction.FORWARD, 0), rows.get(Direction.ROLLBACK, 0))


def with_standing(annotated: QuerySet[Run]) -> QuerySet[Run]:
    """Add the same sums to many runs in one query, for `annotated`."""
    for name, way in _SUMS.items():
        only = Q(checkpoints__direction=way)
        annotated = annotated.annotate(
            **{name: Sum("checkpoints__changed", filter=only, default=0)}
        )
    return annotated


def annotated(run: Run) -> Standing:
    """Return what remains of the changes of a run loaded by `with_standing`."""
    return Standing(*(getattr(run, name) for name in _SUMS))


def make(
    run: Run, scope: dict[str, Any], *, from_state: str, actor: str, reason: str
) -> RollbackPlan:
    """Store a rollback plan.

    Raises:
        IllegalMove: a partial scope has nothing left to undo.
    """
    rows = rows_in(run, scope)
    if scope and not rows:
        raise IllegalMove(
            f"Run {run.pk} has nothing left to undo in this part; `normalization rollback "
            "--dry-run` shows it."
        )
    number = run.rollbacks.count() + 1
    return RollbackPlan.objects.create(
        run=run,
        round=number,
        scope=scope,
        from_state=from_state,
        rows=rows,
        actor=actor,
        reason=reason,
    )


def newest(run: Run) -> RollbackPlan:
    """Return the most recently requested rollback."""
    return run.rollbacks.order_by("-round")[0]


def rows_in(run: Run, scope: dict[str, Any]) -> int:
    """Return the number of changes in the scope that have not been undone."""
    forward, parameters = log.part(scope)
    back, _ = log.part(scope, batch="b.undoes_id", given_back="l.new")
    changed, undone = (
        _COUNT.format(direction="forward", asked=forward),
        _COUNT.format(direction="rollback", asked=back),
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {changed} - {undone}", {"run": run.pk, **parameters})
        return int(cursor.fetchone()[0])


def counts(run: Run, plan: RollbackPlan) -> dict[str, int]:
    """Return how many rows a rollback has undone, skipped as changed since, and quarantined."""
    shards = run.checkpoints.filter(direction=Direction.ROLLBACK, round=plan.round)
    sums = shards.aggregate(
        undone=Sum("changed"),
        skipped=Sum("skipped"),
        quarantined=Sum("quarantined"),
    )
    return {name: number or 0 for name, number in sums.items()}


def preview(
    run: Run, target: Target, scope: dict[str, Any], *, seconds: float = 0
) -> list[dict[str, Any]]:
    """Return the rows a rollback would undo and those it would leave, by (old, new).

    Raises:
        TooSlow: it takes longer than `seconds`; 0 means no limit.
    """
    asked, parameters = log.part(scope)
    sql = _PREVIEW_SQL.format(
        value=target.logged("t"),
        table=target.table,
        key=target.key,
        remaining=log.REMAINING.format(
            array=target.array, batches="BETWEEN %(first)s AND %(last)s", asked=asked
        ),
    )
    return [
        {"old": old, "new": new, "rows": undone, "changed_since": rows - undone}
        for old, new, rows, undone in values.read(
            target, sql, {"run": run.pk, **parameters}, seconds=seconds
        )
    ]
