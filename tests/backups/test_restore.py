"""On the bad day a backup comes back beside the live database, with the mode no stricter than it
was.
"""

import dataclasses
import datetime
import json
import os

import psycopg
import pytest

from stageapp.backups import create, manifest, postgres, restore
from stageapp.backups.errors import BackupError, TargetRefused
from stageapp.mode import fast_copy, store
from stageapp.models import ModeChange
from tests.backups.damage import MANIFEST
from tests.backups.databases import drop, live_fingerprint, rehearsal_databases
from tests.normalization.evidence import ME, sql

NEW = f"stage_restored_{os.getpid()}"  # several sessions may share the server


@pytest.fixture
def history(backups):
    """Return a function that sets modes, one after another; the history and the fast copy are
    emptied.
    """
    _forget_modes()
    yield lambda *wanted: [
        store.change(mode=mode, percent=percent, **ME) for mode, percent in wanted
    ]
    _forget_modes()


def _forget_modes():
    sql("TRUNCATE stageapp_modechange CASCADE")
    fast_copy.write('{"mode": "off"}', (0, 0), instead_of=fast_copy.read() or b"")


@pytest.fixture
def restored(history):
    """Return a function that restores the newest backup into a database that is dropped
    afterwards.
    """
    drop(NEW)
    yield lambda name: restore.restore(name, NEW, **ME)
    drop(NEW)


def modes_in(database):
    with postgres.connect(postgres.live() | {"dbname": database}) as session:
        rows = (
            "SELECT epoch, version, mode, percent, kind FROM stageapp_modechange ORDER BY "
            "epoch, version"
        )
        return session.execute(rows).fetchall()


def test_the_rows_come_back_beside_the_live_database(backups, restored):
    name = create.create().name
    sql("DELETE FROM stageapp_portfoliocompany WHERE stage = 'seed'")
    before = live_fingerprint()
    done = restored(name)
    assert live_fingerprint() == before
    assert (done.name, done.database) == (name, NEW)
    with postgres.connect(postgres.live() | {"dbname": NEW}) as session:
        assert session.execute("SELECT count(*) FROM stageapp_portfoliocompany").fetchall() == [
            (200,)
        ]
    comment = sql(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", NEW
    )[0][0]
    assert comment == f"restored from {name} by tester"
    assert rehearsal_databases() == []


@pytest.mark.parametrize(
    "before, after, expected",
    [
        ([("warn", 100)], [], ("warn", 100, "manual")),
        (
            [("enforce", 50)],
            [("warn", 100)],
            ("warn", 100, "downgrade"),
        ),  # taken back since the backup was made
        ([("enforce", 50)], [("enforce", 10)], ("enforce", 10, "downgrade")),
        ([("warn", 100)], [("enforce", 10)], ("warn", 100, "manual")),
        ([("off", 100)], [], ("off", 100, "manual")),
    ],
)
def test_a_new_epoch_begins_with_the_less_strict_mode(history, restored, before, after, expected):
    history(*before)
    name = create.create().name
    history(*after)
    done = restored(name)
    newest = modes_in(NEW)[-1]
    assert newest == (2, len(before) + len(after) + 1, *expected)
    assert (done.mode.epoch, done.mode.mode) == (2, expected[0])


def announce(day, **more):
    store.change(mode="warn", enforce_on=day, **more, **ME)


@pytest.mark.parametrize("live", ["there", "lost"])
def test_the_announced_day_is_the_one_decided_last(history, restored, live):
    first, moved = datetime.date(2099, 3, 1), datetime.date(2099, 5, 1)
    announce(first)
    name = create.create().name
    announce(moved)
    if live == "lost":
        sql("ALTER TABLE stageapp_modechange RENAME TO lost")
        _no_fast_copy()
    try:
        done = restored(name)
    finally:
        if live == "lost":
            sql("ALTER TABLE lost RENAME TO stageapp_modechange")
    assert done.mode.enforce_on == (moved if live == "there" else first)


def test_a_day_withdrawn_since_the_backup_does_not_come_back(history, restored):
    announce(datetime.date(2099, 3, 1))
    name = create.create().name
    announce(None, withdraw_enforce_on=True)
    assert restored(name).mode.enforce_on is None


