"""Read the inputs of the gates from PostgreSQL."""

import datetime

from django.db.models import Max

from stageapp import conf
from stageapp.audit import proof
from stageapp.backups import evidence
from stageapp.conf import GateThresholds
from stageapp.mode import history as mode_history
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.rollout import ConsumerAudit
from stageapp.rollout.canary import pins
from stageapp.rollout.gates.measures import DAY, AuditFact, BackupFact, Measurements
from stageapp.traffic.history import Step, by_day, history, settled

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
    return Measurements(
        now=now,
        mode=mode,
        days=by_day(hour for hour in hours if hour.started_at < today),
        hours=hours,
        minutes=history(Step.MINUTE, _first_minute(now, wanted), now, mode="enforce"),
        done_sample=_enforced_lately(now, wanted) if mode.enforced_since(100) else 0,
        pinned_out=[consumer for consumer, place in pins().items() if place == "out"],
        proofs=[proof.of_target(label, now) for label in conf.targets()],
        audit=_audit(),
        backup=backup_fact(),
        still_unknown=_who_sends_unknown(week.date()),
        settled=settled(),
    )


def backup_fact() -> BackupFact:
    backups = evidence.read()
    return BackupFact(
        backups.taken_at, backups.rehearsed_at, backups.schema_changed, backups.rehearsal_failed
    )


def _first_minute(now: datetime.datetime, wanted: GateThresholds) -> datetime.datetime:
    return Step.MINUTE.floor(now) - Step.MINUTE.length * (wanted.green_minutes + 2)


def _enforced_lately(now: datetime.datetime, wanted: GateThresholds) -> int:
    since = now - datetime.timedelta(hours=wanted.done_hours)
    return sum(slot.judged for slot in history(Step.HOUR, since, now, mode="enforce"))


def _audit() -> AuditFact | None:
    audit = ConsumerAudit.objects.first()
    return AuditFact(audit.actor, audit.created_at) if audit else None


def _who_sends_unknown(since: datetime.date) -> list[str]:
    sent = ConsumerSighting.objects.filter(day__gte=since, outcome="unknown")
    newest_first = sent.values("consumer").annotate(last=Max("day")).order_by("-last", "consumer")
    return list(newest_first.values_list("consumer", flat=True)[:_MOST_NAMES])
