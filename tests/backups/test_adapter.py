"""Another backup system tells the same facts by a command; what it says otherwise is refused."""

import datetime
import json

import pytest
from django.utils import timezone

from stageapp.backups import adapter, evidence, keeping
from stageapp.backups.errors import BackupError
from stageapp.models.backups import Backup
from tests.normalization.evidence import ME

PROGRAM = """#!/bin/sh
verb=$1; name=${2:-full-1}
taken=TAKEN
case $verb in
    create) echo "{\\"name\\": \\"$name\\", \\"taken_at\\": \\"$taken\\", \\"bytes\\": 7}";;
    list) echo "[{\\"name\\": \\"$name\\", \\"taken_at\\": \\"$taken\\", \\"bytes\\": 7}]";;
    *) echo "{\\"name\\": \\"$name\\", \\"taken_at\\": \\"$taken\\", \\"bytes\\": 7, \\"passed\\": true,
              \\"said\\": \\"as it should be\\", \\"seconds\\": 61.5}";;
esac
"""


@pytest.fixture
def program(backups, settings, tmp_path):
    """Return a function that makes the adapter a shell script of this text."""

    taken = timezone.now().isoformat()

    def write(text):
        path = tmp_path / "adapter"
        path.write_text(text.replace("TAKEN", taken))
        path.chmod(0o755)
        settings.STAGE_BACKUP_ADAPTER = f"{path}"

    return write


def answers(program, answer):
    program(
        f"#!/bin/sh\ncat <<'X'\n{answer if isinstance(answer, str) else json.dumps(answer)}\nX\n"
    )


def good(**changes):
    return {"name": "full-1", "taken_at": timezone.now().isoformat(), "bytes": 7} | changes


def test_its_backups_count_like_ours(program):
    program(PROGRAM)
    assert keeping.create(**ME).origin == "adapter"
    assert keeping.verify(None, **ME).passed
    assert keeping.rehearse("full-1", **ME).seconds == 61.5
    assert [(it.name, it.present, it.verified.passed) for it in keeping.known()] == [
        ("full-1", True, True)
    ]
    found = evidence.read()
    assert (found.verified, found.rehearsed, found.rto_seconds) == ("full-1", "full-1", 61.5)


def test_a_backup_from_before_the_last_migration_proves_nothing_of_todays_schema(program):
    answers(program, good(taken_at="2001-01-01T00:00:00+00:00", passed=True))
    keeping.rehearse("full-1", **ME)
    assert Backup.objects.get().schema == ""
    assert evidence.read().rehearsed == ""


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no json",
        [],
        "null",
        {},
        good(name=""),
        good(name=5),
        good(bytes="7"),
        good(bytes=-1),
        good(bytes=True),
        good(taken_at="yesterday"),
        good(taken_at="2026-01-01T00:00:00"),
        good(passed="yes"),
        good(extra=1),
        good(said=None),
        good(seconds="1"),
    ],
)
def test_an_answer_that_is_not_as_documented_is_refused(program, answer):
    answers(program, answer)
    with pytest.raises(BackupError, match="adapter"):
        adapter.ask("create")
    assert Backup.objects.count() == 0


def test_a_verdict_has_to_be_said_and_of_the_backup_asked_of(program):
    answers(program, good())
    with pytest.raises(
        BackupError, match="did not say whether `verify` passed: `passed` is missing"
    ):
        adapter.ask("verify", "full-1")
    with pytest.raises(BackupError, match="asked about full-2 and answered about full-1"):
        adapter.ask("verify", "full-2")


def test_a_bad_verdict_is_one(program):
    answers(program, good(passed=False, said="page checksum mismatch"))
    assert keeping.verify("full-1", **ME).failures == "adapter: page checksum mismatch"
    assert evidence.read().verified == ""


def test_what_fails_or_takes_too_long_is_told(program, settings):
    program("#!/bin/sh\necho 'stanza missing' >&2\nexit 3\n")
    with pytest.raises(BackupError, match=r"failed \(3\): stanza missing"):
        keeping.create(**ME)
    settings.STAGE_BACKUP_ADAPTER_SECONDS = 0.2
    program("#!/bin/sh\nexec sleep 5\n")
    with pytest.raises(BackupError, match="timed out"):
        keeping.create(**ME)
    settings.STAGE_BACKUP_ADAPTER = "/no/such/program"
    with pytest.raises(BackupError, match="No such file"):
        keeping.create(**ME)


def test_names_never_meet_a_shell(program, tmp_path):
    program(f'#!/bin/sh\nprintf "%s" "$2" > {tmp_path}/word\nexit 1\n')
    with pytest.raises(BackupError):
        adapter.ask("verify", "$(touch x); `id` -rf")
    assert (tmp_path / "word").read_text() == "$(touch x); `id` -rf"


@pytest.mark.parametrize(
    "act", [lambda: keeping.restore(None, None, **ME), lambda: keeping.prune(1, **ME)]
)
def test_restoring_and_removing_stay_with_that_system(program, act):
    program(PROGRAM)
    with pytest.raises(BackupError, match="STAGE_BACKUP_ADAPTER"):
        act()


def test_data_from_the_future_is_not_new_for_ever(program):
    answers(
        program,
        good(taken_at=(timezone.now() + datetime.timedelta(hours=2)).isoformat(), passed=True),
    )
    assert "a clock is wrong" in keeping.verify("full-1", **ME).failures
    assert evidence.read().verified == ""


def test_one_name_is_one_state_of_the_data(program):
    first = timezone.now() - datetime.timedelta(minutes=50)
    answers(program, good(taken_at=first.isoformat(), passed=True))
    keeping.verify("full-1", **ME)
    for minutes in (-30, 30):
        moved = (first + datetime.timedelta(minutes=minutes)).isoformat()
        answers(program, good(taken_at=moved, passed=True))
        with pytest.raises(BackupError, match="needs a different name"):
            keeping.rehearse("full-1", **ME)
    assert (Backup.objects.get().taken_at, evidence.read().rehearsed) == (first, "")
