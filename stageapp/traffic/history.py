"""Traffic by 10 seconds, minute, hour or day: windows are kept for one day, hours for 35 days.

Everything that decides by counts (gates, auto-downgrade) uses `history`, which can be limited to
one effective mode.
"""

import datetime
import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from django.db import connection
from django.db.models import Min

from stageapp import conf
from stageapp.infrastructure import events
from stageapp.models.traffic import TrafficHour, TrafficWindow

KEEP_WINDOWS = datetime.timedelta(days=1)
RETENTION_DAYS = 35  # of hours: more days than a gate looks back
SETTLED = datetime.timedelta(seconds=15)
_WRITING = 5.0  # seconds that a flush may take


class Step(enum.IntEnum):
    """The length of a slot, in seconds."""

    WINDOW = 10
    MINUTE = 60
    HOUR = 3600
    DAY = 86_400

    @property
    def length(self) -> datetime.timedelta:
        return datetime.timedelta(seconds=self.value)

    def floor(self, moment: datetime.datetime) -> datetime.datetime:
        """Return the start of the slot that contains the moment, in UTC."""
        return datetime.datetime.fromtimestamp(
            int(moment.timestamp()) // self.value * self.value, datetime.UTC
        )


@dataclass(frozen=True)
class Slot:
    """Traffic in one slot. `judged` requests reached the validator, which rejected `rejects`."""

    started_at: datetime.datetime
    requests: int = 0
    judged: int = 0
    unknown: int = 0
    rejects: int = 0
    errors: int = 0
    slow: int = 0

    def __add__(self, other: "Slot") -> "Slot":
        """Return the sum of both as one slot that starts when this one does."""
        mine, others = astuple(self), astuple(other)
        return Slot(
            self.started_at, *(one + two for one, two in zip(mine[1:], others[1:], strict=True))
        )


def settled() -> datetime.timedelta:
    """Return the age at which a window is complete: a request counts at its end, after a flush."""
    return max(SETTLED, datetime.timedelta(seconds=conf.settings.refresh_seconds + _WRITING))


_HISTORY_SQL = """
SELECT to_timestamp(floor(extract(epoch FROM started_at) / %(step)s) * %(step)s) AS slot, sum(requests),
       coalesce(sum(requests) FILTER (WHERE verdict <> 'malformed'), 0),
       coalesce(sum(requests) FILTER (WHERE verdict = 'unknown'), 0),
       coalesce(sum(rejects) FILTER (WHERE verdict <> 'malformed'), 0), sum(errors), sum(slow)
  FROM ({source}) AS counts
 WHERE started_at >= %(since)s AND started_at < %(until)s AND (%(mode)s = '' OR mode = %(mode)s)
 GROUP BY 1 ORDER BY 1
"""
_COLUMNS = "SELECT started_at, mode, verdict, requests, rejects, errors, slow FROM"
_WINDOWS = f"{_COLUMNS} stageapp_trafficwindow"
_WINDOWS_AND_HOURS = f"{_WINDOWS} UNION ALL {_COLUMNS} stageapp_traffichour"


def history(
    step: Step, since: datetime.datetime, until: datetime.datetime, *, mode: str = ""
) -> list[Slot]:
    """Return the non-empty slots between two moments, oldest first, over all processes.

    `mode` limits them to one effective mode. The moments must be slot boundaries. Slots shorter
    than an hour reach back one day.
    """
    sql = _HISTORY_SQL.format(source=_WINDOWS_AND_HOURS if step >= Step.HOUR else _WINDOWS)
    with connection.cursor() as cursor:
        cursor.execute(sql, {"step": step.value, "since": since, "until": until, "mode": mode})
        return [Slot(slot, *map(int, counts)) for slot, *counts in cursor.fetchall()]


def by_day(hours: Iterable[Slot]) -> list[Slot]:
    """Return these hours merged into days (UTC), oldest first."""
    days: dict[datetime.datetime, Slot] = {}
    for hour in hours:
        day = Step.DAY.floor(hour.started_at)
        days[day] = days.get(day, Slot(day)) + hour
    return sorted(days.values(), key=lambda slot: slot.started_at)


