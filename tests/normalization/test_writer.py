"""Somebody goes on writing while a run works, in the order that is worst for it; who waits is
the run.
"""

import threading
import time

import numpy
import pytest
from django.db import transaction

from stageapp.models import PortfolioCompany
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from tests.normalization.evidence import LABEL, ME, sql

ROWS = 20_000
DEADLOCK_TIMEOUT_MS = (
    1000  # PostgreSQL's own: a writer that waited for so long had to look for a deadlock
)


class Writer:
    """Locks two rows of a pair in reverse key order, again and again, each time in one
    transaction.
    """

    def __init__(self, keys):
        self.keys, self.ms, self.over = keys, [], threading.Event()

    def write(self):
        number = 0
        while not self.over.is_set():
            low, high = (
                self.keys[number % len(self.keys)],
                self.keys[(number * 31 + 7) % len(self.keys)],
            )
            began = time.perf_counter()
            with transaction.atomic():
                for key in sorted((low, high), reverse=True):
                    PortfolioCompany.objects.filter(pk=key).update(sector="written")
            self.ms.append((time.perf_counter() - began) * 1000)
            number += 1


@pytest.fixture
def writing(elsewhere):
    """Return a function that lets a writer work while another function is called, and returns
    the writer.
    """

    def during(keys, act):
        writer = Writer(keys)
        thread = elsewhere(writer.write)
        try:
            act()
        finally:
            writer.over.set()
            thread.join(20)
        return writer

    return during


def test_a_writer_in_reverse_order_is_never_the_victim_and_never_starved(fill, writing, settings):
    settings.STAGE_BATCH_PAUSE_SECONDS = 0.0
    ids = fill(*["Seed", "seed"] * (ROWS // 2))
    run = plans.make_plan(LABEL, actor="tester").run
    some = ids[::97]  # rows of every batch; so few that the writer often meets one that is locked
    quiet = writing(some, lambda: time.sleep(1))
    before = sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    beside = writing(some, lambda: worker.advance(runs.start(run, **ME)))
    assert run.state == State.DONE
    assert sql("SELECT count(*) FROM stageapp_portfoliocompany WHERE stage = 'Seed'") == [(0,)]
    sql("SELECT pg_stat_clear_snapshot()")
    assert (
        sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == before
    )
    assert max(beside.ms) < DEADLOCK_TIMEOUT_MS
    for name, writer in (("quiet", quiet), ("beside the run", beside)):
        p50, p99, most = numpy.percentile(writer.ms, [50, 99, 100])
        print(
            f"{name}: {len(writer.ms)} transactions, p50 {p50:.1f}, p99 {p99:.1f}, most "
            f"{most:.0f} ms"
        )
