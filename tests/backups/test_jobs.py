"""A job is done once, says how it ended, and is never lost silently."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from stageapp import tasks
from stageapp.backups import folder, jobs, keeping, postgres
from stageapp.backups.errors import BackupBusy, BackupError
from stageapp.backups.verify import Finding, Verdict
from stageapp.infrastructure import locks
from stageapp.infrastructure.locks import Lock
from stageapp.models.backups import Backup, BackupCheck, BackupJob
from tests.backups.damage import DUMP
from tests.normalization.evidence import ME
from tests.normalization.processes import wait_for


def done(verb, name=""):
    job = jobs.request(verb, name, **ME)
    jobs.work(job.pk)
    job.refresh_from_db()
    return job


def test_each_verb_is_done_and_says_what_it_was_about(backups):
    made = done("create")
    assert (made.state, made.name, made.ended_at is not None) == (
        "done",
        Backup.objects.get().name,
        True,
    )
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
    assert (job.state, "not a backup name: give" in job.said) == ("failed", True)


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
    monkeypatch.setattr("stageapp.models.jobs.BEAT_SECONDS", 0)
    job = done("create")
    assert (job.phase, job.heartbeat_at is not None) in {("dump", True), ("measure", True)}
    assert job.done > 0


def test_a_scheduled_job_makes_verifies_rehearses_and_prunes(backups, settings):
    settings.STAGE_BACKUP_KEEP = 2
    assert [done("scheduled").state for _ in range(3)] == ["done"] * 3
    assert len(folder.names()) == 2
    kinds = list(
        BackupCheck.objects.exclude(reason__startswith="before").values_list("kind", flat=True)
    )
    assert sorted(kinds) == [
        "rehearse",
        "verify",
        "verify",
        "verify",
    ]  # a rehearsal a day, unless the schema changes
    assert [check.kind for check in jobs.measured_restores()] == ["rehearse"]


def test_the_same_is_not_asked_for_twice_while_it_waits_or_is_under_way(transactional_db):
    first = jobs.request("verify", "stage-1", **ME)
    jobs.request("verify", "stage-2", **ME)
    for state in ("waiting", "working"):
        BackupJob.objects.filter(pk=first.pk).update(state=state)
        with pytest.raises(BackupBusy, match="verify stage-1"):
            jobs.request("verify", "stage-1", **ME)
    BackupJob.objects.filter(pk=first.pk).update(state="failed")
    assert jobs.request("verify", "stage-1", **ME).state == "waiting"


def test_pruning_says_what_went(backups, settings):
    settings.STAGE_BACKUP_KEEP = 1
    assert done("prune").said == "removed: nothing"
    old = done("create").name
    done("create")
    assert done("prune").said.startswith("No backup here verifies")
    done("verify")
    assert done("prune").said == f"removed: {old}"


def test_what_is_there_is_taken_on_record(made):
    assert done("record").said == f"recorded: {made.name}"
    assert (Backup.objects.get().actor, done("record").said) == (
        "tester",
        "recorded: nothing new",
    )


def silent_for(job, **ago):
    BackupJob.objects.filter(pk=job.pk).update(
        state="working", heartbeat_at=timezone.now() - timedelta(**ago)
    )


def test_a_job_whose_worker_died_is_ended_and_waiting_ones_are_nudged(transactional_db):
    dead, alive, waits = (jobs.request("verify", name, **ME) for name in ("a", "b", "c"))
    silent_for(dead, seconds=61)
    silent_for(alive, seconds=59)
    assert jobs.waiting() == [waits.pk]
    dead.refresh_from_db()
    assert (dead.state, dead.said[:15]) == ("failed", "Its worker died")


def test_a_worker_that_says_nothing_for_long_is_not_dead_while_it_holds_its_job(backups):
    job = jobs.request("create", **ME)
    with postgres.connect(postgres.live()) as worker:
        assert locks.attempt_in(worker, Lock.BACKUP_JOB, job.pk)
        jobs.work(job.pk)
        assert folder.names() == []  # it is in another worker's hands
        silent_for(job, hours=5)
        jobs.waiting()
        job.refresh_from_db()
        assert job.state == "working"
    wait_for(lambda: not locks.held(Lock.BACKUP_JOB), what="the end of the worker's session")
    jobs.waiting()
    job.refresh_from_db()
    assert job.state == "failed"


def test_a_job_is_held_while_it_is_done(backups, monkeypatch):
    held = []

    def verify(name, **_):
        held.extend(locks.held(Lock.BACKUP_JOB))
        return Verdict("", (), 0.0)

    monkeypatch.setattr(keeping, "verify", verify)
    assert [done("verify").pk] == held
    assert locks.held(Lock.BACKUP_JOB) == []


def test_who_comes_back_too_late_ends_nothing(backups, monkeypatch):
    def slow(name, **_):
        BackupJob.objects.update(state="failed", said="Its worker died")
        return Verdict("", (Finding("all", True, "good"),), 0.0)

    monkeypatch.setattr(keeping, "verify", slow)
    job = done("verify")
    assert (job.state, job.said) == ("failed", "Its worker died")


def test_a_phase_is_said_at_once_and_tells_since_when(transactional_db, monkeypatch):
    job, told = jobs.request("create", **ME), []

    def create(*, report, **_):
        for step in (("dump", 1, 0), ("dump", 2, 0), ("measure", 0, 30)):
            report(*step)
            job.refresh_from_db()
            told.append((job.phase, job.done, job.whole, job.phase_began_at))
        raise BackupError("That is enough.")

    monkeypatch.setattr(keeping, "create", create)
    jobs.work(job.pk)
    first, too_soon, other = told
    assert (first[:3], too_soon) == (("dump", 1, 0), first)
    assert (other[:3], other[3] > first[3]) == (("measure", 0, 30), True)


def test_nothing_is_asked_for_without_a_reason(backups):
    with pytest.raises(BackupError, match="A reason is needed"):
        jobs.request("create", actor="olga", reason=" ")
    assert not BackupJob.objects.exists()


@pytest.mark.parametrize(
    "act",
    [
        keeping.create,
        partial(keeping.verify, None),
        partial(keeping.rehearse, None),
        partial(keeping.restore, None, "stage_of_nobody"),
        partial(keeping.prune, 1),
        keeping.record,
    ],
)
def test_nothing_is_done_without_a_reason(backups, act):
    with pytest.raises(BackupError, match="A reason is needed"):
        act(actor="olga", reason=" \n")
    assert folder.names() == []
