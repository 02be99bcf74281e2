"""Backups by the clock: the newest verified one is never older than was promised, also when some
fail.
"""

from datetime import timedelta

import pytest
from django.conf import settings as project
from django.utils import timezone

from stageapp.backups import jobs
from stageapp.models.backups import BackupJob

HOUR = timedelta(hours=1)
START = timezone.now()
BEAT = timedelta(seconds=project.CELERY_BEAT_SCHEDULE["keep-backups"]["schedule"])


def ended(job, state, created, took):
    BackupJob.objects.filter(pk=job.pk).update(
        state=state, created_at=created, ended_at=created + took
    )


def oldest(hours, took, fails=lambda number: False):
    """Live through some hours of beat; return the greatest age that the newest verified backup
    ever had.
    """
    taken = [START]  # of the snapshots that count, with the time from which they do
    now, number, greatest = START, 0, timedelta()
    while now < START + timedelta(hours=hours):
        if job := jobs.due(now):
            failed = fails(number)
            ended(job, "failed" if failed else "done", now, took)
            if not failed:
                greatest = max(greatest, now + took - taken[-1])  # just before the new one counts
                taken.append(now)
            number += 1
            now += took
        now += BEAT
    assert len(taken) > hours
    return greatest


@pytest.mark.django_db
def test_at_fifty_minutes_no_hour_is_lost(settings):
    settings.STAGE_BACKUP_MINUTES = 50.0
    assert oldest(12, took=timedelta(seconds=37)) < 53 * HOUR / 60
    assert not jobs.too_slow()


@pytest.mark.django_db
def test_also_not_while_making_and_verifying_take_eight_minutes(settings):
    settings.STAGE_BACKUP_MINUTES = 50.0
    assert oldest(12, took=timedelta(minutes=8)) < HOUR


@pytest.mark.django_db
def test_also_not_when_every_third_fails(settings):
    settings.STAGE_BACKUP_MINUTES = 50.0
    assert oldest(12, took=timedelta(minutes=2), fails=lambda number: number % 3 == 2) < HOUR


@pytest.mark.django_db
def test_one_that_fails_again_and_again_is_tried_ever_less_often(settings):
    settings.STAGE_BACKUP_MINUTES = 50.0
    now, tries = START, []
    while now < START + 5 * HOUR:
        if job := jobs.due(now):
            ended(job, "failed", now, timedelta())
            tries.append((now - START) / timedelta(minutes=1))
        now += BEAT
    assert tries[:7] == [0, 2, 6, 14, 30, 62, 112]


@pytest.mark.django_db
def test_one_under_way_is_not_asked_for_again(settings):
    settings.STAGE_BACKUP_MINUTES = 50.0
    job = jobs.due(START)
    assert (job.verb, job.state) == ("scheduled", "waiting")
    assert jobs.due(START + 5 * HOUR) is None
    BackupJob.objects.update(state="done", ended_at=timezone.now())
    assert jobs.due(job.created_at + 49 * HOUR / 60) is None
    assert jobs.due(job.created_at + 51 * HOUR / 60) is not None


@pytest.mark.django_db
def test_without_an_interval_nothing_is_asked_for(settings):
    settings.STAGE_BACKUP_MINUTES = 0.0
    assert jobs.due(START) is None
    assert not jobs.too_slow()


@pytest.mark.parametrize(("minutes", "slow"), [(51.0, False), (52.0, True), (600.0, True)])
def test_an_interval_that_the_gate_would_not_take_is_seen(settings, minutes, slow):
    settings.STAGE_BACKUP_MINUTES = minutes
    assert jobs.too_slow() is slow
