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
        redis_url = _redis_url(os.environ["REDIS_URL"])
        _drop(redis_url)
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{NAME}"')
        connection.close()
        try:
            yield {
                "DATABASE_URL": _database_url(os.environ["DATABASE_URL"]),
                "REDIS_URL": redis_url,
            }
        finally:
            _drop(redis_url)


def _drop(redis_url: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{NAME}" WITH (FORCE)')
    connection.close()
    with redis.Redis.from_url(redis_url, socket_timeout=5) as client:
        client.flushdb()


def _database_url(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rpartition('/')[0]}/{NAME}"))


def _redis_url(url: str) -> str:
    return f"{url.partition('?')[0]}?db={REDIS_NUMBER}"
