"""Celery's workers are told to end in the middle of a run, get messages twice, and lose their
broker.
"""

import os
import re
import shutil
import signal
import time

import pytest
from redis import Redis

from config.celery import app
from stageapp.embedded import broker_url
from stageapp.embedded.location import prepare
from stageapp.embedded.redis import EmbeddedRedis
from stageapp.models import Batch, Checkpoint
from stageapp.models.normalization import State
from stageapp.normalization import runs
from stageapp.tasks import advance_run, nudge_forgotten_runs
from tests.normalization.conftest import elsewhere, engine, fill, started, transactional_db  # noqa: F401
from tests.normalization.evidence import ME, assert_i1, column, log_of
from tests.normalization.processes import state_of, wait_for, wait_until_free
from tests.test_tasks import broker, celery_worker, forget  # noqa: F401

# ruff: noqa: F811  fixtures are used under the names they are imported by

SLOWLY = {"STAGE_BATCH_SECONDS": "0.005", "STAGE_BATCH_PAUSE_SECONDS": "0.05"}
ROWS = 6_000
TO_CHANGE = ROWS // 2
RECEIVED = r"advance_run\[([0-9a-f-]{36})\] received"


@pytest.fixture
def own_broker(tmp_path):
    """Start a Redis of its own, which may be killed."""
    redis = EmbeddedRedis(prepare(tmp_path))
    try:
        redis.ensure()
        yield redis
    finally:
        redis.end()
        shutil.rmtree(redis.location.sockets, ignore_errors=True)


@pytest.fixture
def at_work(started, fill, celery_worker):
    """Return a function that starts a run and a worker; it returns them and the column once
    batches are committed.
    """

    def begin(url=None, **options):
        fill(*["Seed", "seed"] * TO_CHANGE)
        before, run = column(), started()
        send(advance_run, url, run.pk)
        worker = celery_worker(processes=1, **{**SLOWLY, **options})
        wait_for(lambda: Batch.objects.count() >= 2, 30, "the second batch")
        return run, worker, before

    return begin


def send(task, url, *arguments):
    """Send a task to the broker at a URL, or to the session's own."""
    with app.connection_for_write(url=url) as connection:
        task.apply_async(arguments, connection=connection)


def ended(worker, *signals):
    """Send a worker these signals, a moment between them; return the seconds until it is gone."""
    began = time.monotonic()
    for number in signals:
        os.kill(worker.pid, number)
        time.sleep(0.2)
    worker.communicate(timeout=40)
    return time.monotonic() - began


def changed_and_logged_alike(run):
    changed = sum(Checkpoint.objects.exclude(direction="verify").values_list("changed", flat=True))
    return changed == len(log_of(run))


def test_a_worker_told_to_end_does_so_after_the_batch_in_hand_and_passes_the_run_on(
    at_work, celery_worker, broker, figure
):
    run, worker, before = at_work()
    figure("31 TERM: seconds until the worker is gone", round(ended(worker, signal.SIGTERM), 2))
    assert (state_of(run), 0 < len(log_of(run)) < TO_CHANGE) == (State.RUNNING, True), (
        "it has not stopped on the way"
    )
    assert changed_and_logged_alike(run)
    assert broker() == 1, "nobody was asked to go on"
    began = time.monotonic()
    celery_worker()
    wait_for(lambda: state_of(run) == State.DONE, 60, "the run's end")
    figure(
        "31 TERM: seconds until the next worker has finished the run",
        round(time.monotonic() - began, 2),
    )
    assert_i1(run, before)


@pytest.mark.parametrize(
    "signals", [[signal.SIGQUIT], [signal.SIGTERM] * 2], ids=["QUIT", "TERM twice"]
)
def test_a_worker_that_ends_at_once_leaves_a_run_that_another_finishes(
    at_work, celery_worker, figure, signals
):
    run, worker, before = at_work()
    figure(
        f"31 {len(signals)} signals: seconds until the worker is gone",
        round(ended(worker, *signals), 2),
    )
    assert 0 < len(log_of(run)) < TO_CHANGE, "it has not stopped on the way"
    wait_until_free(run)
    assert changed_and_logged_alike(run)
    forget()
    celery_worker()
    nudge_forgotten_runs.delay()
    wait_for(lambda: state_of(run) == State.DONE, 60, "the run's end")
    assert_i1(run, before)


def test_eight_processes_with_eight_messages_are_one_holder(started, fill, celery_worker):
    fill(*["Seed", "seed"] * 2500)
    before, run = column(), started()
    for _ in range(8):
        advance_run.delay(run.pk)
    celery_worker(processes=8, **SLOWLY)
    wait_for(lambda: state_of(run) == State.DONE, 60, "the run's end")
    assert Checkpoint.objects.exclude(direction="verify").values_list("token", flat=True)[0] == 1, (
        "more than one held it"
    )
    assert_i1(run, before)


def test_a_message_delivered_again_within_its_task_changes_nothing(
    at_work, celery_worker, tmp_path
):
    """The broker gives a message to another worker once its visibility timeout has passed, here
    after a second.
    """
    logs = [tmp_path / "one", tmp_path / "other"]
    run, _, before = at_work(app="tests.faults.impatient", log=logs[0])
    runs.tune(
        run, pause_seconds=60.0, **ME
    )  # the run waits for the other worker, however long that takes to start
    celery_worker(processes=1, app="tests.faults.impatient", log=logs[1], **SLOWLY)

    def received_by_both():
        one, other = (
            set(re.findall(RECEIVED, log.read_text() if log.exists() else "")) for log in logs
        )
        return one & other

    wait_for(received_by_both, 60, "the second delivery of a message")
    runs.tune(run, pause_seconds=0.01, **ME)
    wait_for(lambda: state_of(run) == State.DONE, 60, "the run's end")
    assert_i1(run, before)


def test_a_broker_that_dies_and_forgets_holds_up_no_run(at_work, own_broker, figure):
    url = broker_url(own_broker.url)
    run, worker, before = at_work(url, STAGE_BROKER_URL=url, STAGE_BATCH_PAUSE_SECONDS="0.3")
    for each in own_broker._processes():
        each.kill()
        each.wait(10)
    assert 0 < len(log_of(run)) < TO_CHANGE, "the broker died too late"
    wait_for(lambda: state_of(run) == State.DONE, 180, "the run's end without a broker")
    assert_i1(run, before)
    own_broker.ensure()
    Redis.from_url(own_broker.url).flushall()
    run.refresh_from_db()
    runs.request_rollback(run, **ME)  # whose message is lost
    forget()
    assert worker.poll() is None
    began = time.monotonic()
    send(nudge_forgotten_runs, url)  # as beat does
    wait_for(lambda: state_of(run) == State.ROLLED_BACK, 60, "the end of the rollback")
    figure(
        "41: seconds from beat's nudge to the end of the rollback",
        round(time.monotonic() - began, 1),
    )
    assert column() == before, "not every row has its old bytes back"
