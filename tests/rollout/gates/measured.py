"""Measurements for the gates, as if a rollout had been so; a test changes what it is about."""

import datetime

from stageapp import conf
from stageapp.audit.proof import Proof
from stageapp.mode.history import Change, ModeHistory
from stageapp.rollout.gates.measures import AuditFact, BackupFact, Measurements
from stageapp.traffic.history import Slot

DAY, HOUR, MINUTE = (
    datetime.timedelta(days=1),
    datetime.timedelta(hours=1),
    datetime.timedelta(minutes=1),
)
NOW = datetime.datetime(2030, 6, 15, 12, 0, 30, tzinfo=datetime.UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0)


def changed(mode, ago, percent=100, kind="manual"):
    return Change(mode, percent, kind, NOW - ago)


def warned_for(days):
    return ModeHistory((changed("warn", days * DAY),))


def enforced_for(hours, percent=10):
    return ModeHistory((changed("warn", 9 * DAY), changed("enforce", hours * HOUR, percent)))


def day(back, requests=10_000, unknown=0, **more):
    return Slot(TODAY - back * DAY, requests, requests, unknown, **more)


def hour(back, requests=1_000, unknown=0):
    return Slot(TODAY - back * HOUR, requests, requests, unknown)


def minute(back, requests=1_000, **more):
    """The minute that began so many minutes before the newest whole one ended."""
    return Slot(NOW.replace(second=0) - back * MINUTE, requests, requests, **more)


def week(**worst):
    """Seven good days, the fourth of them as given."""
    return [day(back, **(worst if back == 4 else {})) for back in range(7, 0, -1)]


def half_an_hour(**worst):
    """Thirty green minutes, the tenth of them as given."""
    return [minute(back, **(worst if back == 10 else {})) for back in range(30, 0, -1)]


def measured(**parts):
    """Return measurements in which nothing holds anything back in warn, changed as given."""
    good = {
        "now": NOW,
        "mode": warned_for(8.5),
        "days": week(),
        "hours": [hour(back) for back in range(24, 0, -1)],
        "proofs": [Proof("app.Model.stage", NOW, None, None, None, ())],
        "audit": AuditFact("ann", NOW - DAY),
        "backup": BackupFact(NOW - HOUR / 2, NOW - DAY),
    }
    return Measurements(**(good | parts))


def judged(rule, **parts):
    """Return the gate over measurements that are good but for the parts given, at the default
    thresholds.
    """
    return rule(measured(**parts), conf.gates())


def condition(gate, name):
    return next(it for it in gate.conditions if it.name == name)