def test_a_latch_that_was_set_since_the_backup_outlives_the_restore(history, restored):
    history(("warn", 100))
    name = create.create().name
    history(("enforce", 10))
    store.change(mode="warn", kind="downgrade", **ME)
    restored(name)
    assert modes_in(NEW)[-1][2:] == ("warn", 100, "downgrade")


@pytest.mark.parametrize("order", [(10**15, 1), (1, 10**30), (2**31 - 1, 1)])
def test_a_forged_copy_does_not_keep_a_restore_from_its_epoch(history, restored, order):
    history(("warn", 100))
    name = create.create().name
    forged = {
        "mode": "warn",
        "percent": 100,
        "epoch": order[0],
        "version": order[1],
        "enforce_on": None,
    }
    fast_copy.write(json.dumps(forged), (0, 0), instead_of=fast_copy.read() or b"")
    done = restored(name)
    assert (done.mode.epoch, done.mode.version) == (2, 2)


def test_a_server_that_refuses_is_told_and_nothing_stays(made, restored, monkeypatch):
    def refuse(*_):
        raise psycopg.OperationalError("the disk is full")

    monkeypatch.setattr(restore, "_begin_epoch", refuse)
    with pytest.raises(BackupError, match=r"the disk is full.*Nothing was kept"):
        restored(made.name)
    assert rehearsal_databases() == []
    assert sql("SELECT count(*) FROM pg_database WHERE datname = %s", NEW) == [(0,)]


def test_a_process_that_knew_the_live_mode_follows_the_restored_one(history, restored):
    history(("warn", 100))
    name = create.create().name
    history(*[("enforce", 10)] * 3)
    store.adopt(store.latest())
    done = restored(name)
    store.adopt(dataclasses.replace(done.mode, source="postgres"))
    assert store.current().mode == "warn"


def test_with_the_live_mode_unknown_it_is_at_most_warn(history, restored):
    history(("enforce", 100))
    name = create.create().name
    sql("ALTER TABLE stageapp_modechange RENAME TO lost")  # as on an empty machine
    _no_fast_copy()
    try:
        done = restored(name)
    finally:
        sql("ALTER TABLE lost RENAME TO stageapp_modechange")
    assert (done.mode.mode, done.mode.epoch) == ("warn", 2)


def _no_fast_copy():
    fast_copy.write("no mode", (0, 0), instead_of=fast_copy.read() or b"")


def test_a_second_restore_of_an_old_backup_begins_a_newer_epoch_still(history, restored):
    history(("warn", 100))
    name = create.create().name
    store.adopt(restored(name).mode)
    ModeChange.objects.create(epoch=2, version=2, mode="warn", **ME)  # it was restored once since
    drop(NEW)
    assert restored(name).mode.epoch == 3


@pytest.mark.parametrize("name", ["live", "another"])
def test_a_database_that_is_there_is_never_restored_over(made, restored, name):
    target = postgres.live()["dbname"] if name == "live" else NEW
    if name == "another":
        sql(f'CREATE DATABASE "{NEW}"')
    before = live_fingerprint()
    with pytest.raises(TargetRefused, match="already"):
        restore.restore(made.name, target, **ME)
    assert live_fingerprint() == before


@pytest.mark.parametrize("name", ["a b", " ", "A", "x;y", "1a", "x" * 64, '"'])
def test_a_name_that_needs_quotes_is_refused(made, name):
    with pytest.raises(TargetRefused, match="is not a valid database name here"):
        restore.restore(made.name, name, **ME)


def test_what_is_restored_but_not_equal_does_not_stay(made, backups, restored):
    other = dataclasses.replace(
        made, contents=dataclasses.replace(made.contents, vocabulary_version=77)
    )
    (backups / made.name / MANIFEST).write_bytes(manifest.dump(other))
    with pytest.raises(BackupError, match="nothing was kept: vocabulary"):
        restored(made.name)
    assert sql("SELECT count(*) FROM pg_database WHERE datname = %s", NEW) == [(0,)]
    assert rehearsal_databases() == []


def test_the_steps_name_every_statement(made, restored):
    done = restored(made.name)
    text = "\n".join(done.steps())
    assert all(statement in text for statement in done.statements())
    assert postgres.live()["password"] not in text
    assert done.document()["switch_over"] == done.statements()
