"""The assumptions in force: a process-local copy that follows the table, and their changes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, Max

from stageapp.finance.allocations import AllocationError
from stageapp.finance.assumptions import AssumptionError, StageAssumptions
from stageapp.finance.reserves import FollowOnRule
from stageapp.infrastructure import events
from stageapp.infrastructure.refresher import LocalCopy
from stageapp.models.finance import AssumptionChange
from stageapp.models.recorded import require_actor, require_reason

# How many rows, and the newest. Rows are only added, so a change that commits late is seen, too.
Edition = tuple[int, int]


class NoAssumptions(Exception):
    """Assumptions about these stages are missing; the text says who can record them."""

    def __init__(self, stages: Iterable[str]) -> None:
        missing = f"There are no assumptions yet for: {', '.join(stages)}."
        super().__init__(f"{missing} An operator enters them in the admin, under Assumptions.")


class Unusable(ValueError):
    """The assumptions are invalid; the message names the figure and its range."""


class ChangedMeanwhile(Exception):
    """A stage's assumptions changed since the user read them; nothing was written."""


@dataclass(frozen=True)
class Assumptions:
    """The assumptions about each stage, in one edition of the table."""

    edition: Edition
    figures: Mapping[str, Mapping[str, Any]]

    def for_simulation(self, stages: Iterable[str]) -> dict[str, StageAssumptions]:
        """Return the simulation's inputs for these stages; raises NoAssumptions or Unusable."""
        return {stage: simulated(stage, figures) for stage, figures in self._of(stages).items()}

    def follow_on(self, stages: Iterable[str]) -> dict[str, FollowOnRule]:
        """Return the follow-on rules of these stages; raises NoAssumptions or Unusable."""
        return {stage: rule(stage, figures) for stage, figures in self._of(stages).items()}

    def _of(self, stages: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        wanted = list(stages)
        if missing := [stage for stage in wanted if stage not in self.figures]:
            raise NoAssumptions(missing)
        return {stage: self.figures[stage] for stage in wanted}


def simulated(stage: str, figures: Mapping[str, Any]) -> StageAssumptions:
    """Build the simulation's assumptions about a stage; raises Unusable."""
    try:
        return StageAssumptions.from_columns({"slug": stage, **figures})
    except AssumptionError as error:
        raise Unusable(f"{stage}: {error}") from error


def rule(stage: str, figures: Mapping[str, Any]) -> FollowOnRule:
    """Build the follow-on rule of a stage; raises Unusable."""
    try:
        names = ("follow_on_share", "follow_on_multiple")
        return FollowOnRule(*(Decimal(figures[name]) for name in names))
    except AllocationError as error:
        raise Unusable(f"{stage}: {error}") from error


def load() -> Assumptions:
    """Read the newest assumptions of every stage from PostgreSQL."""
    # The edition first: what commits in between is read now, and once more with its own edition.
    edition = newest_edition()
    return Assumptions(edition, {change.stage: change.figures for change in in_force()})


def in_force() -> Iterable[AssumptionChange]:
    """Return the newest change of every stage."""
    return AssumptionChange.objects.order_by("stage", "-version").distinct("stage")


def newest_edition() -> Edition:
    """Return the current edition of the table."""
    edition = AssumptionChange.objects.aggregate(rows=Count("id"), newest=Max("id"))
    return edition["rows"], edition["newest"] or 0


_copy = LocalCopy(load, lambda held: newest_edition() != held.edition)
current, forget, refresh = _copy.current, _copy.forget, _copy.refresh


def newest(stage: str) -> AssumptionChange | None:
    """Return the change in force for one stage."""
    return AssumptionChange.objects.filter(stage=stage).order_by("-version").first()


def change(
    stage: str, figures: Mapping[str, Any], *, expected_version: int, actor: str, reason: str
) -> AssumptionChange | None:
    """Record new assumptions about a stage; None if they are unchanged.

    `expected_version` is the version that the user saw, 0 if there was none.

    Raises:
        Unusable: no simulation or allocation could use the figures.
        ChangedMeanwhile: someone else changed them first.
        ValueError: the actor or the reason is empty.
    """
    require_actor(actor, ValueError)
    why = require_reason(reason, ValueError)
    simulated(stage, figures), rule(stage, figures)
    before = newest(stage)
    if (before.version if before else 0) != expected_version:
        raise _conflict(before)
    if before is not None and before.figures == dict(figures):
        return None
    version = expected_version + 1
    try:
        with transaction.atomic():
            made = AssumptionChange.objects.create(
                stage=stage, version=version, actor=actor, reason=why, **figures
            )
    except IntegrityError:
        raise _conflict(newest(stage)) from None

    def announce() -> None:
        events.assumptions_changed(stage=stage, version=version, actor=actor, reason=why)
        forget()

    transaction.on_commit(announce)
    return made


def carry_over(old: str, new: str, *, actor: str, reason: str) -> None:
    """Copy a stage's assumptions to its new slug, unless the new slug has some."""
    assumed = newest(old)
    if assumed is not None and newest(new) is None:
        change(new, assumed.figures, expected_version=0, actor=actor, reason=reason)


def _conflict(other: AssumptionChange | None) -> ChangedMeanwhile:
    if other is None:
        told = "There are no assumptions for this stage."
    else:
        told = f"{other.actor} changed these assumptions after you looked: {other.reason}"
    return ChangedMeanwhile(f"{told} Your change was not saved. Reload, then decide again.")
