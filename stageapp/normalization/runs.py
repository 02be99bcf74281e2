"""The life of a run: who may move it where, and the only writer of its state."""

import datetime
from contextlib import suppress

from django.db import IntegrityError, transaction
from django.utils import timezone

from stageapp import conf, events, vocabulary
from stageapp.models.normalization import ACTIVE, MOVES, UNFINISHED, Checkpoint, Direction, Run, RunMove, State
from stageapp.normalization import claims, preflight, safety
from stageapp.normalization.errors import IllegalMove, PlanRefused, RunBusy, SecondApproverNeeded
from stageapp.people import same_person

FORGOTTEN_AFTER = datetime.timedelta(seconds=30)
_NOT_ALONE = (
    "The two-person rule is on, and {planner} made the plan: somebody else has to approve it before it starts. "
    "In an emergency: `normalization approve HASH --break-glass --reason TEXT`."
)


def move(run: Run, new: State, *, actor: str, reason: str) -> Run:
    """Move the run to a new state, if its state in the database still allows it, and record who and why.

    Raises:
        IllegalMove: the state table has no such arrow, or somebody else moved the run first.
        RunBusy: another run of the same target is unfinished.
    """
    if not reason.strip():
        raise IllegalMove("A reason is needed: say why, for whoever reads the history.")
    old = State(run.state)
    if new not in MOVES[old]:
        allowed = ", ".join(MOVES[old]) or "nowhere"
        raise IllegalMove(f"Run {run.pk} is {old}; from there it can go to {allowed}, not to {new}.")
    try:
        with transaction.atomic():
            if Run.objects.filter(pk=run.pk, state=old).update(state=new, **_stamps(run, new)) != 1:
                raise IllegalMove(f"Run {run.pk} is not {old} any more: somebody moved it first. Look again.")
            RunMove.objects.create(run=run, old_state=old, new_state=new, actor=actor, reason=reason.strip())
    except IntegrityError:
        raise RunBusy(_busy(run)) from None
    run.refresh_from_db()
    events.run_moved(run=run.pk, old=old, new=new, actor=actor, reason=reason)
    return run


def _busy(run: Run) -> str:
    other = Run.objects.filter(target=run.target, state__in=UNFINISHED).first()
    which = f"Run {other.pk} of {run.target} is {other.state}" if other else f"A run of {run.target} is unfinished"
    return f"{which}. Finish it, or cancel it or roll it back, and try again."


def _stamps(run: Run, new: State) -> dict[str, object]:
    now = timezone.now()
    if new == State.RUNNING and run.started_at is None:
        return {"started_at": now, "heartbeat_at": None}
    if new in (State.DONE, State.ROLLED_BACK):
        return {"finished_at": now, "last_error": ""}
    if new == State.CANCELLED:
        return {"finished_at": now}
    if new in (State.RUNNING, State.ROLLING_BACK):
        return {"heartbeat_at": None, "last_error": ""}
    return {}


def approve(run: Run, *, actor: str, reason: str, break_glass: bool = False) -> Run:
    """Approve a planned run; with the two-person rule only somebody else than its planner may.

    `break_glass` sets the rule aside, loudly.

    Raises:
        SecondApproverNeeded: the rule is on, and the planner approves.
        IllegalMove: the run is not planned any more.
    """
    alone = conf.two_person_rule() and same_person(run.plan.actor, actor)
    if alone and not break_glass:
        raise SecondApproverNeeded(_NOT_ALONE.format(planner=run.plan.actor))
    approved = move(run, State.APPROVED, actor=actor, reason=f"BREAK-GLASS: {reason}" if alone else reason)
    if alone:
        events.glass_broken(actor=actor, what=f"run {run.pk}", reason=reason)
    return approved


