"""The life cycle of a run: who may change its state; the only writer of that state."""

import datetime
from contextlib import suppress
from typing import Any

from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Sum
from django.utils import timezone

from stageapp import conf
from stageapp.audit import rollbacks
from stageapp.infrastructure import events, locks, words
from stageapp.infrastructure.locks import Lock
from stageapp.models.batches import Direction
from stageapp.models.normalization import ACTIVE, MOVES, UNFINISHED, Run, RunMove, State
from stageapp.models.recorded import require_reason
from stageapp.normalization import leases, preflight, safety, shards
from stageapp.normalization.batches import LEAST_SECONDS, MOST_SECONDS
from stageapp.people import same_person
from stageapp.sealing import state as seal_state
from stageapp.targets import targets
from stageapp.targets.errors import IllegalMove, PlanRefused, RunBusy, SecondApproverNeeded
from stageapp.vocabulary import snapshot

BATCH_END_SECONDS = 10.0  # so long whoever moves a run waits for its batches in hand
FORGOTTEN_AFTER = datetime.timedelta(seconds=30)
STUCK_AFTER = datetime.timedelta(minutes=5)
# against a writer that dirties rows faster than the sweeps find them; verify reports what is left
SWEEPS = 20
_NOT_ALONE = (
    "The two-person rule is on, and {planner} made the plan: another person has to "
    "approve it before it starts. In an emergency: `normalization approve HASH "
    "--break-glass --reason TEXT`."
)


def move(run: Run, new: State, *, actor: str, reason: str) -> Run:
    """Change the run's state if its current state allows it, and record who and why.

    Raises:
        IllegalMove: the transition does not exist, or the state was changed meanwhile.
        RunBusy: another run of the same target is unfinished.
    """
    why = require_reason(reason, IllegalMove)
    old = State(run.state)
    if new not in MOVES[old]:
        if not MOVES[old]:
            raise IllegalMove(f"Run {run.pk} is {old.said}; that is final.")
        allowed = ", ".join(state.said for state in MOVES[old])
        raise IllegalMove(
            f"Run {run.pk} is {old.said}; from there it can change to {allowed}, not to {new.said}."
        )
    try:
        with transaction.atomic():
            _wait_for_batches(run)
            if Run.objects.filter(pk=run.pk, state=old).update(state=new, **_stamps(run, new)) != 1:
                raise IllegalMove(
                    f"Run {run.pk} is no longer {old.said}: somebody else changed its "
                    "state first. Check it again."
                )
            RunMove.objects.create(run=run, old_state=old, new_state=new, actor=actor, reason=why)
    except IntegrityError:
        other = Run.objects.filter(target=run.target, state__in=UNFINISHED).first()
        which = (
            f"Run {other.pk} of {run.target} is {other.stands}"
            if other
            else f"A run of {run.target} is unfinished"
        )
        raise RunBusy(
            f"{which}. Let it finish, cancel it or roll it back, then try again."
        ) from None
    run.refresh_from_db()
    events.run_moved(run=run.pk, old=old, new=new, actor=actor, reason=reason)
    return run


