"""What the doctor asks: of PostgreSQL, of Redis and the workers, and for an emergency."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from celery import current_app
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import OperationalError as BrokerError

from stageapp import conf
from stageapp.doctor.answers import Answer, fail, no_data, ok, warn
from stageapp.infrastructure import words
from stageapp.infrastructure.redis import strict
from stageapp.mode import processes
from stageapp.models.vocabulary import StageAlias
from stageapp.normalization import health, preflight, safety
from stageapp.normalization.factors import FACTORS
from stageapp.normalization.health import WalMarks
from stageapp.rollout.gates.verdicts import Verdict
from stageapp.targets.findings import Severity
from stageapp.vocabulary import snapshot
from stageapp.webhook.secrets import webhook_secrets

OLDEST_VERSION = 160_000
SKEW_WARNS, SKEW_FAILS = 2.0, 60.0  # seconds; a webhook is believed within 300
_MIGRATE = "run `manage.py migrate`"


def reachable() -> Iterator[Answer]:
    """Check that PostgreSQL answers, and its version; else raises django.db.DatabaseError."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version')"
        )
        number, version = cursor.fetchone()
    if number < OLDEST_VERSION:
        yield fail("postgresql", f"version {version}", "use PostgreSQL 16 or newer")
    else:
        yield ok("postgresql", f"version {version}")


def migrated() -> Iterator[Answer]:
    """Check that every migration has been applied."""
    executor = MigrationExecutor(connection)
    waiting = [
        migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())
    ]
    if waiting:
        yield fail("migrations", f"{len(waiting)} are pending, the first is {waiting[0]}", _MIGRATE)
    else:
        yield ok("migrations", "all are applied")


