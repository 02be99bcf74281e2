"""Guard counts: one row per conversion, rolled up into counts per day."""

import datetime
from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from stageapp import conf
from stageapp.models.sealing import GuardCount

_AT_ONCE = 10_000

# One statement, so that a conversion is in its own row or in a count, never in both or neither.
_ROLL_UP_SQL = """
WITH taken AS (
    DELETE FROM stageapp_guardconversion
     WHERE id IN (SELECT id FROM stageapp_guardconversion ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING target, (at AT TIME ZONE 'UTC')::date AS day, raw, stage, writer, problem, at
), counted AS (
    INSERT INTO stageapp_guardcount AS kept (target, day, raw, stage, writer, problem, count, last_at)
    SELECT target, day, raw, stage, writer, problem, count(*), max(at) FROM taken
     GROUP BY target, day, raw, stage, writer, problem ORDER BY target, day, raw, stage, writer, problem
    ON CONFLICT (target, day, raw, stage, writer, problem) DO UPDATE
       SET count = kept.count + EXCLUDED.count, last_at = GREATEST(kept.last_at, EXCLUDED.last_at)
)
SELECT count(*) FROM taken
"""

_CAUGHT_SQL = """
SELECT raw, stage, writer, problem, sum(count)::bigint, max(last_at)
  FROM (SELECT raw, stage, writer, problem, count, last_at FROM stageapp_guardcount WHERE target = %s AND day >= %s
         UNION ALL
        SELECT raw, stage, writer, problem, 1, at FROM stageapp_guardconversion
         WHERE target = %s AND (at AT TIME ZONE 'UTC')::date >= %s) AS all_of_them
 GROUP BY raw, stage, writer, problem ORDER BY 5 DESC, raw, writer LIMIT %s
"""

_TOTALS_SQL = """
SELECT coalesce(sum(count) FILTER (WHERE stage <> ''), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE stage = ''), 0)::bigint
  FROM (SELECT stage, count FROM stageapp_guardcount WHERE target = %s AND day >= %s
         UNION ALL
        SELECT stage, 1 FROM stageapp_guardconversion
         WHERE target = %s AND (at AT TIME ZONE 'UTC')::date >= %s) AS all_of_them
"""


@dataclass(frozen=True)
class Caught:
    """Conversions of one spelling by one writer; without a stage, the guard failed (`problem`)."""

    raw: str
    stage: str
    writer: str
    problem: str
    count: int
    last_at: datetime.datetime


def roll_up() -> int:
    """Roll up all recorded conversions; return their number. Safe to run concurrently."""
    done = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_ROLL_UP_SQL, [_AT_ONCE])
            (taken,) = cursor.fetchone()
            if not taken:
                return done
            done += taken


def forget_old() -> int:
    """Delete counts past their retention; return how many."""
    last = timezone.now().date() - datetime.timedelta(days=conf.settings.sighting_retention_days)
    return GuardCount.objects.filter(day__lt=last).delete()[0]


def caught(label: str, *, days: int, most: int) -> list[Caught]:
    """Return a target's guard counts of the last `days` days (UTC), the most frequent first."""
    since = _since(days)
    with connection.cursor() as cursor:
        cursor.execute(_CAUGHT_SQL, [label, since, label, since, most])
        return [Caught(*row) for row in cursor.fetchall()]


def totals(label: str, *, days: int) -> tuple[int, int]:
    """Return the guard's conversions and failures in the last `days` days (UTC)."""
    since = _since(days)
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS_SQL, [label, since, label, since])
        turned, failed = cursor.fetchone()
    return turned, failed


def _since(days: int) -> datetime.date:
    return timezone.now().date() - datetime.timedelta(days=days - 1)
