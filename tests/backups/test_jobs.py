"""A job is done once, says how it ended, and is never lost silently."""

import datetime

import pytest
from django.utils import timezone

from stageapp import tasks
from stageapp.backups import folder, jobs
from stageapp.models.backups import Backup, BackupCheck, BackupJob
from tests.backups.damage import DUMP
from tests.normalization.evidence import ME


def done(verb, name=""):
    job = jobs.request(verb, name, **ME)
    jobs.work(job.pk)
    job.refresh_from_db()
    return job


def test_each_verb_is_done_and_says_what_it_was_about(backups):
    made = done("create")
    assert (made.state, made.name, made.ended_at is not None) == ("done", Backup.objects.get().name, True)
    assert (done("verify").said, done("rehearse", made.name).state) == ("good", "done")
    assert set(BackupCheck.objects.values_list("actor", "reason")) == {("tester", "test")}


def test_a_bad_verdict_fails_the_job(backups):
    name = done("create").name
    (backups / name / DUMP).write_bytes(b"")
    for verb in ("verify", "rehearse"):
        job = done(verb)
        assert job.state == "failed"
        assert job.said.startswith("size: 0 bytes")


def test_what_is_refused_is_said(backups):
    job = done("verify", "../outside")
    assert (job.state, "no name of a backup" in job.said) == ("failed", True)


def test_what_nobody_expected_is_said_and_raised(backups, monkeypatch):
    def break_down(*_, **__):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(jobs.keeping, "create", break_down)
    job = jobs.request("create", **ME)
    with pytest.raises(RuntimeError):
        jobs.work(job.pk)
    job.refresh_from_db()
    assert (job.state, job.said) == ("failed", "out of luck")


def test_a_message_that_comes_twice_does_it_once(backups):
    job = done("create")
    jobs.work(job.pk)
    tasks.work_on_backup(job.pk)
    assert len(folder.names()) == 1


def test_progress_stands_in_the_row(backups, monkeypatch):
    monkeypatch.setattr(jobs, "_SAVE_EVERY", 0.0)
    job = done("create")
    assert (job.phase, job.heartbeat_at is not None) in {("dump", True), ("measure", True)}
    assert job.done > 0


def test_a_scheduled_job_makes_verifies_rehearses_and_prunes(backups, settings):
    settings.STAGE_BACKUP_KEEP = 2
    assert [done("scheduled").state for _ in range(3)] == ["done"] * 3
    assert len(folder.names()) == 2
    kinds = list(BackupCheck.objects.exclude(reason__startswith="before").values_list("kind", flat=True))
    assert sorted(kinds) == ["rehearse", "verify", "verify", "verify"]  # a rehearsal a day, unless the schema changes
    assert [check.kind for check in jobs.measured_restores()] == ["rehearse"]


def test_beat_asks_for_a_backup_when_it_is_due_and_switched_on(transactional_db, settings):
    assert jobs.due() is None
    settings.STAGE_BACKUP_MINUTES = 50.0
    job = jobs.due()
    assert (job.verb, job.state) == ("scheduled", "waiting")
    assert jobs.due() is None
    BackupJob.objects.update(state="done")
    assert jobs.due() is None
    BackupJob.objects.update(created_at=timezone.now() - datetime.timedelta(minutes=51))
    assert jobs.due() is not None


def test_a_job_whose_worker_died_is_ended_and_waiting_ones_are_nudged(transactional_db):
    long_ago = timezone.now() - datetime.timedelta(minutes=31)
    dead, alive, waits = (jobs.request("verify", **ME) for _ in range(3))
    BackupJob.objects.filter(pk=dead.pk).update(state="working", heartbeat_at=long_ago)
    BackupJob.objects.filter(pk=alive.pk).update(state="working", heartbeat_at=timezone.now())
    assert jobs.waiting() == [waits.pk]
    dead.refresh_from_db()
    assert (dead.state, dead.said[:15]) == ("failed", "Its worker died")
