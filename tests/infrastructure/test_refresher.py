"""The refresher: rounds, hints, jobs that fail or hang, and its end."""

import threading
import time

import pytest

from stageapp.infrastructure import events
from stageapp.infrastructure import refresher as module
from stageapp.infrastructure.redis import strict
from stageapp.infrastructure.refresher import CHANNEL, Refresher
from stageapp.mode import fast_copy


@pytest.fixture
def failed(monkeypatch):
    """Return the list that the log of failed jobs goes to."""
    logged = []
    monkeypatch.setattr(events, "refresh_job_failed", lambda **fields: logged.append(fields))
    return logged


@pytest.fixture
def refresher(settings):
    settings.STAGE_REFRESHER = True
    settings.STAGE_REFRESH_SECONDS = 30  # only hints bring a second round
    refresher = Refresher()
    yield refresher
    refresher.stop()


class Ticks:
    """A job that counts its rounds and tells its thread."""

    def __init__(self):
        self.times, self.threads, self.ticked = 0, set(), threading.Event()

    def __call__(self):
        self.times += 1
        self.threads.add(threading.current_thread().name)
        self.ticked.set()

    __qualname__ = "ticks"

    def wait(self, seconds=5):
        assert self.ticked.wait(seconds)
        self.ticked.clear()


def until(holds, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    return holds()


def subscribers():
    return strict().pubsub_numsub(CHANNEL)[0][1]


def test_nothing_runs_until_the_first_use_and_never_where_it_is_switched_off(settings, refresher):
    job = refresher.register(Ticks())
    assert not refresher.running
    settings.STAGE_REFRESHER = False
    refresher.ensure_running()
    assert not refresher.running
    settings.STAGE_REFRESHER = True
    refresher.ensure_running()
    job.wait()
    assert refresher.running


def test_many_threads_start_it_once(refresher):
    names = ["stage-refresher", "stage-refresher-jobs"]
    before = [thread.name for thread in threading.enumerate()]
    starters = [threading.Thread(target=refresher.ensure_running) for _ in range(20)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    after = [thread.name for thread in threading.enumerate()]
    assert [after.count(name) - before.count(name) for name in names] == [1, 1]


def test_each_store_has_its_thread(refresher):
    job, fallback = refresher.register(Ticks()), refresher.register_fallback(Ticks())
    refresher.ensure_running()
    job.wait()
    fallback.wait()
    assert job.threads == {"stage-refresher-jobs"}
    assert fallback.threads == {"stage-refresher"}


def test_it_runs_every_period(settings, refresher):
    settings.STAGE_REFRESH_SECONDS = 0.05
    job = refresher.register(Ticks())
    refresher.ensure_running()
    assert until(lambda: job.times >= 5)


def test_a_hint_brings_the_next_round_at_once(refresher):
    others = subscribers()
    job = refresher.register(Ticks())
    refresher.ensure_running()
    job.wait()
    assert until(lambda: subscribers() > others)
    began = time.monotonic()
    fast_copy.hint()
    job.wait()
    assert time.monotonic() - began < 1


def test_a_burst_of_hints_is_a_few_rounds(refresher):
    others = subscribers()
    job = refresher.register(Ticks())
    refresher.ensure_running()
    job.wait()
    assert until(lambda: subscribers() > others)
    for _ in range(500):
        strict().publish(CHANNEL, "mode")
    time.sleep(0.3)
    assert 2 <= job.times < 60


@pytest.mark.django_db
def test_a_job_that_raises_is_logged_and_keeps_no_other_from_running(refresher, failed):
    def breaks():
        raise ValueError("broken")

    refresher.register(breaks)
    after, fallback = refresher.register(Ticks()), refresher.register_fallback(Ticks())
    refresher.run_jobs()
    assert (after.times, fallback.times) == (1, 1)
    assert "breaks" in failed[0]["job"]
    assert failed[0]["error"] == "ValueError('broken')"


def test_a_job_that_hangs_does_not_keep_the_fallback_from_running(refresher, monkeypatch, settings):
    monkeypatch.setattr(module, "POSTGRES_SECONDS", 0.05)
    settings.STAGE_REFRESH_SECONDS = 0.05
    go_on = threading.Event()
    refresher.register(lambda: go_on.wait(10))
    after, fallback = refresher.register(Ticks()), refresher.register_fallback(Ticks())
    refresher.ensure_running()
    assert until(lambda: fallback.times >= 3)
    assert after.times == 0
    go_on.set()
    after.wait()


def test_the_thread_outlives_whatever_the_hint_channel_throws(
    refresher, monkeypatch, failed, settings
):
    settings.STAGE_REFRESH_SECONDS = 0.05

    def broken():
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "nonsense from the server")

    monkeypatch.setattr(module, "resilient", broken)
    job = refresher.register(Ticks())
    refresher.ensure_running()
    assert until(lambda: job.times >= 3)
    assert failed[0]["job"] == "hints"


def test_stopping_runs_the_jobs_a_last_time_and_ends_the_threads(refresher):
    job = refresher.register(Ticks())
    refresher.ensure_running()
    job.wait()
    refresher.stop()
    assert job.times == 2
    assert not refresher.running
    assert until(
        lambda: (
            not {"stage-refresher", "stage-refresher-jobs"}
            & {t.name for t in threading.enumerate()}
        )
    )


def test_it_can_be_started_again(refresher):
    job = refresher.register(Ticks())
    for _ in range(2):
        refresher.ensure_running()
        job.wait()
        refresher.stop()
        job.ticked.clear()
    assert job.times == 4


def test_stopping_what_never_ran_does_nothing(refresher):
    job = refresher.register(Ticks())
    refresher.stop()
    assert job.times == 0


def test_a_local_copy_is_read_on_first_use_and_again_only_when_it_is_old():
    held, reads = {"edition": 1}, []

    def load():
        reads.append(held["edition"])
        return held["edition"]

    copy = module.LocalCopy(load, lambda mine: mine != held["edition"])
    module.refresher._jobs.remove(copy.refresh)
    copy.refresh()
    assert reads == []  # nobody uses it yet
    assert (copy.current(), copy.current(), reads) == (1, 1, [1])
    copy.refresh()
    held["edition"] = 2
    assert copy.current() == 1
    copy.refresh()
    assert (copy.current(), reads) == (2, [1, 2])
    copy.forget()
    assert (copy.current(), reads) == (2, [1, 2, 2])
