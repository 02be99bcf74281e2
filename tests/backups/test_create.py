"""A backup and its manifest are of one moment; one that could not be written whole does not
exist.
"""

import hashlib
import json
import os
import subprocess
import threading
import time

import pytest
from django.db import connection

from stageapp.backups import create, folder, rehearse, verify
from stageapp.backups.errors import BackupBusy, BackupError
from stageapp.models import PortfolioCompany
from tests.backups.damage import DUMP
from tests.normalization.evidence import LABEL, database_url, sql
from tests.normalization.processes import MANAGE, begin


def test_the_manifest_tells_what_the_file_and_the_database_hold(made, backups):
    dump = (backups / made.name / DUMP).read_bytes()
    assert (made.bytes, made.sha256) == (len(dump), hashlib.sha256(dump).hexdigest())
    assert dump[:5] == b"PGDMP"
    assert made.contents.tables["public.stageapp_portfoliocompany"].rows == 200
    assert made.contents.rows == sum(
        sql(f"SELECT count(*) FROM {name}")[0][0] for name in connection.introspection.table_names()
    )
    assert dict(made.contents.stages[LABEL].counts)["seed"] == 60
    assert (
        made.contents.vocabulary_version
        == sql("SELECT max(number) FROM stageapp_vocabularyversion")[0][0]
    )
    assert (made.server_version, made.dump_version.split()[0]) == (connection.pg_version, "pg_dump")


def test_rows_written_meanwhile_are_in_neither_or_in_both(backups):
    """Writers go on during the dump; the restored rows are still exactly those of the manifest."""
    over = threading.Event()

    def write():
        number = 0
        while not over.is_set():
            number += 1
            PortfolioCompany.objects.filter(pk=1 + number % 200).update(stage=f"written {number}")
            PortfolioCompany.objects.create(
                fund_id=PortfolioCompany.objects.first().fund_id, name="late", stage="late"
            )
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        names = [create.create().name for _ in range(3)]
    finally:
        over.set()
        writer.join()
    assert [rehearse.rehearse(name).failures for name in names] == [""] * 3


def test_progress_is_told_of_both_parts(backups):
    seen = []
    made = create.create(lambda *progress: seen.append(progress))
    assert [it for it in seen if it[0] == "dump"][-1] == ("dump", made.bytes, 0)
    measured = [it for it in seen if it[0] == "measure"]
    assert all(0 <= done <= whole for _, done, whole in measured)


def test_two_at_once_are_one(backups):
    with folder.locked(), pytest.raises(BackupBusy):
        create.create()
    assert folder.names() == []


def assert_nothing_is_left(backups):
    assert folder.names() == []
    assert [name for name in os.listdir(backups) if name != ".lock"] == []
    deadline = time.monotonic() + 10
    while sql(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' "
        "AND datname = current_database()"
    )[0][0]:
        assert time.monotonic() < deadline, "pg_dump still runs"
        time.sleep(0.05)


@pytest.mark.parametrize("ending", ["exit 1", "kill -9 $$", "exec false"])
def test_a_pg_dump_that_ends_badly_leaves_nothing(backups, settings, tmp_path, ending):
    """The dump is whole, but pg_dump says that it is not."""
    real = subprocess.list2cmdline([str(create.postgres.path_of("pg_dump", connection.pg_version))])
    settings.STAGE_POSTGRES_PROGRAMS = str(tmp_path)
    (tmp_path / "pg_dump").write_text(
        f'#!/bin/sh\n{real} "$@"\necho "disk failure" >&2\n{ending}\n'
    )
    (tmp_path / "pg_dump").chmod(0o755)
    with pytest.raises(BackupError, match="disk failure"):
        create.create()
    assert_nothing_is_left(backups)


def test_a_missing_program_is_told_with_the_setting(backups, settings, tmp_path):
    settings.STAGE_POSTGRES_PROGRAMS = str(tmp_path)
    with pytest.raises(BackupError, match="STAGE_POSTGRES_PROGRAMS"):
        create.create()
    assert_nothing_is_left(backups)


def fill_with_noise():
    """Make the dump larger than a few megabytes: what md5 gives cannot be compressed."""
    sql(
        "CREATE TABLE noise AS SELECT md5(i::text) || md5((-i)::text) AS t FROM "
        "generate_series(1, 100000) AS i"
    )


@pytest.fixture
def noise(backups):
    fill_with_noise()
    yield
    sql("DROP TABLE noise")


def test_a_file_size_limit_is_told_and_leaves_nothing(noise, backups):
    # 1 or 2 MB, as the shell counts
    command = f"ulimit -f 2048; exec {' '.join(MANAGE)} backup create --json"
    process = begin("sh", "-c", command, STAGE_BACKUP_DIR=str(backups), STAGE_BACKUP_KEY="k" * 32)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert "could not be written: File too large" in err
    assert_nothing_is_left(backups)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_disk_is_told_and_leaves_nothing(noise, settings, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(small)], check=True
    )
    try:
        settings.STAGE_BACKUP_DIR = str(small)
        with pytest.raises(BackupError, match="No space left on device"):
            create.create()
        assert_nothing_is_left(small)
        sql("TRUNCATE noise")  # there is room again: what failed takes none
        assert verify.verify(create.create().name).passed
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_the_password_stands_on_no_command_line(noise, backups):
    password = connection.settings_dict["PASSWORD"]
    assert password in database_url()
    seen, over = set(), threading.Event()

    def watch():
        while not over.is_set():
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{pid}/cmdline", "rb") as file:
                        words = file.read().decode(errors="replace")
                except OSError:
                    continue
                if "pg_dump" in words:
                    seen.add(words)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        create.create()
    finally:
        over.set()
        watcher.join()
    assert seen, "pg_dump was never seen"
    assert not [words for words in seen if password in words]


def test_the_command_prints_one_document(backups):
    process = begin(
        *MANAGE,
        "backup",
        "create",
        "--json",
        STAGE_BACKUP_DIR=str(backups),
        STAGE_BACKUP_KEY="k" * 32,
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert verify.verify(json.loads(out)["name"]).passed
