"""A timeline of all rollout decisions, human and automatic: who, when, what, why."""

import datetime
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Model

from stageapp.mode import store
from stageapp.mode.store import ModeError
from stageapp.models.mode import ModeChange
from stageapp.models.recorded import require_reason
from stageapp.models.rollout import (
    ConsumerAudit,
    ConsumerPin,
    ModeProposal,
    PlannedStep,
    WarnPeriod,
)
from stageapp.people import Person
from stageapp.rollout import proposals


@dataclass(frozen=True)
class Entry:
    """One decision. `past` is the reason for overriding rules, empty if none was overridden."""

    at: datetime.datetime
    what: str
    actor: str
    reason: str
    kind: str = ""
    past: str = ""


def entries(limit: int, models: Collection[str] | None = None) -> list[Entry]:
    """Return the newest decisions, newest first; `models` (lower case) limits them to these."""
    chosen = [model for model in _WHAT if models is None or model._meta.model_name in models]
    entries: list[Entry] = []
    for model in chosen:
        rows: Any = model._default_manager.order_by("-pk")[:limit]
        for row in rows:
            kind = row.kind if isinstance(row, ModeChange) else ""
            past = getattr(row, "override_reason", "")
            what = _WHAT[model](row)
            entries.append(Entry(row.created_at, what, row.actor, row.reason, kind, past))
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]


def _ending(row: PlannedStep | ModeProposal) -> str:
    ended = f": {row.ended_why}" if row.ended_why else ""
    status = (
        row.get_status_display() if isinstance(row, PlannedStep) else proposals.status_in_words(row)
    )
    return f"enforce {row.percent} % ({status}{ended})"


_WHAT: dict[type[Model], Callable[[Any], str]] = {
    ModeChange: lambda row: (
        f"Mode: enforce {row.percent} %" if row.mode == "enforce" else f"Mode: {row.mode}"
    ),
    WarnPeriod: lambda row: "New warn period",
    ConsumerAudit: lambda row: "Consumers audited",
    ConsumerPin: lambda row: f"Pin: {row.consumer} {row.place}",
    PlannedStep: lambda row: f"Planned step: {_ending(row)}",
    ModeProposal: lambda row: f"Proposal: {_ending(row)}",
}


# What a person states for the gates: a new warn period, and an audit of the consumers.


def begin_warn_period(person: Person, reason: str) -> WarnPeriod:
    """Begin a new warn period: its days, and the evidence for leaving it, count from now.

    Raises:
        ModeError: the mode is not `warn`, or the reason is empty.
    """
    newest = store.latest()
    if newest.mode != "warn" or newest.version == 0:
        raise ModeError(
            "A warn period starts only in warn. Set warn first, with a reason: that starts one."
        )
    why = require_reason(reason, ModeError)
    return WarnPeriod.objects.create(actor=person.name, reason=why)


def record_audit(person: Person, reason: str) -> ConsumerAudit:
    """Record that someone has checked who still sends what; `reason` is their finding.

    Raises:
        ModeError: the reason is empty.
    """
    why = require_reason(reason, ModeError)
    return ConsumerAudit.objects.create(actor=person.name, reason=why)
