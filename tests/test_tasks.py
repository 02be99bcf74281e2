"""Nudges through a real broker and a real worker; the work list is in PostgreSQL alone."""

import datetime
import os
import signal
import sys

import pytest
from django.utils import timezone

from config.celery import app
from stageapp import tasks
from stageapp.models import Batch, Checkpoint, Run
from stageapp.models.batches import Direction
from stageapp.models.normalization import State
from stageapp.normalization import leases, runs
from stageapp.tasks import advance_run, nudge_forgotten_runs
from tests.normalization.conftest import done, elsewhere, engine, fill, started, transactional_db  # noqa: F401
from tests.normalization.evidence import ME, assert_i1, column, column_md5, log_of
from tests.normalization.processes import begin, state_of, wait_for, wait_until_free

# ruff: noqa: F811  fixtures are used under the names they are imported by


@pytest.fixture
def broker():
    """Return a function that counts the waiting messages; begin and end with none."""

    def waiting():
        with app.connection_for_read() as connection, connection.channel() as channel:
            return channel.client.llen("celery")

    app.control.purge()
    yield waiting
    app.control.purge()


def forget():
    """Let as much time go by as beat waits for a heartbeat."""
    Checkpoint.objects.update(
        heartbeat_at=timezone.now() - runs.FORGOTTEN_AFTER - datetime.timedelta(seconds=1)
    )


@pytest.fixture
def celery_worker(broker):
    """Return a function that starts a worker; it is stopped after the test."""
    workers = []

    def start(processes=2, app="config.celery", log=None, **environment):
        command = [sys.executable, "-W", "ignore", "-m", "celery", "-A", app, "worker"]
        options = [
            "--pool=prefork",
            "-c",
            str(processes),
            "--loglevel=INFO",
            "--without-gossip",
            "--without-mingle",
        ]
        workers.append(begin(*command, *options, log=log, **environment))
        return workers[-1]

    yield start
    for worker in workers:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGTERM)
        try:
            worker.communicate(timeout=20)
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.communicate()


def test_a_task_out_of_time_asks_for_more(started, broker, monkeypatch):
    run = started(*["Seed"] * 2500)
    monkeypatch.setattr(tasks, "BUDGET_SECONDS", 0.0)
    advance_run(run.pk)
    assert (Batch.objects.count(), state_of(run), broker()) == (1, State.RUNNING, 1)


def test_a_task_that_finishes_the_run_asks_for_nothing(started, broker):
    run = started("Seed")
    advance_run(run.pk)
    assert (state_of(run), broker()) == (State.DONE, 0)
    advance_run(run.pk)  # a message delivered twice
    assert (len(log_of(run)), broker()) == (1, 0)


def test_a_second_message_leaves_the_run_to_the_worker_that_holds_it(started, broker, elsewhere):
    run = started("Seed")
    leases.take(run, Direction.FORWARD)
    elsewhere(lambda: advance_run(run.pk)).join()
    assert (state_of(run), broker(), list(column().values())) == (State.RUNNING, 0, ["Seed"])


def test_forgotten_runs_are_nudged_and_others_not(started, broker):
    run = started("Seed")
    Checkpoint.objects.update(heartbeat_at=timezone.now())
    nudge_forgotten_runs()
    assert broker() == 0
    Checkpoint.objects.update(heartbeat_at=timezone.now() - runs.FORGOTTEN_AFTER)
    nudge_forgotten_runs()
    assert broker() == 1
    Run.objects.update(state=State.PAUSED)
    nudge_forgotten_runs()
    assert (broker(), run.pk) == (1, Run.objects.get().pk)


def test_a_run_and_its_rollback_through_a_worker(started, fill, celery_worker):
    fill(*["Seed", "seed", "series-a", "nobody knows"] * 2500)
    before, fingerprint = column(), column_md5()
    run = started()
    celery_worker()
    for _ in range(8):  # eight deliveries of one message: one holder
        advance_run.delay(run.pk)
    wait_for(lambda: state_of(run) == State.DONE, 60, "the run's end")
    assert_i1(run, before)
    run.refresh_from_db()
    assert ":" in Checkpoint.objects.get(direction=Direction.FORWARD).holder
    runs.request_rollback(run, **ME)
    advance_run.delay(run.pk)
    wait_for(lambda: state_of(run) == State.ROLLED_BACK, 60, "the rollback's end")
    assert column_md5() == fingerprint


def test_a_run_whose_workers_were_killed_is_found_and_finished(started, fill, celery_worker):
    fill(*["Seed", "seed"] * 4_000)
    before = column()
    run = started()
    advance_run.delay(run.pk)
    killed = celery_worker(STAGE_BATCH_SECONDS="0.01", STAGE_BATCH_PAUSE_SECONDS="0.05")
    wait_for(lambda: Batch.objects.count() >= 3, 30, "the third batch")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    wait_until_free(run)
    assert (state_of(run), 0 < len(log_of(run)) < 4_000) == (State.RUNNING, True)
    assert not leases.is_held(run)
    assert runs.forgotten() == []
    forget()
    celery_worker()
    nudge_forgotten_runs.delay()
    wait_for(lambda: state_of(run) == State.DONE, 60, "the run's end")
    assert_i1(run, before)