def _wait_for_batches(run: Run) -> None:
    """Wait for the run's in-flight batches; later ones see the new state.

    Raises:
        RunBusy: a batch does not end.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('lock_timeout', %s, true)", [f"{BATCH_END_SECONDS * 1000:.0f}ms"]
        )
        try:
            locks.wait(Lock.RUN, run.pk)
        except OperationalError:
            raise RunBusy(
                f"A batch of run {run.pk} has not ended for {BATCH_END_SECONDS:g} s: its worker "
                "or its PostgreSQL session hangs. Try again; after 5 minutes without a "
                "heartbeat the run can be paused by force."
            ) from None


def _stamps(run: Run, new: State) -> dict[str, object]:
    now = timezone.now()
    if new == State.RUNNING and run.started_at is None:
        return {"started_at": now}
    if new in (State.DONE, State.ROLLED_BACK):
        return {"finished_at": now, "last_error": ""}
    if new == State.CANCELLED:
        return {"finished_at": now}
    if new == State.RUNNING:
        return {"last_error": "", "sweeps_left": SWEEPS}
    if new == State.ROLLING_BACK:
        return {"last_error": ""}
    return {}


def approve(run: Run, *, actor: str, reason: str, break_glass: bool = False) -> Run:
    """Approve a planned run; under the two-person rule, its planner may not.

    `break_glass` bypasses the rule; this is logged and recorded.

    Raises:
        SecondApproverNeeded: the rule is on, and the approver is the planner.
        IllegalMove: the run is no longer planned.
    """
    alone = conf.settings.two_person_rule and same_person(run.plan.actor, actor)
    if alone and not break_glass:
        raise SecondApproverNeeded(_NOT_ALONE.format(planner=run.plan.actor))
    approved = move(
        run, State.APPROVED, actor=actor, reason=f"BREAK-GLASS: {reason}" if alone else reason
    )
    if alone:
        events.glass_broken(actor=actor, what=f"run {run.pk}", reason=reason)
    return approved


def start(
    run: Run, *, actor: str, reason: str, override: str = "", workers: int | None = None
) -> Run:
    """Start the run, or resume an interrupted, paused or failed one.

    `workers` limits the workers at one time, one shard each; None keeps the last value. `override`
    is the written reason of someone who may start it without a backup; it is kept in the history.

    Raises:
        BackupNeeded: at the first start, no verified backup is recent enough, or no rehearsal
            counts.
        PlanRefused: at the first start, the plan is too old or not of the current vocabulary
            version.
        PreflightRefused: at the first start, the database would reject the run's writes.
        TargetError: at the first start, the target no longer exists.
        IllegalMove: the run is over.
        RunBusy: another run of the target is unfinished.
        SecondApproverNeeded: the two-person rule is on, and nobody has approved it.
    """
    if run.state in (State.PLANNED, State.APPROVED):
        _check_plan(run)
        preflight.require_clear(run)
        reason = "; ".join(
            filter(None, [safety.require_gates(run, actor=actor, override=override), reason])
        )
    if run.state == State.PLANNED:
        if conf.settings.two_person_rule:
            raise SecondApproverNeeded(_NOT_ALONE.format(planner=run.plan.actor))
        approve(run, actor=actor, reason=reason)
    if run.state == State.APPROVED:
        with transaction.atomic():
            if workers is not None:
                Run.objects.filter(pk=run.pk).update(shards=workers)
            move(run, State.RUNNING, actor=actor, reason=reason)
            shards.divide(run, targets.resolve(run.target))
        return run
    if workers is not None and workers != run.shards:
        tune(run, workers=workers, actor=actor, reason=reason)
    if run.state in (State.RUNNING, State.VERIFYING):
        return run
    return resume(run, actor=actor, reason=reason)


def _check_plan(run: Run) -> None:
    plan = run.plan
    version = snapshot.newest_version()
    if plan.vocabulary_version != version:
        raise PlanRefused(
            f"The plan was made with vocabulary version {plan.vocabulary_version}; the "
            f"current version is {version}. Make a new plan."
        )
    if timezone.now() - plan.created_at > datetime.timedelta(
        hours=conf.settings.plan_max_age_hours
    ):
        raise PlanRefused(
            f"The plan was made at {plan.created_at:%Y-%m-%d %H:%M} UTC, more than "
            f"{conf.settings.plan_max_age_hours:g} hours ago. Make a new one."
        )


def pause(run: Run, *, actor: str, reason: str) -> Run:
    """Ask the workers to stop after the current batch; without leases, pause the run at once.

    If its worker died while stopping, ask again to pause it.

    Raises:
        IllegalMove: the run is neither running nor stopping.
    """
    if run.state != State.PAUSING:
        move(run, State.PAUSING, actor=actor, reason=reason)
    if not leases.is_held(run):
        with suppress(IllegalMove):  # a worker came after all, and did it
            move(run, State.PAUSED, actor=actor, reason=f"no worker has a lease on it: {reason}")
    run.refresh_from_db()
    return run


def resume(run: Run, *, actor: str, reason: str) -> Run:
    """Resume from the checkpoint."""
    return move(run, State.RUNNING, actor=actor, reason=reason)


def cancel(run: Run, *, actor: str, reason: str) -> Run:
    """Stop permanently. Committed changes stay and can be rolled back.

    Raises:
        IllegalMove: the run is over, or is being verified or rolled back; a started rollback has
            to finish.
    """
    if run.state == State.ROLLING_BACK:
        raise IllegalMove(
            f"Run {run.pk} is being rolled back, and cannot be cancelled until the "
            "rollback is complete."
        )
    return move(run, State.CANCELLED, actor=actor, reason=reason)


def force_pause(run: Run, *, actor: str, reason: str) -> Run:
    """Pause a run whose workers hang: revoke their leases and end their sessions.

    Raises:
        IllegalMove: the run is not running, or it had a heartbeat in the last 5 minutes.
        RunBusy: a session does not end.
    """
    if not is_stuck(run) or run.state not in (State.RUNNING, State.PAUSING):
        raise IllegalMove(
            f"Run {run.pk} is {run.stands} and not stuck: pause it normally, and its "
            "worker finishes the batch in flight."
        )
    try:
        leases.revoke(run)
    except OperationalError as error:
        raise RunBusy(f"A database session of run {run.pk} does not end: {error}") from None
    if run.state == State.RUNNING:
        move(run, State.PAUSING, actor=actor, reason=f"by force: {reason}")
    return move(run, State.PAUSED, actor=actor, reason=f"by force: {reason}")


def is_stuck(run: Run) -> bool:
    """Whether the run needs a worker and has had no heartbeat for 5 minutes."""
    if run.state not in ACTIVE:
        return False
    moved = run.moves.order_by("-id").values_list("created_at", flat=True).first() or run.created_at
    heard = max(filter(None, [leases.last_heartbeat(run), moved]))
    return timezone.now() - heard > STUCK_AFTER


def tune(
    run: Run,
    *,
    workers: int | None = None,
    batch_seconds: float | None = None,
    pause_seconds: float | None = None,
    actor: str,
    reason: str,
) -> Run:
    """Change workers and batch timing of a run, even while it runs; recorded in its history.

    Raises:
        IllegalMove: a value is invalid, the reason is empty, or the run is over.
    """
    wanted = {"shards": workers, "batch_seconds": batch_seconds, "pause_seconds": pause_seconds}
    changed = {
        name: value
        for name, value in wanted.items()
        if value is not None and value != getattr(run, name)
    }
    ranges = {
        "shards": (1, 32),
        "batch_seconds": (LEAST_SECONDS, MOST_SECONDS),
        "pause_seconds": (0.0, 60.0),
    }
    for name, value in changed.items():
        least, most = ranges[name]
        if not least <= value <= most:
            raise IllegalMove(f"{name} must be from {least:g} to {most:g}, not {value}.")
    require_reason(reason, IllegalMove)
    if run.state in (State.DONE, State.CANCELLED, State.ROLLED_BACK):
        raise IllegalMove(f"Run {run.pk} is {run.stands}; there is nothing to tune.")
    said = ", ".join(f"{name} {getattr(run, name)} → {value}" for name, value in changed.items())
    if changed:
        with transaction.atomic():
            Run.objects.filter(pk=run.pk).update(**changed)
            RunMove.objects.create(
                run=run,
                old_state=run.state,
                new_state=run.state,
                actor=actor,
                reason=f"{said}: {reason}",
            )
            run.refresh_from_db()
            if "shards" in changed and run.state in (State.RUNNING, State.PAUSING, State.PAUSED):
                shards.divide(run, targets.resolve(run.target))
        events.run_moved(
            run=run.pk, old=run.state, new=run.state, actor=actor, reason=f"{said}: {reason}"
        )
    return run


def request_rollback(
    run: Run, *, actor: str, reason: str, scope: dict[str, Any] | None = None
) -> Run:
    """Request a rollback of all or part of the run, or resume the current one.

    `scope` is as in `RollbackPlan`; a partial rollback requires a run that is `done` or
    `cancelled`.

    Raises:
        IllegalMove: nothing has run yet, a worker has a lease (pause the run first), or the scope
            is invalid.
        RunBusy: another run of the target is unfinished.
        SealRefused: the target is sealed, so that old spellings cannot come back.
    """
    if run.state == State.ROLLING_BACK and not scope:
        return run
    seal_state.require_unsealed(run.target)
    if scope and run.state not in (State.DONE, State.CANCELLED):
        raise IllegalMove(
            f"Run {run.pk} is {run.stands}; a partial rollback is possible once it is "
            "done or cancelled."
        )
    before = run.state
    with transaction.atomic():
        move(run, State.ROLLING_BACK, actor=actor, reason=reason)
        plan = rollbacks.make(run, scope or {}, from_state=before, actor=actor, reason=reason)
        shards.divide_rollback(run, plan)
    return run


def end_rollback(run: Run, *, actor: str) -> Run:
    """Record that everything in the rollback's scope is undone or listed."""
    plan = rollbacks.newest(run)
    counts = rollbacks.counts(run, plan)
    undone, left = words.count(counts["undone"], "row"), words.count(counts["skipped"], "row")
    reason = f"{undone} undone; {left} changed since and left alone"
    if counts["quarantined"]:
        apart = words.count(counts["quarantined"], "row is", "rows are")
        reason += f"; {apart} in quarantine: the database refused the change"
    return move(
        run, State(plan.from_state) if plan.scope else State.ROLLED_BACK, actor=actor, reason=reason
    )


