"""`manage.py backup` as a person and a script meet it."""

import io
import json
import os
import re

import pytest
from django.core.management import CommandError, call_command

from stageapp.backups import folder, keeping
from tests.backups.conftest import backups, kept, transactional_db  # noqa: F401  fixtures
from tests.backups.damage import DUMP
from tests.backups.databases import drop
from tests.normalization.evidence import ME, sql

NEW = f"stage_by_command_{os.getpid()}"  # several sessions may share the server


def backup(*words):
    out = io.StringIO()
    call_command("backup", *words, stdout=out)
    return out.getvalue()


def document(*words):
    return json.loads(backup(*words, "--json"))


def test_create_verify_rehearse_list(backups):  # noqa: F811
    made = document("create", "--reason", "before the run")
    assert made["name"] in folder.names()
    assert document("verify")["passed"] is True
    rehearsed = document("rehearse", made["name"])
    assert (rehearsed["passed"], rehearsed["seconds"] > 0) == (True, True)
    (one,) = document("list")["backups"]
    assert (one["name"], one["verified"]["passed"], one["rehearsed"]["passed"]) == (
        made["name"],
        True,
        True,
    )
    listed = backup("list")
    assert re.search(
        r"  \d+ s old  verified \d+ s ago in [\d.]+ m?s, rehearsed \d+ s ago in ", listed
    )


def test_what_people_read(kept):  # noqa: F811
    assert "NOT GOOD" not in backup("verify")
    assert "time to restore (RTO)" in backup("rehearse")
    assert kept.name in backup("list")


def test_a_bad_backup_ends_with_an_error_and_its_reasons(kept, backups):  # noqa: F811
    (backups / kept.name / DUMP).write_bytes(b"")
    for verb in ("verify", "rehearse"):
        with pytest.raises(CommandError, match="size: 0 bytes"):
            backup(verb)


def test_an_old_backup_is_refused_unless_any_age_will_do(kept):  # noqa: F811
    with pytest.raises(CommandError, match="age"):
        backup("verify", "--max-age", "0.0000001")
    assert "good" in backup("verify", "--any-age")


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "inf", "soon"])
def test_an_age_that_is_none_is_wrong_usage(transactional_db, hours):  # noqa: F811
    with pytest.raises(CommandError, match="max-age"):
        backup("verify", "--max-age", hours)


def test_without_a_backup_it_says_what_to_do(backups):  # noqa: F811
    assert "backup create" in backup("list")
    for verb in ("verify", "rehearse", "restore"):
        with pytest.raises(CommandError, match="backup create"):
            backup(verb)


def test_restore_prints_the_steps(kept):  # noqa: F811
    drop(NEW)
    try:
        assert 'RENAME TO "' in backup("restore", "--database", NEW)
        assert sql("SELECT count(*) FROM pg_database WHERE datname = %s", NEW) == [(1,)]
        with pytest.raises(CommandError, match="already"):
            backup("restore", "--database", NEW)
    finally:
        drop(NEW)


def test_prune_says_what_went(kept):  # noqa: F811
    assert "Nothing" in backup("prune", "--keep", "5")
    keeping.verify(None, **ME)
    newer = keeping.create(**ME)
    keeping.verify(newer.name, **ME)
    assert document("prune", "--keep", "1") == {"removed": [kept.name]}


def test_each_phase_has_a_bar_of_its_own(kept, capfd):  # noqa: F811
    backup("rehearse")
    shown = capfd.readouterr().err
    assert [phase in shown for phase in ("verify: 100%", "restore:", "measure: 100%")] == [True] * 3
    document("verify")
    assert "%" not in capfd.readouterr().err


def test_create_shows_what_is_written_and_its_rate(backups, capfd):  # noqa: F811
    backup("create")
    shown = capfd.readouterr().err
    assert re.search(r"dump: [\d.]+[kM]?B \[.*, [\d.]+[kM]?B/s\]", shown), shown
