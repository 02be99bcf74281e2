"""A rehearsal restores for real, finds what is not as it was, never touches the live database,
and leaves nothing.
"""

import dataclasses
import os

import pytest
from django.db import connection

from stageapp.backups import create, disposable, folder, manifest, postgres, rehearse
from stageapp.backups.contents import AuditFacts, TableFacts
from stageapp.backups.errors import BackupBusy, BackupError, TargetRefused
from stageapp.models import PortfolioCompany
from tests.backups.damage import DUMP, MANIFEST
from tests.backups.databases import drop, live_fingerprint, rehearsal_databases
from tests.normalization.evidence import LABEL, database_url, sql

TABLE = "public.stageapp_portfoliocompany"


def test_a_good_backup_is_restored_compared_and_dropped(made):
    before = live_fingerprint()
    verdict = rehearse.rehearse(made.name)
    assert verdict.passed, verdict.failures
    assert [it.check for it in verdict.findings] == [
        "size",
        "sha256",
        "listing",
        "restore",
        "tables",
        "rows",
        "md5",
        "stages",
        "audit",
        "vocabulary",
        "schema",
        "batches",
        "normalize_stage",
    ]
    assert 0 < verdict.seconds < 60
    assert 0 < verdict.data_age.total_seconds() < 600
    assert live_fingerprint() == before
    assert rehearsal_databases() == []


def sign_anew(backups, made, **changes):
    """Write a manifest that says something else of the same dump, and sign it."""
    other = dataclasses.replace(made, contents=dataclasses.replace(made.contents, **changes))
    (backups / made.name / MANIFEST).write_bytes(manifest.dump(other))


def in_table(made, **change):
    facts = dataclasses.replace(made.contents.tables[TABLE], **change)
    return {"tables": made.contents.tables | {TABLE: facts}}


@pytest.mark.parametrize(
    "check, changes",
    [
        ("rows", lambda made: in_table(made, rows=201)),
        ("md5", lambda made: in_table(made, md5="0" * 32)),
        (
            "tables",
            lambda made: {"tables": made.contents.tables | {"public.lost": TableFacts(1, "")}},
        ),
        (
            "tables",
            lambda made: {"tables": {n: t for n, t in made.contents.tables.items() if n != TABLE}},
        ),
        (
            "stages",
            lambda made: {
                "stages": {LABEL: dataclasses.replace(made.contents.stages[LABEL], distinct=9)}
            },
        ),
        ("audit", lambda made: {"audit": {LABEL: AuditFacts(100, 99)}}),
        ("vocabulary", lambda made: {"vocabulary_version": 99}),
        ("schema", lambda made: {"schema": "0" * 64}),
    ],
)
def test_what_is_not_as_the_manifest_says_is_found(made, backups, check, changes):
    sign_anew(backups, made, **changes(made))
    verdict = rehearse.rehearse(made.name)
    assert check in [it.check for it in verdict.findings if not it.passed]
    assert rehearsal_databases() == []


@pytest.mark.parametrize(
    "harm, check, heal",
    [
        (
            "UPDATE stageapp_stagealias SET key = key || 'x'",
            "normalize_stage",
            "UPDATE stageapp_stagealias SET key = left(key, -1)",
        ),
        (
            "UPDATE stageapp_checkpoint SET position = position; ALTER TABLE stageapp_batch "
            "DISABLE TRIGGER append_only; UPDATE stageapp_batch SET changed = changed + 1; ALTER "
            "TABLE stageapp_batch ENABLE TRIGGER append_only",
            "batches",
            "SELECT 1",
        ),
    ],
)
def test_a_database_that_was_broken_when_the_backup_was_made_is_found(backups, harm, check, heal):
    sql(harm)
    try:
        name = create.create().name
    finally:
        sql(heal)
    assert [it.check for it in rehearse.rehearse(name).findings if not it.passed] == [check]


def test_a_damaged_dump_is_not_even_restored(made, backups):
    path = backups / made.name / DUMP
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert [it.check for it in rehearse.rehearse(made.name).findings if not it.passed] == ["sha256"]


def test_a_restore_that_fails_is_a_finding_and_leaves_nothing(made, settings, tmp_path):
    listing = rehearse.postgres.path_of("pg_restore", connection.pg_version)
    script = (
        f'#!/bin/sh\ncase "$*" in --list*) exec {listing} "$@";; esac\necho "relation '
        'exists" >&2\nexit 1\n'
    )
    (tmp_path / "pg_restore").write_text(script)
    (tmp_path / "pg_restore").chmod(0o755)
    settings.STAGE_POSTGRES_PROGRAMS = str(tmp_path)
    verdict = rehearse.rehearse(made.name)
    assert "relation exists" in verdict.failures
    assert rehearsal_databases() == []


@pytest.fixture
def target(backups):
    """Return a marked, empty database."""
    with disposable.database(postgres.live()) as target:
        yield target


def test_the_live_database_is_refused(target, made, backups):
    before = live_fingerprint()
    live = disposable.Disposable(postgres.live(), postgres.live()["dbname"])
    with (
        folder.opened(made.name, DUMP) as (dump,),
        pytest.raises(TargetRefused, match="the live database: a restore never writes to it"),
    ):
        rehearse.fill(live, made, dump, rehearse.silent)
    assert live_fingerprint() == before


