"""Verifications that a worker makes: asked for once, told how far they are, and made anew where
a worker died.
"""

import datetime
import os
import signal
import sys
from contextlib import closing

import pytest
from django.db import connection
from django.utils import timezone

from stageapp import tasks
from stageapp.infrastructure import locks
from stageapp.infrastructure.locks import Lock
from stageapp.models import Verification, VerificationJob
from stageapp.normalization import verification_jobs as jobs
from stageapp.normalization import verify
from stageapp.targets.errors import IllegalMove, RunBusy
from tests.normalization.evidence import ME
from tests.normalization.processes import begin, wait_for


def state():
    return VerificationJob.objects.values_list("state", flat=True).get()


def silent():
    """Let as much time go by as a worker may be silent."""
    VerificationJob.objects.update(heartbeat_at=timezone.now() - datetime.timedelta(seconds=61))


def test_a_job_is_asked_for_made_and_kept_with_who_and_why(done):
    run = done("Seed", "nobody knows")
    job = jobs.request(run, actor="olga", reason=" the auditors ask ")
    assert jobs.waiting() == [job.pk]
    tasks.work_on_verification(job.pk)
    job.refresh_from_db()
    made = job.verification
    assert (job.state, job.rows, made.ok, made.by_run) == ("done", 2, True, False)
    assert (made.actor, made.reason) == ("olga", "the auditors ask")
    assert jobs.waiting() == []
    assert not jobs.active(run)


def test_the_same_is_not_asked_for_twice_and_never_without_a_reason(done):
    run = done("Seed")
    with pytest.raises(IllegalMove, match="A reason is needed"):
        jobs.request(run, actor="olga", reason=" ")
    job = jobs.request(run, **ME)
    with pytest.raises(RunBusy, match="is already in progress"):
        jobs.request(run, **ME)
    jobs.work(job.pk)
    assert jobs.request(run, **ME).pk != job.pk


def test_it_tells_rows_rate_and_time_left(done, fill, monkeypatch, batches_of_50):
    fill(*["Seed"] * 300)
    run = done()
    monkeypatch.setattr(verify, "RANGE_ROWS", 50)
    monkeypatch.setattr("stageapp.models.jobs.BEAT_SECONDS", 0)
    job, told = jobs.request(run, **ME), []
    beat = VerificationJob.beat

    def look(working, rows):
        beat(working, rows=rows)
        told.append(
            jobs.progress(VerificationJob.objects.select_related("run__plan").get(pk=job.pk))
        )

    monkeypatch.setattr(VerificationJob, "beat", look)
    jobs.work(job.pk)
    halfway = told[len(told) // 2]
    assert 0 < halfway.done < halfway.whole == 300
    assert halfway.percent == pytest.approx(halfway.done / 3)
    assert halfway.eta_seconds == pytest.approx((300 - halfway.done) / halfway.rate)
    assert told[-1].percent == 99, "the whole is a guess, and only its end is the end"


def test_what_goes_wrong_is_said_and_proves_nothing(done, settings):
    run = done("Seed")
    job = jobs.request(run, **ME)
    settings.STAGE_TARGETS = []
    jobs.work(job.pk)
    job.refresh_from_db()
    assert (job.state, job.verification) == ("failed", None)
    assert "is not a target" in job.said


def test_a_job_whose_worker_was_killed_is_made_anew_and_nothing_of_it_counts(done, monkeypatch):
    run = done("Seed")
    job = jobs.request(run, **ME)
    with closing(connection.copy()) as another, another.cursor() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE stageapp_portfoliocompany IN ACCESS EXCLUSIVE MODE")
        code = (
            "import django; django.setup(); from stageapp.tasks import work_on_verification "
            f"as w; w({job.pk})"
        )
        worker = begin(
            sys.executable, "-W", "ignore", "-c", code, DJANGO_SETTINGS_MODULE="config.settings"
        )
        wait_for(lambda: state() == "working", what="the worker's beginning")
        silent()
        assert jobs.waiting() == [], (
            "a worker that holds its job is alive, however long it is silent"
        )
        os.killpg(worker.pid, signal.SIGKILL)
        worker.communicate()
    wait_for(
        lambda: list(locks.held(Lock.VERIFICATION_JOB)) == [],
        what="the end of the killed worker's session",
    )
    assert state() == "working", "what nobody has noticed yet is shown as it is"
    silent()
    asked = []
    monkeypatch.setattr(tasks.work_on_verification, "delay", asked.append)
    tasks.nudge_forgotten_runs()
    assert (state(), asked) == ("waiting", [job.pk])
    assert Verification.objects.filter(by_run=False).count() == 0
    jobs.work(job.pk)
    assert (state(), Verification.objects.filter(by_run=False).count()) == ("done", 1)


def test_a_job_that_kills_its_workers_ends_in_words(done):
    job = jobs.request(done("Seed"), **ME)
    for attempt in range(1, jobs.MOST_ATTEMPTS + 1):
        assert jobs.waiting() == [job.pk]
        VerificationJob.objects.filter(pk=job.pk).update(state="working", attempts=attempt)
        silent()
    assert jobs.waiting() == []
    job.refresh_from_db()
    assert (job.state, job.verification) == ("failed", None)
    assert job.said.startswith("Interrupted: its worker died 3 times, and nothing was proven.")
