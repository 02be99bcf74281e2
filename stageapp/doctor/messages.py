"""Checks of Redis, the broker, the workers and the process registry."""

from collections.abc import Iterator

import redis
from celery import current_app
from kombu.exceptions import OperationalError as BrokerError

from stageapp.doctor.answers import Answer, fail, no_data, ok, warn
from stageapp.infrastructure.redis import strict
from stageapp.mode import processes

BROKER_SECONDS = 2.0
PING_SECONDS = 2.0  # an idle worker answers in milliseconds; one at work after its batch
AWAY = (BrokerError, OSError, redis.RedisError)


def redis_answers() -> Iterator[Answer]:
    """Check that Redis answers within the time limit for reading the mode."""
    try:
        client = strict()
        client.ping()
        version = str(client.info("server")["redis_version"])
    except redis.RedisError as error:
        said = f"it does not answer: {type(error).__name__}"
        yield fail(
            "redis",
            said,
            "start it, or correct REDIS_URL; meanwhile PostgreSQL provides the mode",
        )
        return
    if tuple(map(int, version.split(".")[:2])) < (6, 2):
        yield warn("redis", f"version {version}", "use Redis 6.2 or newer")
    else:
        yield ok("redis", f"version {version}")


def broker_answers() -> Iterator[Answer]:
    """Check that Celery's broker accepts a connection."""
    try:
        with current_app.connection_for_write(connect_timeout=BROKER_SECONDS) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
            broker.default_channel  # noqa: B018  the channel to Redis asks it for an answer as it opens
    except AWAY as error:
        do = (
            "start it, or correct STAGE_BROKER_URL; meanwhile runs work with `normalization "
            "run --foreground`"
        )
        yield fail("broker", f"it does not answer: {type(error).__name__}", do)
    else:
        yield ok("broker", "it accepts connections")


def worker_answers() -> Iterator[Answer]:
    """Check that a Celery worker answers through the broker."""
    do = "start one: celery -A config.celery worker"
    try:
        with current_app.connection_for_write(connect_timeout=BROKER_SECONDS) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
            answers = current_app.control.ping(timeout=PING_SECONDS, connection=broker)
    except AWAY as error:
        yield no_data(
            "worker (by broker)", f"the broker does not answer: {type(error).__name__}", do
        )
        return
    names = sorted(name for answer in answers for name in answer)
    if names:
        yield ok("worker (by broker)", f"{', '.join(names)}")
    else:
        said = (
            f"none answers within {PING_SECONDS:g} s; a worker with the solo pool does "
            "not answer while it works"
        )
        yield warn("worker (by broker)", said, do)


def registry() -> Iterator[Answer]:
    """Check for live servers, workers and beats in the registry; raises django.db.DatabaseError."""
    live = [one for one in processes.seen() if one.live]
    starts = {
        "web": "start one: gunicorn -c python:config.gunicorn config.wsgi",
        "worker": "start one: celery -A config.celery worker",
        "beat": (
            "start it: celery -A config.celery beat; without it there are no sweeps, "
            "rollups or automatic downgrades"
        ),
    }
    for name, do in starts.items():
        count = sum(one.name == name for one in live)
        title = f"{name} (by registry)"
        if count:
            yield ok(title, f"{count} live")
        elif name == "web":
            yield warn(title, f"none seen for {processes.live_seconds():g} s", do)
        else:
            yield fail(title, f"none seen for {processes.live_seconds():g} s", do)
