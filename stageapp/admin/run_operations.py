"""What a person may do with a run: one table, from which buttons, permissions and confirm pages come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from stageapp import conf
from stageapp.models.normalization import Run, State
from stageapp.normalization import runs, verification_jobs
from stageapp.people import same_person


@dataclass(frozen=True)
class Operation:
    """One button. `states` are those in which the state table lets it do something.

    `when` is what it takes besides, of the run and of the name of who asks.
    """

    label: str
    permission: str
    states: frozenset[State]
    perform: Callable[..., object]
    explanation: str
    done: str
    danger: bool = False
    when: Callable[[Run, str], bool] = lambda run, name: True

    @property
    def words(self) -> dict[str, Any]:
        """Return what the confirm page says."""
        return {"explanation": self.explanation, "verb": self.label, "danger": self.danger}

    def allowed(self, request: HttpRequest, run: Run) -> bool:
        """Tell whether this user may do it to the run as it stands."""
        may = run.state in self.states and request.user.has_perm(f"stageapp.{self.permission}")
        return may and self.when(run, request.user.get_username())


def _in(*states: State) -> frozenset[State]:
    return frozenset(states)


def _needs_nobody_else(run: Run, name: str) -> bool:
    """Whether it may start: with the two-person rule it has to be approved first."""
    return run.state != State.PLANNED or not conf.two_person_rule()


def _is_the_second(run: Run, name: str) -> bool:
    return not (conf.two_person_rule() and same_person(run.plan.actor, name))


def awaits_approval(run: Run) -> str:
    """Return who has to approve the run before it starts, in words; empty where nobody has to."""
    if _needs_nobody_else(run, ""):
        return ""
    return (
        f"The two-person rule is on: somebody other than {run.plan.actor} with the permission "
        "approve_run has to approve this run before it starts."
    )


OPERATIONS: dict[str, Operation] = {
    "start": Operation(
        "Start", "operate_run", _in(State.PLANNED, State.APPROVED), runs.start,
        "A worker rewrites the rows batch by batch, exactly as the plan says. It can be paused, cancelled and "
        "rolled back. A plan that nobody has approved is approved by you.",
        "Started. A worker takes it up within seconds.", when=_needs_nobody_else,
    ),
    "approve": Operation(
        "Approve", "approve_run", _in(State.PLANNED), runs.approve,
        "You confirm that the plan with this hash is what should be carried out. Nothing changes yet.",
        "Approved. It can be started now.", when=_is_the_second,
    ),
    "pause": Operation(
        "Pause", "operate_run", _in(State.RUNNING), runs.pause,
        "The worker finishes the batch in hand and stops. The checkpoint stands.",
        "Pausing: the batch in hand is finished first.",
    ),
    "resume": Operation(
        "Resume", "operate_run", _in(State.PAUSING, State.PAUSED, State.FAILED), runs.resume,
        "The worker goes on from the checkpoint.",
        "Resumed. A worker takes it up within seconds.",
    ),
    "force_pause": Operation(
        "Force pause", "operate_run", _in(State.RUNNING, State.PAUSING), runs.force_pause,
        "No worker has been heard of for 5 minutes. Every shard is taken from its worker, whose database session is "
        "ended: what it had not committed is rolled back, and it can write nothing any more. The checkpoint stands.",
        "Paused by force. Resume it once you know what became of its worker.",
        danger=True, when=lambda run, name: runs.is_stuck(run),
    ),
    "cancel": Operation(
        "Cancel for good", "operate_run",
        _in(State.PLANNED, State.APPROVED, State.RUNNING, State.PAUSING, State.PAUSED, State.FAILED), runs.cancel,
        "The run ends and cannot be resumed. What it has changed stays changed, and can still be rolled back.",
        "Cancelled. What changed stays, and can be rolled back.",
        danger=True,
    ),
    "verify": Operation(
        "Verify", "operate_run", _in(State.PAUSED, State.DONE, State.FAILED, State.CANCELLED, State.ROLLED_BACK),
        verification_jobs.request,
        "A worker compares every row with the audit log and with the newest vocabulary. It reads, and changes nothing. "
        "What it finds is kept in the run's history, and counts until the rows or the vocabulary change.",
        "Requested. A worker takes it up within seconds; progress appears here.",
        when=lambda run, _: not verification_jobs.active(run),
    ),
    "rollback": Operation(
        "Roll back", "rollback_run", _in(State.PAUSED, State.DONE, State.FAILED, State.CANCELLED),
        runs.request_rollback,
        "Every row gets the value back that the audit log holds. Rows that somebody changed since are left alone "
        "and listed.",
        "Rolling back. A worker takes it up within seconds.",
        danger=True,
    ),
}  # fmt: skip


def offered(request: HttpRequest, run: Run) -> list[dict[str, Any]]:
    """Return the buttons for this user and this run."""
    return [
        {"name": name, "label": operation.label, "danger": operation.danger}
        for name, operation in OPERATIONS.items()
        if operation.allowed(request, run)
    ]
