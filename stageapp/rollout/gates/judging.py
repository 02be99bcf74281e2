"""Judge all gates at one moment."""

import datetime
from collections.abc import Callable

from stageapp import conf
from stageapp.conf import GateThresholds
from stageapp.rollout.gates import canary, readiness, reading, warning
from stageapp.rollout.gates.measures import Measurements
from stageapp.rollout.gates.verdicts import Gate

Rule = Callable[[Measurements, GateThresholds], Gate]

RULES: dict[str, Rule] = {
    "verified_backup": readiness.verified_backup,
    "rehearsal": readiness.rehearsal,
    "run_complete": readiness.run_complete,
    "consumers_audited": readiness.consumers_audited,
    "warn_exit": warning.warn_exit,
    "canary_10": canary.canary_10,
    "canary_50": canary.canary_50,
    "done": canary.done,
}


def judge(measured: Measurements, wanted: GateThresholds) -> dict[str, Gate]:
    """Return every gate by name; pure."""
    return {name: rule(measured, wanted) for name, rule in RULES.items()}


def judge_now(now: datetime.datetime) -> dict[str, Gate]:
    """Return every gate by name, judged from PostgreSQL's current data."""
    return judge(reading.read(now), conf.gates())
