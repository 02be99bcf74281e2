"""The store of planned steps: what is still to come, and the only writer of their status."""

from django.db.models import QuerySet, Value
from django.db.models.functions import Concat
from django.utils import timezone

from stageapp.infrastructure import events
from stageapp.models.mode import ModeChange
from stageapp.models.rollout import PlannedStep

_OPEN = ("proposed", "waiting")
# Status → what may follow. Done and cancelled are the end.
MOVES = {
    "waiting": _OPEN[:1],  # another person has approved
    "done": _OPEN[1:],  # beat took the step
    "cancelled": _OPEN,  # somebody changed the mode, or planned other steps, or does not want them
}


def to_come() -> list[PlannedStep]:
    """Return the remaining steps, in order."""
    return list(PlannedStep.objects.filter(status__in=_OPEN))


def next_waiting() -> PlannedStep | None:
    return PlannedStep.objects.filter(status="waiting").first()


def cancel(why: str) -> int:
    """Cancel all remaining steps; return how many."""
    percents = [step.percent for step in to_come()]
    cancelled = _move(
        PlannedStep.objects.all(), "cancelled", ended_at=timezone.now(), ended_why=why
    )
    for percent in percents:
        events.step_cancelled(percent=percent, why=why)
    return cancelled


def approve(by: str, why: str = "") -> int:
    """Approve the proposed steps, which then wait for their gates; return how many."""
    added = f"\n{by}: {why.strip()}" if why.strip() else ""
    return _move(
        PlannedStep.objects.all(), "waiting", approved_by=by, reason=Concat("reason", Value(added))
    )


def finish(step: PlannedStep, row: ModeChange) -> None:
    """Close a step, and base the remaining ones on the version that it created."""
    why = f"version {row.epoch}.{row.version}"
    _move(PlannedStep.objects.filter(pk=step.pk), "done", ended_at=timezone.now(), ended_why=why)
    PlannedStep.objects.filter(status="waiting").update(epoch=row.epoch, version=row.version)


def _move(chosen: QuerySet[PlannedStep], status: str, **fields: object) -> int:
    return chosen.filter(status__in=MOVES[status]).update(status=status, **fields)
