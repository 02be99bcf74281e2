"""Leases: a worker owns a shard through its checkpoint and a fencing token.

Taking a shard increments its token, and a batch commits only with the latest one: a worker that
slept past its lease cannot write. A lease expires after LEASE, or at once when its session ends.
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
    """A worker's lease on one shard of a run."""

    run: int
    checkpoint: int
    shard: int
    token: int
    sweep: int


def name() -> str:
    """Return this process's worker name, `host:pid`."""
    return f"{socket.gethostname()}:{os.getpid()}"


def take(run: Run, direction: Direction, *, round: int = 0) -> Lease | None:
    """Lease a free shard; None if there is none or the run has its maximum of workers."""
    with transaction.atomic(), connection.cursor() as cursor:
        locks.wait(Lock.SHARD, run.pk)
        if len(held(run)) >= Run.objects.values_list("shards", flat=True).get(pk=run.pk):
            return None
        cursor.execute(_TAKE_SQL, [name()[:190], LEASE.total_seconds(), run.pk, direction, round])
        row = cursor.fetchone()
    return Lease(run.pk, *row) if row else None


def renew(lease: Lease) -> bool:
    """Extend the lease without writing rows; return False if another worker took the shard."""
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
    """Release the shard if it is still ours; if a hung batch locks it, let the lease expire."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE stageapp_checkpoint SET leased_until = NULL WHERE id = (SELECT id FROM "
            "stageapp_checkpoint WHERE id = %s AND token = %s FOR UPDATE SKIP LOCKED)",
            _key(lease),
        )


def revoke(run: Run) -> None:
    """Revoke every lease of the run and end the workers' sessions, so that they cannot commit.

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
    """Return the workers with a lease in the run, one name per shard."""
    return list(holders(run).values())


def holders(run: Run) -> dict[int, str]:
    """Return the workers with a lease in the run, by the id of the shard's checkpoint."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT c.id, c.holder FROM stageapp_checkpoint c WHERE c.run_id = %s AND {_LIVE} "
            "ORDER BY c.id",
            [run.pk],
        )
        return dict(cursor.fetchall())


def is_held(run: Run) -> bool:
    """Whether any worker has a lease in the run."""
    return bool(held(run))


def last_heartbeat(run: Run) -> datetime.datetime | None:
    """Return when a worker of the run last committed or reported that it is waiting."""
    beats = Checkpoint.objects.filter(run=run, heartbeat_at__isnull=False).order_by("-heartbeat_at")
    return beats.values_list("heartbeat_at", flat=True).first()


def _key(lease: Lease) -> list[int]:
    return [lease.checkpoint, lease.token]
