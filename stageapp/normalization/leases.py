"""A worker holds a shard by a lease in its checkpoint, with a fencing token.

Taking a shard raises its token, and a batch commits only with the newest one: a worker that slept
past its lease and wakes up can write nothing. A lease ends by itself after LEASE, or at once when
its session is gone.
"""

import datetime
import os
import socket
from dataclasses import dataclass

from django.db import connection, transaction

from stageapp.infrastructure import locks
from stageapp.infrastructure.locks import Lock
from stageapp.models.batches import Checkpoint, Direction
from stageapp.models.normalization import Run

LEASE = datetime.timedelta(seconds=20)

# The holder's session may be unseen only through a pooler or without the right to look; then the
# time counts.
_LIVE = """(coalesce(c.leased_until > clock_timestamp(), false) AND EXISTS (
    SELECT FROM pg_stat_activity a WHERE a.pid = c.backend_pid
       AND coalesce(a.backend_start, c.backend_started) = c.backend_started))"""

# SKIP LOCKED: a session that stopped in the middle of a batch still has its row, until the server
# ends it
_TAKE_SQL = f"""
UPDATE stageapp_checkpoint SET token = token + 1, holder = %s, leased_until = clock_timestamp() + %s * interval '1 s',
       heartbeat_at = clock_timestamp(), backend_pid = pg_backend_pid(),
       backend_started = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
 WHERE id = (SELECT c.id FROM stageapp_checkpoint c
              WHERE c.run_id = %s AND c.direction = %s AND c.round = %s AND NOT c.finished AND NOT {_LIVE}
              ORDER BY c.shard LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, shard, token, sweep
"""


@dataclass(frozen=True)
class Lease:
    """One shard of a run in a worker's hands."""

    run: int
    checkpoint: int
    shard: int
    token: int
    sweep: int


def name() -> str:
    """Return what a run shows as its worker."""
    return f"{socket.gethostname()}:{os.getpid()}"


def take(run: Run, direction: Direction, *, round: int = 0) -> Lease | None:
    """Take a shard that nobody holds; None if there is none, or if as many are held as the run
    may have workers.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        locks.wait(Lock.SHARD, run.pk)
        if len(held(run)) >= Run.objects.values_list("shards", flat=True).get(pk=run.pk):
            return None
        cursor.execute(_TAKE_SQL, [name()[:190], LEASE.total_seconds(), run.pk, direction, round])
        row = cursor.fetchone()
    return Lease(run.pk, *row) if row else None


def renew(lease: Lease) -> bool:
    """Hold the shard for another while without writing rows; False if somebody else has taken
    it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE stageapp_checkpoint c SET {RENEWED} WHERE id = %s AND token = %s", _key(lease)
        )
        return bool(cursor.rowcount)


# For the batch's own statement, which renews with what it commits.
RENEWED = (
    f"leased_until = clock_timestamp() + interval '{LEASE.total_seconds()} s', heartbeat_at = "
    "clock_timestamp(), backend_pid = pg_backend_pid(), backend_started = (SELECT backend_start "
    "FROM pg_stat_activity WHERE pid = pg_backend_pid())"
)


def release(lease: Lease) -> None:
    """Give the shard back, if it is still this worker's; a batch that hangs has it locked, and
    its lease ends alone.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stageapp_checkpoint SET leased_until = NULL WHERE id = (SELECT id FROM "
            "stageapp_checkpoint WHERE id = %s AND token = %s FOR UPDATE SKIP LOCKED)",
            _key(lease),
        )


def revoke(run: Run) -> None:
    """Take every shard from whoever holds it, and end their sessions: nothing of theirs can commit
    any more.

    Raises:
        django.db.OperationalError: a session does not end; its process is stopped or hangs.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(c.backend_pid) FROM stageapp_checkpoint c WHERE "
            f"c.run_id = %s AND {_LIVE} AND c.backend_pid <> pg_backend_pid()",
            [run.pk],
        )
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        cursor.execute(
            "UPDATE stageapp_checkpoint SET token = token + 1, leased_until = NULL WHERE run_id "
            "= %s",
            [run.pk],
        )


def held(run: Run) -> list[str]:
    """Return the workers that hold a shard of the run now, one name for each shard."""
    return list(holders(run).values())


def holders(run: Run) -> dict[int, str]:
    """Return the workers that hold a shard of the run now, by the id of the shard's checkpoint."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT c.id, c.holder FROM stageapp_checkpoint c WHERE c.run_id = %s AND {_LIVE} "
            "ORDER BY c.id",
            [run.pk],
        )
        return dict(cursor.fetchall())


def is_held(run: Run) -> bool:
    """Tell whether any worker holds a shard of the run."""
    return bool(held(run))


def last_heartbeat(run: Run) -> datetime.datetime | None:
    """Return when a worker of the run last committed or said that it waits."""
    beats = Checkpoint.objects.filter(run=run, heartbeat_at__isnull=False).order_by("-heartbeat_at")
    return beats.values_list("heartbeat_at", flat=True).first()


def _key(lease: Lease) -> list[int]:
    return [lease.checkpoint, lease.token]
