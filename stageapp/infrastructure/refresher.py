"""Two background threads per process that keep process-local copies fresh.

Requests read variables; these threads do the I/O, one for each store, so that a hanging store does
not keep the other from being read. They start after fork, on first use. A pub/sub message is only
a hint to read now; the periodic round is the guarantee.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from types import MethodType
from typing import Generic, TypeVar

import redis
from django.db import connection
from redis.connection import parse_url

from stageapp import conf
from stageapp.infrastructure import events
from stageapp.infrastructure.redis import resilient
from stageapp.infrastructure.watchdog import Watchdog

# A channel of its own for each database number: pub/sub knows no numbers, and another one's hints
# are not ours.
CHANNEL = f"stage:hint:{parse_url(conf.settings.redis_url).get('db', 0)}"  # type: ignore[no-untyped-call]
POSTGRES_SECONDS = 1.0  # how long a round waits for PostgreSQL before it does without

Job = Callable[[], None]
T = TypeVar("T")


class Refresher:
    """Runs every registered job once per period, and immediately after a hint."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._fallbacks: list[Job] = []
        self._lock = threading.Lock()
        self._threads: _Threads | None = None

    def register(self, job: Job) -> Job:
        """Register a job that uses PostgreSQL; usable as a decorator."""
        self._jobs.append(job)
        return job

    def register_first(self, job: Job) -> Job:
        """Register a job that uses PostgreSQL and runs before all others; usable as a decorator."""
        self._jobs.insert(0, job)
        return job

    def register_fallback(self, job: Job) -> Job:
        """Register a job without PostgreSQL; it runs after the others, or if they take too long."""
        self._fallbacks.append(job)
        return job

    def ensure_running(self) -> None:
        """Start the threads if this process has none; otherwise costs one attribute read."""
        if self._threads is not None or not conf.settings.refresher:
            return
        with self._lock:
            if self._threads is None:
                self._threads = _Threads(self._jobs, self._fallbacks)

    @property
    def running(self) -> bool:
        """Whether this process has its threads."""
        return self._threads is not None

    def forget_threads(self) -> None:
        """Drop the parent's threads in a forked child, as threads do not survive a fork."""
        self._lock = threading.Lock()
        self._threads = None

    def stop(self) -> None:
        """Run the jobs a last time and end the threads; waits at most 3 s for a hanging store."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.stop()

    def run_jobs(self) -> None:
        """Run every job once, in this thread."""
        _run([*self._jobs, *self._fallbacks])


class _Threads:
    """The two threads: `jobs` uses PostgreSQL; `rounds` waits for hints, wakes it, falls back."""

    _STOP_SECONDS = 3.0

    def __init__(self, jobs: list[Job], fallbacks: list[Job]) -> None:
        self._jobs, self._fallbacks = jobs, fallbacks
        self._stop, self._wake, self._answered = (
            threading.Event(),
            threading.Event(),
            threading.Event(),
        )
        self._watchdog = Watchdog()
        self._jobs_thread = threading.Thread(
            target=self._work, name="stage-refresher-jobs", daemon=True
        )
        self._rounds_thread = threading.Thread(
            target=self._rounds, name="stage-refresher", daemon=True
        )
        self._jobs_thread.start()
        self._rounds_thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        for thread in (self._rounds_thread, self._jobs_thread):
            thread.join(self._STOP_SECONDS)

    def _work(self) -> None:
        self._watchdog.watch_this_thread()
        stopping = False
        while not stopping:
            self._wake.wait()
            self._wake.clear()
            stopping = (
                self._stop.is_set()
            )  # read before the jobs: they run once more after it is set
            _run(self._jobs, self._watchdog)
            self._answered.set()
        connection.close()
        self._watchdog.close()

    def _rounds(self) -> None:
        hints = _Hints()
        while not self._stop.is_set():
            self._answered.clear()
            self._wake.set()
            self._answered.wait(POSTGRES_SECONDS)
            _run(self._fallbacks)
            self._watchdog.look()
            hints.wait(conf.settings.refresh_seconds, self._stop)
        hints.close()


def _run(jobs: list[Job], watchdog: Watchdog | None = None) -> None:
    """Run every job; one that raises is logged and does not stop the others."""
    for job in jobs:
        try:
            with watchdog.watching(name_of(job)) if watchdog else nullcontext():
                job()
        except Exception as error:
            events.refresh_job_failed(job=name_of(job), error=repr(error))
            connection.close()  # a broken connection is not healed by itself outside of requests


def name_of(job: Job) -> str:
    """Return a job's name for the log; a job may be any callable."""
    if isinstance(job, MethodType):  # several objects of one kind may bring the same method
        return f"{type(job.__self__).__qualname__}.{job.__name__}"
    return getattr(job, "__qualname__", type(job).__qualname__)


class _Hints:
    """Waits for a hint on the channel; without Redis it only waits."""

    _RETRY_SECONDS = 1.0
    _GATHER_SECONDS = (
        0.02  # a burst of hints is one: however many come, at most 50 rounds a second follow
    )

    def __init__(self) -> None:
        self._pubsub: redis.client.PubSub | None = None

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return after a hint, after `seconds`, or soon after `stop` is set."""
        deadline = time.monotonic() + seconds
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            try:
                if self._subscription().get_message(timeout=min(left, 0.5)):
                    stop.wait(self._GATHER_SECONDS)
                    for _ in range(1000):
                        if not self._subscription().get_message(timeout=0):
                            return
                    return
            except Exception as error:  # whatever a broken server sends must not end this thread
                if not isinstance(error, redis.RedisError):
                    events.refresh_job_failed(job="hints", error=repr(error))
                self.close()
                stop.wait(min(left, self._RETRY_SECONDS))

    def close(self) -> None:
        """Drop the subscription."""
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            with suppress(redis.RedisError, OSError):
                pubsub.close()

    def _subscription(self) -> redis.client.PubSub:
        if self._pubsub is None:
            self._pubsub = resilient().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
            self._pubsub.subscribe(CHANNEL)
        return self._pubsub


refresher = Refresher()


class LocalCopy(Generic[T]):
    """This process's copy of something that PostgreSQL holds; it follows newer editions.

    `load` reads it; `is_old` asks PostgreSQL, more cheaply, whether a copy is out of date.
    """

    def __init__(self, load: Callable[[], T], is_old: Callable[[T], bool]) -> None:
        self._load, self._is_old = load, is_old
        self._held: T | None = None
        refresher.register(self.refresh)

    def current(self) -> T:
        """Return the copy; only the first call in a process reads the database."""
        refresher.ensure_running()
        held = self._held
        if held is None:
            held = self._held = self._load()
        return held

    def forget(self) -> None:
        """Drop the copy, so that the next use reads anew."""
        self._held = None

    def refresh(self) -> None:
        """Follow a newer edition, if this process uses the copy at all."""
        held = self._held
        if held is not None and self._is_old(held):
            self._held = self._load()


os.register_at_fork(after_in_child=refresher.forget_threads)
atexit.register(refresher.stop)