_REASONS_SQL = """
SELECT reason.key, sum(reason.value::bigint)
  FROM (SELECT started_at, reasons FROM stageapp_trafficwindow
        UNION ALL SELECT started_at, reasons FROM stageapp_traffichour) AS counts, jsonb_each_text(reasons) AS reason
 WHERE started_at >= %s AND started_at < %s GROUP BY 1
"""


def reasons(since: datetime.datetime, until: datetime.datetime) -> Counter[str]:
    """Return the number of requests with unknown values, by reason."""
    with connection.cursor() as cursor:
        cursor.execute(_REASONS_SQL, [since, until])
        return Counter({reason: int(requests) for reason, requests in cursor.fetchall()})


# One statement: windows are deleted and added to their hour, or neither. Repeated, it finds no
# windows; a window that comes late is added when it comes.
_ROLL_UP_SQL = """
WITH gone AS (
    DELETE FROM stageapp_trafficwindow WHERE started_at >= %(hour)s AND started_at < %(end)s RETURNING *
), sums AS (
    SELECT endpoint, mode, verdict, sum(requests) AS requests, sum(rejects) AS rejects, sum(errors) AS errors,
           sum(slow) AS slow
      FROM gone GROUP BY 1, 2, 3
), by_reason AS (
    SELECT endpoint, mode, verdict, reason.key, sum(reason.value::bigint) AS requests
      FROM gone, jsonb_each_text(gone.reasons) AS reason GROUP BY 1, 2, 3, 4
), why AS (
    SELECT endpoint, mode, verdict, jsonb_object_agg(key, requests) AS reasons FROM by_reason GROUP BY 1, 2, 3
), added AS (
    INSERT INTO stageapp_traffichour AS held
           (started_at, endpoint, mode, verdict, requests, rejects, errors, slow, reasons)
    SELECT %(hour)s, endpoint, mode, verdict, requests, rejects, errors, slow, coalesce(reasons, '{}')
      FROM sums LEFT JOIN why USING (endpoint, mode, verdict) ORDER BY 1, 2, 3, 4
    ON CONFLICT (started_at, endpoint, mode, verdict) DO UPDATE
       SET requests = held.requests + EXCLUDED.requests, rejects = held.rejects + EXCLUDED.rejects,
           errors = held.errors + EXCLUDED.errors, slow = held.slow + EXCLUDED.slow,
           reasons = (SELECT coalesce(jsonb_object_agg(key, total), '{}')
                        FROM (SELECT key, sum(value::bigint) AS total
                                FROM (SELECT * FROM jsonb_each_text(held.reasons)
                                      UNION ALL SELECT * FROM jsonb_each_text(EXCLUDED.reasons)) AS both_of_them
                               GROUP BY key) AS totals)
)
SELECT count(*) FROM gone
"""


def roll_up(now: datetime.datetime) -> int:
    """Roll up windows older than a day into hours, each in a transaction; return how many.

    Safe to repeat, to interrupt and to run concurrently.
    """
    end = Step.HOUR.floor(now - KEEP_WINDOWS)
    windows = 0
    while oldest := TrafficWindow.objects.filter(started_at__lt=end).aggregate(
        first=Min("started_at")
    )["first"]:
        hour = Step.HOUR.floor(oldest)
        with connection.cursor() as cursor:
            cursor.execute(_ROLL_UP_SQL, {"hour": hour, "end": hour + Step.HOUR.length})
            windows += cursor.fetchone()[0]
    if windows:
        events.traffic_rolled_up(windows=windows)
    return windows


def forget_old(now: datetime.datetime) -> int:
    """Delete hours past their retention; return how many rows."""
    oldest = now - datetime.timedelta(days=RETENTION_DAYS)
    return TrafficHour.objects.filter(started_at__lt=oldest).delete()[0]
