"""One rule for all commands to pick the run or target when none is named."""

from stageapp import conf
from stageapp.audit import rollbacks
from stageapp.models.normalization import MOVES, UNFINISHED, Run, State
from stageapp.targets import targets
from stageapp.targets.errors import Ambiguous, NormalizationError

_NOT_BEGUN = (State.PLANNED, State.APPROVED)


def target(label: str | None) -> str:
    """Return the given label, or else that of the only target.

    Raises:
        Ambiguous: several targets are configured.
        TargetError: no target is configured.
    """
    return label or targets.default_label()


def run(number: int | None, label: str | None = None) -> Run:
    """Return the run by number, or else the active run, or the only target's newest one.

    Raises:
        Ambiguous: several runs or targets match, or the run belongs to another target.
        NormalizationError: there is no such run.
    """
    if number is not None:
        return _numbered(number, label)
    return _at_work(label) or _newest(label, list(State))


def run_to_verify(number: int | None, label: str | None = None) -> Run:
    """Like `run`, but ignore runs that have not started; raises as `run`."""
    if number is not None:
        return _numbered(number, label)
    return _at_work(label) or _newest(label, [state for state in State if state not in _NOT_BEGUN])


def run_to_roll_back(number: int | None, label: str | None = None) -> Run:
    """Like `run`, but return only a finished run, or an active one that can be rolled back now.

    Raises:
        Ambiguous: as `run`; also when another run is active, so that nobody undoes a run they did
            not mean.
        NormalizationError: there is no such run.
    """
    if number is not None:
        return _numbered(number, label)
    working = _at_work(label)
    if working is None:
        return _newest(label, [State.DONE], stands=True)
    if working.state == State.ROLLING_BACK or State.ROLLING_BACK in MOVES[State(working.state)]:
        return working
    raise Ambiguous(
        f"The active run is {_named(working)}. Give the number of the run to roll back."
    )


def _numbered(number: int, label: str | None) -> Run:
    run = Run.objects.filter(pk=number).first()
    if run is None:
        raise NormalizationError(f"There is no run {number}.")
    if label and run.target != label:
        raise Ambiguous(
            f"Run {number} belongs to {run.target}, not to {label}. Leave one of them out."
        )
    return run


def _at_work(label: str | None) -> Run | None:
    """Return the only active run, or None; raises Ambiguous if there are several."""
    working = [
        one for one in Run.objects.filter(state__in=UNFINISHED) if label in (None, one.target)
    ]
    if len(working) > 1:
        names = ", ".join(map(_named, working))
        raise Ambiguous(
            f"Several runs are active: {names}. Choose one by its number or with --target."
        )
    return working[0] if working else None


def _newest(label: str | None, states: list[State], *, stands: bool = False) -> Run:
    """Return the newest run in these states; with `stands`, one with changes left to undo."""
    runs = Run.objects.filter(state__in=states)
    if label:
        runs = runs.filter(target=label)
    # Of finished runs the end counts: an older plan may have run last.
    ordered = runs.order_by(*(["-finished_at"] if states == [State.DONE] else []), "-id")
    if stands:
        read = rollbacks.with_standing(ordered)
        run = next((one for one in read if rollbacks.annotated(one).left), None)
    else:
        run = ordered.first()
    of_it = f" of {label}" if label else ""
    known = {*conf.targets(), *runs.values_list("target", flat=True).distinct()}
    if not runs.exists():
        finished = " finished" if states == [State.DONE] else ""
        raise NormalizationError(f"There is no{finished} run{of_it} yet.")
    if label is None and len(known) > 1:
        raise Ambiguous(
            "No run is active, and there are several targets: "
            f"{', '.join(sorted(known))}. Choose one with --target or by a run's number."
        )
    if run is None:
        raise NormalizationError(f"There is nothing to undo: no finished run{of_it} is in effect.")
    return run


def _named(one: Run) -> str:
    return f"run {one.pk} of {one.target} ({one.stands})"