def start(run: Run, *, actor: str, reason: str, override: str = "") -> Run:
    """Make the run ready for a worker: start it, or go on with an interrupted, paused or failed one.

    `override` is the written reason of somebody who may start it without a backup; it is kept in the history.

    Raises:
        BackupNeeded: at the first start, there is no verified backup that is new enough, or no rehearsal that counts.
        PlanRefused: at the first start, the plan is too old or its vocabulary version is not the current one.
        PreflightRefused: at the first start, the database would refuse what the run writes.
        TargetError: at the first start, the target is not there any more.
        IllegalMove: the run is over.
        RunBusy: another run of the target is unfinished.
        SecondApproverNeeded: the two-person rule is on, and nobody has approved it.
    """
    if run.state in (State.PLANNED, State.APPROVED):
        _check_plan(run)
        preflight.hold(run)
        reason = "; ".join(filter(None, [safety.hold(run, actor=actor, override=override), reason]))
    if run.state == State.PLANNED:
        if conf.two_person_rule():
            raise SecondApproverNeeded(_NOT_ALONE.format(planner=run.plan.actor))
        approve(run, actor=actor, reason=reason)
    if run.state == State.APPROVED:
        return move(run, State.RUNNING, actor=actor, reason=reason)
    if run.state in (State.RUNNING, State.VERIFYING):
        return run
    return resume(run, actor=actor, reason=reason)


def _check_plan(run: Run) -> None:
    plan = run.plan
    version = vocabulary.newest_version()
    if plan.vocabulary_version != version:
        raise PlanRefused(
            f"The plan was made with vocabulary version {plan.vocabulary_version}; now it is {version}. "
            "Make a new plan, so that it says what the vocabulary says."
        )
    if timezone.now() - plan.created_at > datetime.timedelta(hours=conf.plan_max_age_hours()):
        raise PlanRefused(
            f"The plan is of {plan.created_at:%Y-%m-%d %H:%M} UTC, older than {conf.plan_max_age_hours():g} hours. "
            "Make a new one."
        )


def pause(run: Run, *, actor: str, reason: str) -> Run:
    """Ask the worker to stop after the batch in hand; a run that no worker holds is paused at once.

    A run whose worker died while it was stopping is paused by asking again.

    Raises:
        IllegalMove: the run is neither running nor stopping.
    """
    if run.state != State.PAUSING:
        move(run, State.PAUSING, actor=actor, reason=reason)
    if not claims.is_held(run):
        with suppress(IllegalMove):  # a worker came after all, and did it
            move(run, State.PAUSED, actor=actor, reason=f"no worker holds it: {reason}")
    run.refresh_from_db()
    return run


def resume(run: Run, *, actor: str, reason: str) -> Run:
    """Go on from the checkpoint."""
    return move(run, State.RUNNING, actor=actor, reason=reason)


def cancel(run: Run, *, actor: str, reason: str) -> Run:
    """Stop for good. What has changed stays, and can be rolled back."""
    return move(run, State.CANCELLED, actor=actor, reason=reason)


def request_rollback(run: Run, *, actor: str, reason: str) -> Run:
    """Make the run ready for a worker to undo it; one that is being rolled back already goes on.

    Raises:
        IllegalMove: nothing has run yet, or the run is in a worker's hands (pause it first).
        RunBusy: another run of the target is unfinished.
    """
    if run.state == State.ROLLING_BACK:
        return run
    return move(run, State.ROLLING_BACK, actor=actor, reason=reason)


def fail(run: Run, error: str, *, actor: str) -> None:
    """Record that the worker gave up; the checkpoint stands and `start` goes on from it.

    A rollback that fails stays in `rolling_back`, where a worker or a person takes it up again.
    """
    Run.objects.filter(pk=run.pk).update(last_error=error[:2000])
    run.refresh_from_db()
    if State.FAILED in MOVES[State(run.state)]:
        move(run, State.FAILED, actor=actor, reason=error[:500])


def beat(run: Run, state: State, worker: str) -> bool:
    """Claim one batch: inside its transaction, hold the run in this state and say who works on it.

    Returns False when the run is in another state by now; then nothing may be written.
    """
    return Run.objects.filter(pk=run.pk, state=state).update(heartbeat_at=timezone.now(), worker=worker[:200]) == 1


def newest_to_roll_back() -> Run | None:
    """Return the newest run that is being rolled back, or else the newest finished one."""
    rolling = Run.objects.filter(state=State.ROLLING_BACK).first()
    return rolling or Run.objects.filter(state=State.DONE).order_by("-finished_at").first()


def forgotten() -> list[Run]:
    """Return the runs that should be worked on and have had no heartbeat for a while."""
    stale = timezone.now() - FORGOTTEN_AFTER
    candidates = Run.objects.filter(state__in=ACTIVE)
    return [run for run in candidates if run.heartbeat_at is None or run.heartbeat_at < stale]


def checkpoint(run: Run, direction: Direction) -> Checkpoint | None:
    """Return how far the run has committed in one direction, or None before its first batch."""
    return run.checkpoints.filter(direction=direction).first()
