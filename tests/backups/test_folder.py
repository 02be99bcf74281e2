"""No name leads out of the folder, nothing half-made has a name, and one process at a time
changes it.
"""

import os
import shutil
import subprocess
import sys

import pytest

from stageapp.backups import folder, rehearse, verify
from stageapp.backups.errors import BackupBusy, BackupError, NoSuchBackup
from tests.backups.damage import DUMP, MANIFEST

ESCAPES = [
    "../outside",
    "..",
    ".",
    "/etc/passwd",
    "a/../../outside",
    "$(id)",
    "`id`",
    "; id",
    "a;id",
    "-rf",
    "--help",
    "a\nb",
    "a\n",
    "\x00",
    "a b",
    "",
    "a/b",
    ".hidden",
    "~root",
    "%2e%2e%2f",
    "..\\x",
    "é",
    "x" * 200,
]


@pytest.fixture
def outside(made, backups):
    """Return a good backup that lies outside of the folder."""
    return backups.parent / shutil.copytree(backups / made.name, backups.parent / "outside").name


@pytest.mark.parametrize("act", [verify.verify, rehearse.rehearse, folder.remove])
def test_a_name_that_is_a_path_or_a_command_is_refused(outside, act):
    for name in ESCAPES:
        with pytest.raises(NoSuchBackup):
            act(name)
        assert (outside / DUMP).is_file(), name


def test_a_plain_name_that_is_a_path_is_never_read(outside):
    for name in ("../outside.sql", "/etc/passwd.sql", "a/b.sql", "-x.sql", "a\n.sql"):
        assert not verify.verify(name).passed, name


def test_a_backup_that_is_a_link_is_refused(outside, backups):
    (backups / "link").symlink_to(outside)
    with pytest.raises(NoSuchBackup):
        verify.verify("link")
    assert "link" not in folder.names()


@pytest.mark.parametrize("file", [DUMP, MANIFEST])
def test_a_file_that_is_a_link_is_refused(made, outside, backups, file):
    (backups / made.name / file).unlink()
    (backups / made.name / file).symlink_to(outside / file)
    assert not verify.verify(made.name).passed


def test_a_plain_file_that_is_a_link_is_refused(backups):
    backups.mkdir(exist_ok=True)
    (backups / "x.sql").symlink_to("/etc/passwd")
    (backups / "x.sql.sha256").write_text("0" * 64)
    assert "sha256" in verify.verify("x.sql").failures


def test_a_link_put_in_place_after_the_check_changes_nothing(made, outside, backups):
    """What was opened and verified is what pg_restore reads, whatever the name leads to by then."""
    (outside / DUMP).write_bytes(b"not what was verified")
    swapped = []

    def swap(phase, done, whole):
        if phase == "verify" and done == whole and not swapped:
            (backups / made.name).rename(backups / "aside")
            (backups / made.name).symlink_to(outside)
            swapped.append(True)

    verdict = rehearse.rehearse(made.name, swap)
    assert (verdict.passed, swapped) == (True, [True]), verdict.failures


def test_what_is_being_made_has_no_name_until_it_is_whole(backups):
    def fail_half_way():
        with folder.locked(), folder.unfinished("new") as place:
            folder.write_whole(place / DUMP, b"half")
            assert folder.names() == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert sorted(os.listdir(backups)) == [".lock"]


def test_files_are_for_their_owner_alone(made, backups):
    assert {(backups / made.name / file).stat().st_mode & 0o777 for file in (DUMP, MANIFEST)} == {
        0o600
    }
    assert backups.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_process_left_is_cleared_away(made, backups):
    for name in (".unfinished-a", ".removed-b"):
        (backups / name).mkdir()
        (backups / name / DUMP).write_bytes(b"half")
    with folder.locked():
        assert sorted(os.listdir(backups)) == [".lock", made.name]


def test_one_process_at_a_time_changes_the_folder(backups):
    hold = (
        "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print(1, flush=True); input()"
    )
    folder.path()
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(backups / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        other.stdout.readline()
        with pytest.raises(BackupBusy), folder.locked():
            pass
        other.communicate(b"\n")
    with folder.locked():
        pass


def test_a_folder_that_everybody_may_write_to_is_refused(backups):
    backups.mkdir()
    backups.chmod(0o777)
    with pytest.raises(BackupError, match="Everybody may write"):
        folder.names()


def test_without_a_folder_it_says_which_setting(backups, settings):
    settings.STAGE_BACKUP_DIR = ""
    with pytest.raises(BackupError, match="STAGE_BACKUP_DIR"):
        folder.names()
    (backups.parent / "file").write_text("")
    settings.STAGE_BACKUP_DIR = str(backups.parent / "file")
    with pytest.raises(BackupError, match="STAGE_BACKUP_DIR"):
        folder.names()


def test_what_is_no_backup_is_not_listed(made, backups):
    (backups / "zfs").mkdir()
    (backups / "notes.txt").write_text("")
    assert folder.names() == [made.name]
    (backups / "copy").mkdir()
    (backups / "copy" / DUMP).write_bytes(
        b""
    )  # somebody has named it so: it can be looked at, and is none of ours
    assert folder.names() == [made.name, "copy"]
    assert folder.own_names() == [made.name]


@pytest.mark.parametrize("name", [".unfinished-file", ".removed-file"])
def test_a_file_where_a_leftover_would_be_keeps_nobody_out(backups, name):
    folder.path()
    (backups / name).write_text("")
    with folder.locked():
        assert (backups / name).exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_lock_of_another_user_is_told_with_what_to_do(backups):
    folder.path()
    (backups / ".lock").touch(mode=0o400)
    with pytest.raises(BackupError, match="as one user"), folder.locked():
        pass


def test_a_refusal_by_the_disk_is_told_with_what_to_do(backups):
    with pytest.raises(BackupError, match="Make backups as one user"), folder.locked():
        raise PermissionError(13, "Permission denied", str(backups / ".lock"))