def function_there() -> Iterator[Answer]:
    """Check that the SQL function `normalize_stage` exists."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regprocedure('normalize_stage(text, text)') IS NOT NULL")
        there = cursor.fetchone()[0]
    yield (
        ok("function", "normalize_stage() exists")
        if there
        else fail("function", "no normalize_stage()", _MIGRATE)
    )


def parity() -> Iterator[Answer]:
    """Check that PostgreSQL and Python agree on every alias."""
    known = list(StageAlias.objects.values_list("source", "spelling"))
    meaning_of = snapshot.load()
    wrong = snapshot.disagreements(known, meaning_of)
    if wrong:
        shown = ", ".join(ascii(raw) for raw in wrong[:5])
        yield fail(
            "parity",
            f"PostgreSQL and Python disagree about {shown}",
            f"{_MIGRATE}; start no run before that",
        )
    else:
        yield ok(
            "parity",
            f"both agree on {len(known)} aliases, vocabulary version {meaning_of.version}",
        )


def clock() -> Iterator[Answer]:
    """Measure the clock difference to PostgreSQL; the round trip is the precision."""
    before = time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        theirs = float(cursor.fetchone()[0])
    after = time.time()
    skew = theirs - (before + after) / 2
    said = (
        f"PostgreSQL's clock is {words.duration(abs(skew))} "
        f"{'ahead of' if skew > 0 else 'behind'} this machine's"
    )
    do = "synchronize the clocks (NTP)"
    if abs(skew) > SKEW_FAILS:
        yield fail("clock", said, do)
    elif abs(skew) > SKEW_WARNS:
        yield warn("clock", said, do)
    else:
        yield ok("clock", f"{said}, measured within {words.duration(after - before)}")


def throttle() -> Iterator[Answer]:
    """Check each throttle factor against its limit; standbys by URL are queried only by runs."""
    for name, reading in health.read(WalMarks(), [], conf.settings.disk_paths).items():
        limit, title, say = (
            conf.settings.hold[name],
            f"throttle: {FACTORS[name].title}",
            FACTORS[name].say,
        )
        if not limit:
            yield ok(title, "is off")
        elif reading.absent:
            # That there is nothing to measure: without a standby that is well, but a disk there
            # always is.
            yield no_data(title, reading.note) if "disk" in title else ok(title, reading.note)
        elif reading.value is None or reading.partial:
            yield no_data(title, f"not measured: {reading.note}", "a run does not wait for it")
        elif FACTORS[name].holds(reading.value, limit, held=False):
            yield warn(
                title, f"{say(reading.value)}, the limit is {say(limit)}", "a run would wait"
            )
        else:
            yield ok(title, f"{say(reading.value)}, the limit is {say(limit)}")


def targets() -> Iterator[Answer]:
    """Report the preflight findings for each target."""
    for label in conf.targets():
        findings = preflight.look(label)
        heavy = [str(one) for one in findings.findings if one.severity == findings.worst]
        name, do = (
            f"target {label}",
            f"`manage.py normalization preflight --target {label}` shows everything",
        )
        if findings.worst == Severity.BLOCKS:
            yield fail(name, "; ".join(heavy), do)
        elif findings.worst == Severity.WARNS:
            yield warn(name, f"{len(heavy)} warnings, the first: {heavy[0]}", do)
        else:
            yield ok(name, "nothing prevents a run")
    if not conf.targets():
        yield no_data("targets", "STAGE_TARGETS lists no column", "name one")


# Redis, the broker, the workers and the process registry.

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


# Emergencies: free disk space, a proven backup, an authenticated webhook.

LEAST_SECRET = 32  # characters
_DISK_WARNS, _DISK_FAILS = 20.0, 5.0  # percent free


def disk() -> Iterator[Answer]:
    """Check the free space of the file systems of STAGE_DISK_PATHS and the backups."""
    paths = [*conf.settings.disk_paths, *filter(None, [conf.settings.backup_dir])]
    if not paths:
        yield no_data(
            "disk",
            "STAGE_DISK_PATHS lists no folder",
            "PostgreSQL does not report how full its disk is",
        )
    for path in dict.fromkeys(paths):
        yield _disk(path)


def _disk(path: str) -> Answer:
    name = f"disk {path}"
    try:
        there = next(
            place for place in (Path(path), *Path(path).parents) if place.exists()
        )  # it is made when needed
        usage = os.statvfs(there)
        free = 100 * usage.f_bavail / usage.f_blocks
    except (OSError, StopIteration, ZeroDivisionError) as error:
        return no_data(name, str(error), "correct STAGE_DISK_PATHS or STAGE_BACKUP_DIR")
    said = f"{words.percent(free)} free"
    if free < _DISK_FAILS:
        return fail(name, said, "free up space before anything is written")
    return warn(name, said, "make room") if free < _DISK_WARNS else ok(name, said)


def backup() -> Iterator[Answer]:
    """Check for a recent verified backup and a rehearsal; raises django.db.DatabaseError."""
    for gate in safety.gates():
        it = gate.deciding
        said = it.said if it.value is None else f"{it.title}: {it.said}"
        said += f"; needed: {it.threshold}"
        do = f"`manage.py backup {'rehearse' if gate.name == 'rehearsal' else 'create'}`"
        if gate.passes:
            yield ok(gate.name, said)
        elif conf.settings.require_backup:
            yield fail(gate.name, said, f"{do}; no run can start before that")
        elif gate.verdict == Verdict.NO_DATA:
            yield no_data(gate.name, said, do)
        else:
            yield warn(gate.name, said, do)


def webhook_secret() -> Iterator[Answer]:
    """Check that the webhook that can take enforcement back has sufficiently long secrets."""
    secrets: list[Any] = list(webhook_secrets())
    if not secrets:
        do = "set ALERTMANAGER_WEBHOOK_SECRET (openssl rand -hex 32)"
        yield warn("webhook secret", "none is set: no alert can lower the mode", do)
    elif any(len(getattr(secret, "text", secret)) < LEAST_SECRET for secret in secrets):
        yield fail(
            "webhook secret",
            f"one is shorter than {LEAST_SECRET} characters",
            "openssl rand -hex 32",
        )
    else:
        yield ok("webhook secret", f"{len(secrets)} set, each long enough")
