"""No damaged backup is called good, and age is what the signed manifest says."""

import dataclasses
import datetime
import hashlib
import json
import os
import random
import shutil
import time

import pytest
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from stageapp.backups import create, keeping, manifest, verify
from stageapp.backups.errors import BackupError, BadManifest, NoSuchBackup
from tests.backups.damage import DUMP, MANIFEST, Damage, copy
from tests.normalization.evidence import ME, sql


@pytest.fixture
def pair(made, backups, tmp_path):
    """Return the folders of a backup, of another one, and of a copy of the first."""
    sql(
        "UPDATE stageapp_portfoliocompany SET name = name || '!'"
    )  # else both dumps of one second are the same
    other = create.create()
    spare = tmp_path / "spare"
    shutil.copytree(backups / made.name, spare)
    return backups / made.name, backups / other.name, spare


def called_good(pair, count):
    backup, other, spare = pair
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    good, began = [], time.monotonic()
    for _ in range(count):
        how = Damage(chance, backup, other).any()
        if verify.verify(backup.name).passed:
            good.append(how)
        copy(spare, backup)
    print(
        f"seed {seed}: {count - len(good)} of {count} damages caught in "
        f"{time.monotonic() - began:.1f} s"
    )
    assert verify.verify(backup.name).passed, "undamaged, it is good again"
    return good


def test_no_damage_is_called_good(pair):
    assert called_good(pair, 60) == []


@pytest.mark.full
def test_none_of_a_thousand_damages_is_called_good(pair):
    assert called_good(pair, 1000) == []


@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999])
def test_a_dump_cut_short_is_caught(pair, share):
    size = (pair[0] / DUMP).stat().st_size
    os.truncate(pair[0] / DUMP, int(size * share))
    assert [it.check for it in verify.verify(pair[0].name).findings if not it.passed] == ["size"]


@pytest.mark.parametrize("file", [DUMP, MANIFEST])
def test_a_missing_file_is_caught(pair, file):
    (pair[0] / file).unlink()
    assert "No such file" in verify.verify(pair[0].name).failures


@pytest.mark.parametrize("file", [DUMP, MANIFEST])
def test_a_file_that_its_owner_may_not_read_is_caught(pair, file):
    (pair[0] / file).chmod(0)
    assert not verify.verify(pair[0].name).passed


@pytest.mark.parametrize("file", [DUMP, MANIFEST])
def test_a_pipe_in_the_place_of_a_file_is_caught_and_does_not_block(pair, file):
    (pair[0] / file).unlink()
    os.mkfifo(pair[0] / file)
    assert "not a readable file" in verify.verify(pair[0].name).failures


def test_a_backup_under_the_name_of_another_is_caught(pair, backups):
    renamed = pair[0].rename(backups / "stage-20990101T000000Z-ffffff")
    assert "belongs to" in verify.verify(renamed.name).failures


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[]",
        "{",
        '{"manifest": {}, "manifest": {}, "signature": ""}',
        "[" * 100_000,
        '"\\ud800"',
        "é",
    ],
)
def test_a_manifest_that_is_none_is_caught(pair, text):
    (pair[0] / MANIFEST).write_text(text)
    assert [it.check for it in verify.verify(pair[0].name).findings] == ["manifest"]


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "0" * 63},
        {"sha256": 5},
        {"taken_at": "2026-01-01T00:00:00"},
        {"format": 2},
        {"contents": None},
        {"taken_at": "yesterday"},
    ],
)
def test_a_signed_manifest_that_says_something_else_is_caught(pair, made, change, monkeypatch):
    signed = manifest.dump(made)
    body = manifest._parse(signed)["manifest"] | change
    (pair[0] / MANIFEST).write_bytes(
        manifest._written({"manifest": body, "signature": manifest._signatures(body)[0]})
    )
    assert not verify.verify(pair[0].name).passed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(data=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_stands_in_the_place_of_a_manifest_is_a_bad_one(data):
    with pytest.raises(BadManifest):
        manifest.load(data, "a")


@given(body=JSON, contents=JSON)
@example(body={}, contents={})
def test_whatever_somebody_with_the_key_signs_is_read_or_is_a_bad_one(body, contents):
    """A later version of ours may sign something else; it has to be told, not to break."""
    known = {
        "format": 1,
        "name": "a",
        "taken_at": "2030-01-01T00:00:00+00:00",
        "ended_at": "2030-01-01T00:00:00+00:00",
        "bytes": 1,
        "sha256": "0" * 64,
    }
    for said in (
        body,
        known | {"contents": contents},
        known | (body if isinstance(body, dict) else {}),
    ):
        data = manifest._written({"manifest": said, "signature": manifest._signatures(said)[0]})
        with pytest.raises(BadManifest):
            manifest.load(data, "a")


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}")])
def test_a_manifest_nested_to_any_depth_is_a_bad_one(opening, closing):
    for depth in [*range(100, 1100, 3), 5000]:
        nested = opening * depth + "1" + closing * depth
        with pytest.raises(BadManifest):
            manifest.load(f'{{"manifest": {nested}, "signature": ""}}'.encode(), "a")


