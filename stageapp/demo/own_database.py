"""A separate database and Redis number for `demo --once`, recreated each time and dropped after."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis
from django.db import connection

NAME = "stage_demo_once"
REDIS_NUMBER = 63  # the last one of the embedded server


class AlreadyRunning(Exception):
    """Another walk uses the database."""


def in_use() -> bool:
    """Whether this process uses the separate database."""
    return bool(connection.settings_dict["NAME"] == NAME)


def variables() -> dict[str, str]:
    """Return the environment variables that select the separate database, on the same servers."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    database = parts._replace(path=f"{parts.path.rpartition('/')[0]}/{NAME}")
    redis_url = f"{os.environ['REDIS_URL'].partition('?')[0]}?db={REDIS_NUMBER}"
    return {"DATABASE_URL": urlunsplit(database), "REDIS_URL": redis_url}


@contextmanager
def own_database(scratch: Path) -> Iterator[dict[str, str]]:
    """Create the database and yield the environment variables that select it.

    A database left behind by a killed walk is dropped first.

    Raises:
        AlreadyRunning: another walk holds the lock.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with (scratch / "once.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                "Another `demo --once` is running here. Wait until it has ended."
            ) from None
        chosen = variables()
        _drop(chosen["REDIS_URL"])
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{NAME}"')
        connection.close()
        try:
            yield chosen
        finally:
            _drop(chosen["REDIS_URL"])


def _drop(redis_url: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{NAME}" WITH (FORCE)')
    connection.close()
    with redis.Redis.from_url(redis_url, socket_timeout=5) as client:
        client.flushdb()
