"""Estimate a run's duration: change a few rows, time it, and roll back."""

from collections.abc import Sequence

from django.db import DatabaseError, connection

from stageapp.normalization import batches
from stageapp.normalization.batches import Cursor, Limits
from stageapp.normalization.statements import Change
from stageapp.targets.targets import Target

WARM_UP_ROWS = 200  # whoever writes first pays for cold pages and for planning
SAMPLE_ROWS = 800
_NO_RUN = 0


def seconds(target: Target, changes: Sequence[Change], rows: int) -> float | None:
    """Return how long one worker needs for that many rows, excluding pauses and verification.

    Its locks are shorter than a batch's. None if no sample is possible because one of its rows is
    locked or rejected.
    """
    if not rows:
        return 0.0
    try:
        # A place from which the next rows are to be changed: a part of the table may be
        # normalized already.
        condition, values = target.holds_any([(change.source, change.old) for change in changes])
        key, table = target.key, target.table
        first = f"(SELECT {key} FROM {table} WHERE {condition} ORDER BY {key} LIMIT 1)"
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT t.{key}::text FROM {table} t WHERE t.{key} < {first} ORDER BY t.{key} DESC "
                "LIMIT 1",
                values,
            )
            row = cursor.fetchone()
        warm_up = batches.dry(
            _NO_RUN, target, changes, Cursor(position=row[0] if row else ""), Limits(WARM_UP_ROWS)
        )
        if warm_up.changed == rows:  # there are no others
            return warm_up.seconds
        sample = batches.dry(_NO_RUN, target, changes, warm_up.cursor, Limits(SAMPLE_ROWS))
    except DatabaseError:
        return None
    changed = sample.changed or warm_up.changed
    taken = sample.seconds if sample.changed else warm_up.seconds
    return taken * rows / changed if changed else None
