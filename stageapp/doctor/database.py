"""Checks of PostgreSQL: availability, version, migrations, SQL function, parity and clock."""

import time
from collections.abc import Iterator

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from stageapp import conf
from stageapp.doctor.answers import Answer, fail, no_data, ok, warn
from stageapp.infrastructure import words
from stageapp.models.vocabulary import StageAlias
from stageapp.normalization import health, preflight
from stageapp.normalization.factors import FACTORS
from stageapp.normalization.health import WalMarks
from stageapp.targets.findings import Severity
from stageapp.vocabulary import snapshot

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
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s, v, normalize_stage(v, s) FROM unnest(%s::text[], %s::text[]) AS t (s, v)",
            [[source for source, _ in known], [spelling for _, spelling in known]],
        )
        rows = list(cursor.fetchall())
    wrong = [raw for source, raw, stage in rows if meaning_of.normalize(raw, source).stage != stage]
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
            f"both agree on {len(rows)} aliases, vocabulary version {meaning_of.version}",
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