def fail(run: Run, error: str, *, actor: str) -> None:
    """Record that the worker gave up; the checkpoint stays, and `start` resumes from it.

    A failed rollback stays in `rolling_back`, where a worker or an operator resumes it.
    """
    Run.objects.filter(pk=run.pk).update(last_error=error[:2000])
    run.refresh_from_db()
    if State.FAILED in MOVES[State(run.state)]:
        move(run, State.FAILED, actor=actor, reason=error[:500])


def quarantine_share(run: Run, direction: Direction, round: int) -> tuple[int, int]:
    """Return how many rows one direction of a run has quarantined and how many it has scanned."""
    shards_ = run.checkpoints.filter(direction=direction, round=round)
    sums = shards_.aggregate(quarantined=Sum("quarantined"), scanned=Sum("scanned"))
    return sums["quarantined"] or 0, sums["scanned"] or 0


def forgotten() -> list[Run]:
    """Return the runs that lost a worker or its message, one entry per missing worker."""
    stale = timezone.now() - FORGOTTEN_AFTER
    lacking: list[Run] = []
    for run in Run.objects.filter(state__in=ACTIVE):
        heard = leases.last_heartbeat(run)
        if heard is not None and heard > stale and run.state != State.RUNNING:
            continue
        unheard = [beat for beat in shards.open_heartbeats(run) if beat is None or beat < stale]
        if unheard:
            lacking += [run] * min(len(unheard), run.shards - len(leases.held(run)))
        elif heard is None or heard < stale:  # every shard is done, and nobody has said so
            lacking.append(run)
    return lacking
