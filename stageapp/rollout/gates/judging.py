"""Judge all gates at one moment."""

import datetime
from collections.abc import Callable

from django.db.models import Max

from stageapp import conf
from stageapp.audit import proof
from stageapp.backups import evidence
from stageapp.conf import GateThresholds
from stageapp.mode import history as mode_history
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.rollout import ConsumerAudit
from stageapp.rollout.canary import pins
from stageapp.rollout.gates import (
    canary,
    readiness,
    warning,
)
from stageapp.rollout.gates.measures import DAY, AuditFact, BackupFact, Measurements
from stageapp.rollout.gates.verdicts import Gate
from stageapp.traffic.history import Step, by_day, history, settled

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
    return judge(read(now), conf.gates())


_MOST_NAMES = 100  # consumers named as evidence


def read(now: datetime.datetime) -> Measurements:
    """Return the current inputs of the gates.

    Raises:
        django.db.DatabaseError: PostgreSQL does not answer.
    """
    wanted = conf.gates()
    mode = mode_history.read()
    today = Step.DAY.floor(now)
    week = today - DAY * wanted.warn_days
    hours = history(Step.HOUR, week, now)
    first_minute = Step.MINUTE.floor(now) - Step.MINUTE.length * (wanted.green_minutes + 2)
    done_sample = 0
    if mode.enforced_since(100):
        lately = now - datetime.timedelta(hours=wanted.done_hours)
        done_sample = sum(it.judged for it in history(Step.HOUR, lately, now, mode="enforce"))
    audit = ConsumerAudit.objects.first()
    unknown = ConsumerSighting.objects.filter(day__gte=week.date(), outcome="unknown")
    senders = unknown.values("consumer").annotate(last=Max("day"))
    latest_first = senders.order_by("-last", "consumer")
    return Measurements(
        now=now,
        mode=mode,
        days=by_day(hour for hour in hours if hour.started_at < today),
        hours=hours,
        minutes=history(Step.MINUTE, first_minute, now, mode="enforce"),
        done_sample=done_sample,
        pinned_out=[consumer for consumer, place in pins().items() if place == "out"],
        proofs=[proof.of_target(label, now) for label in conf.targets()],
        audit=AuditFact(audit.actor, audit.created_at) if audit else None,
        backup=backup_fact(),
        still_unknown=list(latest_first.values_list("consumer", flat=True)[:_MOST_NAMES]),
        settled=settled(),
    )


def backup_fact() -> BackupFact:
    backups = evidence.read()
    return BackupFact(
        backups.taken_at, backups.rehearsed_at, backups.schema_changed, backups.rehearsal_failed
    )