@pytest.mark.parametrize(
    "content",
    [
        "CREATE TABLE t ()",
        "CREATE SEQUENCE s",
        "CREATE VIEW v AS SELECT 1",
        "CREATE SCHEMA other",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_a_database_that_is_not_empty_is_refused(target, made, content):
    with postgres.connect(target.parameters) as session:
        session.execute(content)
    with folder.opened(made.name, DUMP) as (dump,), pytest.raises(TargetRefused, match="not empty"):
        rehearse.fill(target, made, dump, rehearse.silent)


@pytest.mark.parametrize("comment", ["NULL", "'somebody needs this'"])
def test_a_database_without_our_mark_is_refused(target, made, comment):
    sql(f'COMMENT ON DATABASE "{target.name}" IS {comment}')
    with folder.opened(made.name, DUMP) as (dump,), pytest.raises(TargetRefused, match="mark"):
        rehearse.fill(target, made, dump, rehearse.silent)


def test_leftovers_are_dropped_by_their_mark_and_nothing_else_is(made, backups):
    with disposable.database(postgres.live()) as first:
        prefix = first.name.rsplit("_", 1)[0]
        ours = sql(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
            first.name,
        )[0][0]
    marked, unmarked, others = f"{prefix}_left", f"{prefix}_young", f"{prefix}_other"
    try:
        for name, comment in (
            (marked, f"'{ours}'"),
            (unmarked, "NULL"),
            (others, "'of another system'"),
        ):
            sql(f'CREATE DATABASE "{name}"')
            sql(f'COMMENT ON DATABASE "{name}" IS {comment}')
        assert rehearse.rehearse(made.name).passed
        left = {
            name
            for (name,) in sql(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", prefix
            )
        }
        assert left == {others}
    finally:
        drop(marked, unmarked, others)


def test_an_interrupt_right_after_the_database_was_made_drops_it(made, monkeypatch):
    real = disposable._make

    def interrupted(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(disposable, "_make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rehearse.rehearse(made.name)
    assert rehearsal_databases() == []


def test_a_database_under_our_name_without_mark_but_with_data_stays(made):
    with disposable.database(postgres.live()) as first:
        name = f"{first.name.rsplit('_', 1)[0]}_data"
    sql(f'CREATE DATABASE "{name}"')
    try:
        with postgres.connect(postgres.live() | {"dbname": name}) as session:
            session.execute("CREATE TABLE precious ()")
        assert rehearse.rehearse(made.name).passed
        assert sql("SELECT count(*) FROM pg_database WHERE datname = %s", name) == [(1,)]
    finally:
        drop(name)


def test_one_rehearsal_at_a_time(target, made):
    with pytest.raises(BackupBusy):
        rehearse.rehearse(made.name)


def test_another_server_is_used_where_one_is_named(made, settings):
    settings.REHEARSAL_DATABASE_URL = database_url().rpartition("/")[0] + "/stage"
    assert rehearse.rehearse(made.name).passed
    assert rehearsal_databases() == []


def test_a_throw_away_server_is_started_and_removed(made, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearse.embedded, "DEFAULT_ROOT", tmp_path)
    settings.REHEARSAL_DATABASE_URL = "embedded"
    verdict = rehearse.rehearse(made.name)
    assert verdict.passed, verdict.failures
    assert [path.name for path in (tmp_path / "rehearsal").iterdir()] == ["lock"]


def test_a_plain_file_cannot_be_rehearsed(backups):
    with pytest.raises(BackupError, match="no manifest"):
        rehearse.rehearse("old.sql")


def test_a_server_that_is_not_there_is_told(made, settings):
    settings.REHEARSAL_DATABASE_URL = "postgres://nobody:secret@127.0.0.1:1/stage"
    with pytest.raises(BackupError, match="Nothing was rehearsed") as told:
        rehearse.rehearse(made.name)
    assert "secret" not in str(told.value)


def test_a_place_that_is_none_is_told_and_no_other_is_taken(made, settings):
    settings.REHEARSAL_DATABASE_URL = "embeded"
    with pytest.raises(BackupError, match="not a PostgreSQL database URL:"):
        rehearse.rehearse(made.name)


def test_a_restored_database_sorts_as_the_live_one(backups):
    provider = "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = %s"
    name = f"stage_builtin_{os.getpid()}"
    sql(
        f'CREATE DATABASE "{name}" TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE '
        "'C.UTF-8'"
    )
    try:
        with disposable.database(postgres.live() | {"dbname": name}) as target:
            assert sql(provider, target.name) == [("b", "C.UTF-8")]
    finally:
        drop(name)


@pytest.fixture
def in_another_schema(backups, monkeypatch):
    """Let the target's table stand in a schema of its own, as that of a host project may."""
    sql("CREATE SCHEMA deals")
    sql("ALTER TABLE stageapp_portfoliocompany SET SCHEMA deals")
    monkeypatch.setattr(PortfolioCompany._meta, "db_table", '"deals"."stageapp_portfoliocompany"')
    yield "deals.stageapp_portfoliocompany"
    sql("ALTER TABLE deals.stageapp_portfoliocompany SET SCHEMA public")
    sql("DROP SCHEMA deals")


def test_a_target_in_another_schema_is_in_the_backup_and_compared(in_another_schema):
    made = create.create()
    assert made.contents.tables[in_another_schema].rows == 200
    assert (made.contents.stages[LABEL].distinct, made.contents.audit[LABEL]) == (
        8,
        AuditFacts(100, 100),
    )
    verdict = rehearse.rehearse(made.name)
    assert verdict.passed, verdict.failures
    sql(f"UPDATE {in_another_schema} SET stage = 'x' WHERE stage = 'seed'")
    changed = create.create().contents
    assert changed.tables[in_another_schema].md5 != made.contents.tables[in_another_schema].md5
    assert changed.stages != made.contents.stages
