"""One background thread per process that keeps process-local copies fresh.

Requests read variables; this thread does the talking to Redis and PostgreSQL. It starts after fork, on first
use. A pub/sub message is only a hint to run the jobs now; the periodic run is the guarantee.
"""

import os
import threading
import time
from collections.abc import Callable

import redis
from django.db import connection

from stageapp import conf, events
from stageapp.redis_clients import resilient

CHANNEL = "stage:hint"

Job = Callable[[], None]


class Refresher:
    """Runs every registered job once per period, and at once after a hint."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def register(self, job: Job) -> Job:
        """Add a job; usable as a decorator."""
        self._jobs.append(job)
        return job

    def ensure_running(self) -> None:
        """Start the thread if this process has none; costs an attribute read when it has."""
        if self._thread is not None or not conf.refresher_enabled():
            return
        with self._lock:
            if self._thread is None:
                self._stop.clear()
                self._thread = threading.Thread(target=self._run, name="stage-refresher", daemon=True)
                self._thread.start()

    @property
    def running(self) -> bool:
        """Tell whether this process has its thread."""
        return self._thread is not None

    def forget_thread(self) -> None:
        """Drop the parent's thread in a forked child: threads do not survive a fork."""
        self._lock = threading.Lock()
        self._thread = None

    def stop(self) -> None:
        """End the thread after its current job."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join(timeout=5)

    def run_jobs(self) -> None:
        """Run every job; one that raises is logged and does not keep the others from running."""
        for job in self._jobs:
            try:
                job()
            except Exception as error:
                events.refresh_job_failed(job=job.__qualname__, error=repr(error))

    def _run(self) -> None:
        hints = _Hints()
        while not self._stop.is_set():
            self.run_jobs()
            hints.wait(conf.refresh_seconds(), self._stop)
        hints.close()
        connection.close()


class _Hints:
    """Waits for a hint on the channel; with Redis away it only waits."""

    _RETRY_SECONDS = 1.0

    def __init__(self) -> None:
        self._pubsub: redis.client.PubSub | None = None

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return after a hint, after `seconds`, or soon after `stop` is set."""
        deadline = time.monotonic() + seconds
        while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
            try:
                if self._subscription().get_message(timeout=min(left, 0.5)):
                    return
            except redis.RedisError:
                self.close()
                stop.wait(min(left, self._RETRY_SECONDS))

    def close(self) -> None:
        """Drop the subscription."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None

    def _subscription(self) -> redis.client.PubSub:
        if self._pubsub is None:
            self._pubsub = resilient().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
            self._pubsub.subscribe(CHANNEL)
        return self._pubsub


refresher = Refresher()
os.register_at_fork(after_in_child=refresher.forget_thread)
