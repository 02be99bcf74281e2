"""Planned steps: beat enlarges the share automatically, after the dwell and if the gates pass.

Any other change of mode (by a person or by auto-downgrade) cancels the remaining steps.
"""

import datetime
from collections.abc import Sequence

from django.db import transaction

from stageapp import conf
from stageapp.mode import store
from stageapp.mode.store import ModeError, VersionConflict
from stageapp.models.mode import ModeChange
from stageapp.models.rollout import PlannedStep
from stageapp.people import Person, same_person
from stageapp.rollout import steps
from stageapp.rollout.changes import Wish, change_mode
from stageapp.rollout.errors import GatesHold, Latched, SecondPersonNeeded

STEPS = (50, 100)


class ScheduleError(ModeError):
    """Steps that cannot be planned; the text says what to do."""


def plan_steps(person: Person, reason: str, percents: Sequence[int] = STEPS) -> list[PlannedStep]:
    """Plan larger shares, in this order; previously planned steps are canceled.

    Under the two-person rule they wait for another person's approval.

    Raises:
        ScheduleError: nothing is enforced yet, or the percentages do not rise.
        ModeError: the reason is empty.
    """
    newest = store.latest()
    rising = [newest.percent, *percents]
    if newest.mode != "enforce" or newest.percent == 100:
        raise ScheduleError(
            "Steps increase the enforced share. Set the first share by hand: `mode set`."
        )
    if not percents or rising != sorted(set(rising)) or rising[-1] > 100:
        raise ScheduleError(f"Give ascending percentages, above {newest.percent} and at most 100.")
    store.check("enforce", rising[-1], reason)
    with transaction.atomic():
        steps.cancel(f"{person.name} planned other steps")
        return [
            PlannedStep.objects.create(
                actor=person.name,
                reason=reason.strip(),
                percent=percent,
                epoch=newest.epoch,
                version=newest.version,
                status="proposed" if conf.settings.two_person_rule else "waiting",
            )
            for percent in percents
        ]


def approve_steps(person: Person, reason: str = "") -> int:
    """Approve another person's steps; return how many. `reason` is added to theirs.

    Raises:
        SecondPersonNeeded: the approver is the one who planned them.
        ScheduleError: no step is waiting for approval.
    """
    proposed = [step for step in steps.to_come() if step.status == "proposed"]
    if any(same_person(step.actor, person.name) for step in proposed):
        raise SecondPersonNeeded("The person who planned the steps cannot approve them")
    approved = steps.approve(person.name, reason)
    if not approved:
        raise ScheduleError("No planned step is waiting for approval.")
    return approved


def take_next(now: datetime.datetime | None = None) -> ModeChange | None:
    """Take the next planned step if its gates pass; return the mode change, if any.

    Failing gates keep it waiting. A change of mode outside the plan cancels the plan.
    """
    step = steps.next_waiting()
    if step is None:
        return None
    newest = store.latest()
    if not (
        newest.mode == "enforce"
        and newest.order == (step.epoch, step.version)
        and newest.percent < step.percent
    ):
        steps.cancel(f"the mode is {newest.mode} {newest.percent} % after an unplanned change")
        return None
    try:
        with transaction.atomic():
            row = change_mode(
                Person(f"planned by {step.actor}"[:200]),
                Wish("enforce", step.reason, step.percent),
                expected_version=newest.version,
                kind="scheduled",
                approved_by=step.approved_by,
                now=now,
            )
            steps.finish(step, row)
    except (GatesHold, VersionConflict):
        return None
    except (Latched, SecondPersonNeeded) as refusal:
        steps.cancel(str(refusal))
        return None
    return row
