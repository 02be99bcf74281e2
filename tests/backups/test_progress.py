"""How far a job is: of its phase, with what can be known of the whole."""

from datetime import timedelta

import pytest
from django.utils import timezone

from stageapp.backups.progress import progress
from stageapp.models.backups import Backup, BackupJob

NOW = timezone.now()


def at(phase, done, whole, seconds=4):
    return progress(
        BackupJob(
            verb="create",
            phase=phase,
            done=done,
            whole=whole,
            created_at=NOW,
            phase_began_at=NOW,
            heartbeat_at=NOW + timedelta(seconds=seconds),
        )
    )


def test_a_phase_whose_whole_is_known_has_percent_rate_and_time_left():
    found = at("verify", 30, 120)
    assert (found.percent, found.rate, found.eta_seconds, found.in_bytes) == (25.0, 7.5, 12.0, True)
    assert not at("measure", 3, 30).in_bytes


@pytest.mark.django_db
def test_a_dump_is_held_against_the_newest_backup_and_is_never_said_to_be_at_its_end():
    assert (at("dump", 30, 0).percent, at("dump", 30, 0).eta_seconds, at("dump", 30, 0).rate) == (
        None,
        None,
        7.5,
    )
    for number, size in enumerate((120, 60)):
        taken = NOW - timedelta(hours=number + 1)
        Backup.objects.create(
            name=f"stage-{number}",
            taken_at=taken,
            ended_at=taken,
            bytes=size,
            actor="ann",
            reason="x",
        )
    found = at("dump", 30, 0)
    assert (found.percent, found.eta_seconds, found.estimated) == (25.0, 12.0, True)
    assert (at("dump", 500, 0).percent, at("dump", 500, 0).eta_seconds) == (99.0, 0.0)


def test_a_job_that_has_not_begun_tells_nothing():
    found = progress(BackupJob(verb="create"))
    assert (found.percent, found.rate, found.eta_seconds, found.seconds) == (None, None, None, None)
    assert at("verify", 5, 10, seconds=0).rate is None
