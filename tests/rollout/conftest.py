"""A clock that the test moves, for PostgreSQL's rows, traffic windows and decisions alike;
nobody sleeps.
"""

import datetime

import pytest
from django.utils import timezone

from stageapp.mode import store
from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from stageapp.people import EVERYTHING, Person
from stageapp.rollout import timeline
from stageapp.rollout.changes import Wish, change_mode
from stageapp.traffic import windows
from stageapp.unknowns import drift

ANN, BEN = Person("ann", EVERYTHING), Person("ben", EVERYTHING)


class Clock:
    """Stands still until it is moved."""

    now = datetime.datetime(2030, 6, 1, tzinfo=datetime.UTC)

    def time(self):
        return self.now.timestamp()

    def move(self, **how_far):
        self.now += datetime.timedelta(**how_far)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    windows.buffer.forget()
    monkeypatch.setattr(windows, "time", clock)
    yield clock
    windows.buffer.forget()


@pytest.fixture
def arrive():
    """Return a function that counts requests now, in a mode, some of them unknown; enforce
    refuses these.
    """

    def count(requests, mode="enforce", unknown=0, **flags):
        for number in range(requests):
            bad = number < unknown
            verdict, rejected = ("unknown", mode == "enforce") if bad else ("canonical", False)
            windows.count(
                endpoint="simulate", mode=mode, verdict=verdict, rejected=rejected, **flags
            )
        windows.flush()

    return count


@pytest.fixture
def set_mode(db, django_capture_on_commit_callbacks):
    """Return a function that authorises a mode past all rules."""

    def change(mode, percent=100, kind="manual"):
        with django_capture_on_commit_callbacks(execute=True):
            return store.change(
                mode=mode, percent=percent, actor="test", reason="for a test", kind=kind
            )

    return change


@pytest.fixture
def ready(db, settings, clock):
    """Normalize the stored rows and record an audit: what enforcement needs beside warn's days."""
    settings.STAGE_BATCH_PAUSE_SECONDS = 0.0

    def prepare():
        PortfolioCompany.objects.create(
            fund=Fund.objects.create(name="F"), name="C", stage="Series A"
        )
        run = plans.make_plan("stageapp.PortfolioCompany.stage", actor="ann").run
        runs.start(run, actor="ann", reason="for a test")
        assert worker.advance(run).state == "done"
        drift.watch()
        timeline.record_audit(ANN, "nobody sends anything strange")

    return prepare


def ask(mode, percent=100, person=ANN, **more):
    """Change the mode as a person asks for it."""
    return change_mode(person, Wish(mode, "for a test", percent, **more))