def test_after_a_rotation_the_new_key_signs_and_the_old_one_can_go(made, backups, settings):
    settings.STAGE_BACKUP_KEY = "n" * 32 + " " + "k" * 32
    newer = create.create().name
    settings.STAGE_BACKUP_KEY = "k" * 32
    assert not verify.verify(newer).passed
    settings.STAGE_BACKUP_KEY = "n" * 32
    assert (verify.verify(newer).passed, verify.verify(made.name).passed) == (True, False)


def test_a_manifest_signed_by_somebody_else_is_caught_and_a_rotated_key_is_not(
    pair, made, settings
):
    settings.STAGE_BACKUP_KEY = "n" * 32 + " " + "k" * 32
    assert verify.verify(made.name).passed
    settings.STAGE_BACKUP_KEY = "n" * 32
    assert "signature" in verify.verify(made.name).failures


@pytest.mark.parametrize("key", ["", "short", "k" * 32 + " short"])
def test_without_a_proper_key_nothing_is_made_and_nothing_verified(made, settings, key):
    settings.STAGE_BACKUP_KEY, settings.STAGE_EMBEDDED = key, False
    with pytest.raises(BackupError, match="STAGE_BACKUP_KEY"):
        verify.verify(made.name)
    with pytest.raises(BackupError, match="STAGE_BACKUP_KEY"):
        create.create()


def test_with_the_embedded_servers_the_key_is_made_from_the_secret_key(backups, settings):
    settings.STAGE_BACKUP_KEY, settings.STAGE_EMBEDDED = "", True
    name = create.create().name
    assert verify.verify(name).passed
    settings.SECRET_KEY = "another" * 10
    assert not verify.verify(name).passed


def aged_backup(backups, made, age):
    """Write the backup's manifest anew, as if it had been taken so long ago."""
    old = dataclasses.replace(made, taken_at=timezone.now() - age)
    (backups / made.name / MANIFEST).write_bytes(manifest.dump(old))


@pytest.mark.parametrize("minutes, passed", [(59, True), (61, False)])
def test_age_is_that_of_the_manifest_and_not_of_the_files(made, backups, minutes, passed):
    aged_backup(backups, made, datetime.timedelta(minutes=minutes))
    for path in (backups / made.name, backups / made.name / DUMP, backups / made.name / MANIFEST):
        os.utime(path)  # touched now
    hour = datetime.timedelta(hours=1)
    assert keeping.verify(made.name, max_age=hour, **ME).passed is passed
    os.utime(backups / made.name / DUMP, (0, 0))
    assert keeping.verify(made.name, max_age=hour, **ME).passed is passed
    assert keeping.verify(made.name, **ME).passed


def test_a_backup_from_the_future_is_not_good(made, backups):
    aged_backup(backups, made, datetime.timedelta(minutes=-30))
    assert "a clock is wrong" in keeping.verify(made.name, **ME).failures


def test_the_sum_is_read_through_one_buffer(tmp_path):
    data = os.urandom(5_000_001)
    (tmp_path / "file").write_bytes(data)
    seen = []
    with (tmp_path / "file").open("rb", buffering=0) as file:
        found = verify.sha256_of(file, len(data), lambda *progress: seen.append(progress))
    assert found == hashlib.sha256(data).hexdigest()
    assert seen[0] == ("verify", 1 << 20, len(data))
    assert seen[-1] == ("verify", len(data), len(data))


@pytest.fixture
def plain(backups):
    """Return a plain .sql file with the sum beside it, as sha256sum writes it."""
    backups.mkdir(exist_ok=True)
    file = backups / "old.sql"
    file.write_bytes(b"CREATE TABLE t ();\n")
    sum_file = backups / "old.sql.sha256"
    sum_file.write_text(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  old.sql\n")
    return file, sum_file


def test_a_plain_sql_file_verifies_by_the_sum_beside_it(plain):
    assert verify.verify("old.sql").passed
    assert not verify.aged(verify.verify("old.sql"), datetime.timedelta(days=9)).passed
    plain[0].write_bytes(b"CREATE TABLE u ();\n")
    assert not verify.verify("old.sql").passed


@pytest.mark.parametrize(
    "text", ["", "0" * 64, "x" * 64 + "  old.sql", "{sum}  other.sql", "{sum}\n{sum}"]
)
def test_a_sum_file_that_does_not_fit_is_caught(plain, text):
    plain[1].write_text(text.format(sum=hashlib.sha256(plain[0].read_bytes()).hexdigest()))
    assert not verify.verify("old.sql").passed


def test_an_empty_plain_file_is_no_backup(plain):
    plain[0].write_bytes(b"")
    plain[1].write_text(hashlib.sha256(b"").hexdigest())
    assert [it.check for it in verify.verify("old.sql").findings if not it.passed] == ["size"]


def test_a_name_without_a_backup_is_told(backups):
    with pytest.raises(NoSuchBackup, match="backup list"):
        verify.verify("stage-20260101T000000Z-000000")
    with pytest.raises(NoSuchBackup, match="no backup yet"):
        keeping.verify(None, **ME)
