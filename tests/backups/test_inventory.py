"""Backups that are there and not on record are found, and taken on record if they can be
believed.
"""

import json

import pytest
from django.utils import timezone

from stageapp.backups import evidence, folder, keeping
from stageapp.backups.errors import BackupError
from stageapp.models.backups import Backup
from tests.backups.test_adapter import good, program  # noqa: F401  a fixture
from tests.normalization.evidence import ME


def test_one_without_a_record_is_found_and_recorded_and_counts_only_once_it_is_verified(made):
    assert keeping.unrecorded() == [made.name]
    assert keeping.record(**ME) == keeping.Taken((made.name,))
    assert (keeping.unrecorded(), Backup.objects.get().sha256) == ([], made.sha256)
    assert evidence.read().verified == ""
    keeping.verify(made.name, **ME)
    assert evidence.read().verified == made.name


def test_one_that_is_not_signed_by_us_is_refused_by_name(made, backups):
    path = backups / made.name / folder.MANIFEST
    path.write_bytes(path.read_bytes().replace(b"stage", b"Stage", 1))
    found = keeping.record(**ME)
    assert found.taken == ()
    assert found.refused[0].startswith(f"{made.name}: ")
    assert not Backup.objects.exists()
    with pytest.raises(BackupError):
        keeping.described(made.name)


def test_the_manifest_is_read_without_the_dump(made, backups):
    (backups / made.name / folder.DUMP).unlink()
    assert keeping.described(made.name) == made


def test_what_another_system_lists_is_recorded_and_what_it_lists_no_more_is_gone(program):  # noqa: F811
    at = timezone.now().isoformat()

    def listed(*names):
        backups = json.dumps([good(name=name, taken_at=at) for name in names])
        program(f"#!/bin/sh\ncat <<'X'\n{backups}\nX\n")

    listed("full-1", "full-2")
    assert keeping.record(**ME).taken == ("full-1", "full-2")
    listed("full-2", "full-3")
    assert keeping.record(**ME).taken == ("full-3",)
    gone = Backup.objects.get(name="full-1")
    assert (gone.removed_at <= timezone.now(), gone.removed_why) == (
        True,
        "the backup system no longer lists it",
    )
    assert Backup.objects.filter(removed_at=None).count() == 2
    assert keeping.unrecorded() == []  # of the folder; the other system is not asked
