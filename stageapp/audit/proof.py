"""Proof: whether a target's rows are proven to be normalized, and if not, why not.

Only this module decides it; gates, screens, commands and the API ask here. A verification proves
something about the rows that it compared. Any known later change withdraws it: a batch of any run
in either direction, an import, an edit, known spellings found by the drift check, a newer
vocabulary, other options of the target. Unknown changes are for the drift check to find, so a
proof also needs a recent drift check that found no known spelling.
"""

import datetime
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Count, Max, Q
from django.utils import timezone

from stageapp import conf
from stageapp.audit import rollbacks
from stageapp.infrastructure import words
from stageapp.models.batches import Batch, Direction
from stageapp.models.normalization import ACTIVE, Run, State
from stageapp.models.proofs import TargetWrite, Verification
from stageapp.models.unknowns import DriftCheck
from stageapp.targets import targets
from stageapp.targets.errors import TargetError
from stageapp.targets.targets import BUILT_IN, Target
from stageapp.vocabulary import snapshot


class Remedy(enum.Enum):
    """What resolves a doubt."""

    PLAN = "make a plan and run it"
    WAIT = "let the run end"
    DECIDE = "go on with the run, cancel it or roll it back"
    VERIFY = "verify the run"
    QUARANTINE = "correct the rows in quarantine, then verify the run"
    WATCH = "make sure that the drift check runs"
    UNDERSTAND = "find out what changed the log before anything else runs"


@dataclass(frozen=True)
class Doubt:
    """One reason why the proof fails. `missing` means that nothing has been checked yet."""

    text: str
    remedy: Remedy
    missing: bool = False


@dataclass(frozen=True)
class Seen:
    """The changes to a target's rows up to one moment."""

    last_batch: int
    batches: int
    writes: int


@dataclass(frozen=True)
class Proof:
    """The proof for one target's rows: the run behind it, its verification and drift check."""

    target: str
    now: datetime.datetime
    run: Run | None
    verification: Verification | None
    look: DriftCheck | None
    doubts: tuple[Doubt, ...]

    @property
    def stands(self) -> bool:
        """Whether nothing contradicts the proof."""
        return not self.doubts

    @property
    def missing(self) -> bool:
        """Whether the proof fails only because of checks that have not been made yet."""
        return bool(self.doubts) and all(doubt.missing for doubt in self.doubts)

    @cached_property
    def evidence(self) -> str:
        """The verification and the drift check behind the proof, with their ages, as text."""
        parts = []
        if self.verification is not None:
            made = self.verification
            parts.append(
                f"run {made.run_id} was verified {words.ago(made.ended_at, self.now)} by "
                f"{made.actor}"
            )
        if self.look is not None and not self.look.problem:
            parts.append(
                f"the drift check ran {words.ago(self.look.looked_at, self.now)} and "
                f"found {_rows(self.look.known_rows, '', '').strip()} with known spellings"
            )
        return "; ".join(parts)

    @property
    def sentence(self) -> str:
        """The whole proof as text."""
        against = " ".join(doubt.text for doubt in self.doubts)
        about = f"{self.evidence[:1].upper()}{self.evidence[1:]}." if self.evidence else ""
        return " ".join(filter(None, [against, about]))


def of_target(label: str, now: datetime.datetime | None = None) -> Proof:
    """Return the proof for a target's rows."""
    run = _judged(label)
    return _proof(label, run, now or timezone.now())


def of_run(run: Run, now: datetime.datetime | None = None) -> Proof:
    """Return the proof for one run, even if a newer run has replaced it."""
    return _proof(run.target, run, now or timezone.now())


def see(target: Target) -> Seen:
    """Return the changes to a target's rows so far; counts committed ones, so a late one shows."""
    batches = _batches(target.label).aggregate(count=Count("*"), last=Max("id"))
    writes = writes_of(target.label).count()
    return Seen(batches["last"] or 0, batches["count"], writes)


def options(target: Target) -> dict[str, str]:
    """Return the options that define which rows belong to a target and how they are stored."""
    return {"where": target.where, "form": target.form, "source": target.source_column}


def record_write(label: str, kind: str, rows: int, *, actor: str, reason: str) -> None:
    """Record a change of a target's rows outside its runs; it withdraws any earlier proof."""
    if rows:
        TargetWrite.objects.create(
            target=label, kind=kind, rows=rows, actor=actor[:200], reason=reason
        )


def writes_of(label: str) -> Any:
    """Return the writes to a target's column outside runs; drift only in the target's own rows."""
    shared = TargetWrite.objects.filter(target__in=_sharing(label))
    return shared.exclude(~Q(target=label), kind=TargetWrite.DRIFT)


def standing_run(label: str) -> Run | None:
    """Return a target's newest run that is done and not fully undone; None while one is active."""
    run = _judged(label)
    return run if run is not None and _stands(run) else None


def history(run: Run) -> list[Verification]:
    """Return a run's verifications, newest first."""
    return list(run.verifications.select_related("run__plan"))


def _judged(label: str) -> Run | None:
    """Return the newest run that is open or has lasting changes, else the newest that started."""
    begun = list(
        Run.objects.filter(target=label, started_at__isnull=False)
        .select_related("plan")
        .order_by("-started_at", "-id")
    )
    over = (State.DONE, State.CANCELLED, State.ROLLED_BACK)
    counts = (run for run in begun if run.state not in over or _stands(run))
    return next(counts, begun[0] if begun else None)


def _stands(run: Run) -> bool:
    return run.state == State.DONE and not rollbacks.standing(run).nothing


def _proof(label: str, run: Run | None, now: datetime.datetime) -> Proof:
    made = run.verifications.select_related("run__plan").first() if run is not None else None
    look = DriftCheck.objects.filter(target=label).first()
    doubts = (
        *_about_run(run, made),
        *(() if made is None else (*faults(made), *withdrawn(made, now))),
        *_about_drift(run, made, look, now),
    )
    return Proof(label, now, run, made, look, doubts)


def _about_run(run: Run | None, made: Verification | None) -> Iterator[Doubt]:
    if run is None:
        yield Doubt("No run has started.", Remedy.PLAN, missing=True)
        return
    if run.state in ACTIVE:
        yield Doubt(f"Run {run.pk} is {_STATES[State(run.state)]}.", Remedy.WAIT)
    elif run.state in (State.PAUSED, State.FAILED):
        yield Doubt(f"Run {run.pk} {_STATES[State(run.state)]}.", Remedy.DECIDE)
    elif run.state != State.DONE:
        yield Doubt(f"Run {run.pk} {_STATES[State(run.state)]}.", Remedy.PLAN)
    elif words := rollbacks.standing(run).words:
        yield Doubt(f"Run {run.pk} is {words}.", Remedy.PLAN)
    elif made is None:
        yield Doubt(f"Run {run.pk} has never been verified.", Remedy.VERIFY)


_STATES = {
    State.PLANNED: "has not begun",
    State.APPROVED: "has not begun",
    State.RUNNING: "running",
    State.PAUSING: "pausing",
    State.VERIFYING: "being verified",
    State.ROLLING_BACK: "being rolled back",
    State.PAUSED: "is paused",
    State.FAILED: "has failed",
    State.CANCELLED: "was cancelled",
    State.ROLLED_BACK: "was rolled back",
}


def faults(made: Verification) -> Iterator[Doubt]:
    """Yield the findings of a verification that speak against its run."""
    results = made.found
    if not results.get("agrees", made.ok):
        yield Doubt(
            f"The audit log has {results['entries']:,} entries, the batches changed "
            f"{results['changed_by_batches']:,} rows.",
            Remedy.UNDERSTAND,
        )
    if left := results.get("rows_left", 0):
        yield Doubt(f"{_rows(left, 'holds', 'hold')} planned spellings.", Remedy.PLAN)
    if unplanned := results.get("rows_unplanned", 0):
        why = _why_unplanned(made, results.get("rows_arrived", 0))
        yield Doubt(
            f"{_rows(unplanned, 'holds', 'hold')} known spellings, and the plan {why}. "
            "Make a new plan.",
            Remedy.PLAN,
        )
    if back := results.get("rows_given_back", 0):
        yield Doubt(
            f"{_rows(back, 'holds', 'hold')} the old spelling again after a rollback.", Remedy.PLAN
        )
    if apart := results.get("quarantined", 0):
        yield Doubt(
            f"{_rows(apart, 'is', 'are')} in quarantine: the database refused the change.",
            Remedy.QUARANTINE,
        )


def _why_unplanned(made: Verification, arrived: int) -> str:
    planned = made.run.plan.vocabulary_version
    if arrived:
        return f"was made before {_rows(arrived, 'arrived', 'arrived')}"
    if made.vocabulary_version != planned:
        return f"was made with vocabulary version {planned}"
    return "does not contain them"


def withdrawn(made: Verification, now: datetime.datetime) -> Iterator[Doubt]:
    """Yield what has changed since a verification began: rows, vocabulary or options."""
    label = made.run.target
    batches = _batches(label)
    newest = batches.order_by("-id").first()
    if newest is not None and batches.count() > made.batches:
        back = newest.direction == Direction.ROLLBACK
        what = "was rolled back in full or in part" if back else "changed rows"
        yield Doubt(
            f"Run {newest.run_id} {what} {words.ago(newest.committed_at, now)}, after the "
            "verification.",
            Remedy.VERIFY,
        )
    writes = writes_of(label)
    if (number := writes.count() - made.writes) > 0 and (newest_write := writes.first()):
        earlier = words.count(number - 1, "earlier change", "earlier changes")
        others = f" (and {earlier} outside runs)" if number > 1 else ""
        yield Doubt(
            f"{_rows(newest_write.rows, 'was', 'were')} {newest_write.get_kind_display()} "
            f"{words.ago(newest_write.created_at, now)} by {newest_write.actor}{others}, after "
            "the verification.",
            Remedy.VERIFY,
        )
    version = snapshot.newest_version()
    if version != made.vocabulary_version:
        yield Doubt(
            f"The vocabulary is at version {version}; the verification used version "
            f"{made.vocabulary_version}.",
            Remedy.VERIFY,
        )
    if batches.count() < made.batches or number < 0:
        yield Doubt(
            "Another target of the same column has been removed from STAGE_TARGETS since "
            "the verification.",
            Remedy.VERIFY,
        )
    try:
        now_meant = options(targets.resolve(label))
    except TargetError:
        now_meant = None
    if now_meant != made.options:
        yield Doubt("The options of the target have changed since the verification.", Remedy.VERIFY)


def _about_drift(
    run: Run | None, made: Verification | None, look: DriftCheck | None, now: datetime.datetime
) -> Iterator[Doubt]:
    if run is None or not _stands(run):
        return  # the watch begins when a run is done
    most = conf.drift_look_seconds()
    if look is None:
        every = words.duration(conf.DRIFT_SECONDS)
        yield Doubt(
            "The drift check has not read the rows yet; the scheduler (beat) starts it "
            f"every {every}.",
            Remedy.WATCH,
            missing=True,
        )
    elif look.problem:
        yield Doubt(f"The drift check could not read the rows: {look.problem}", Remedy.WATCH)
    elif (now - look.looked_at).total_seconds() > most:
        yield Doubt(
            f"The drift check last ran {words.ago(look.looked_at, now)}; it must run at "
            f"least every {words.duration(most)}.",
            Remedy.WATCH,
        )
    elif look.known_rows and made is not None and look.checked_at < made.started_at:
        yield Doubt(
            "The drift check has not run since the verification.", Remedy.WATCH, missing=True
        )
    elif look.known_rows:
        yield Doubt(
            f"The drift check found {words.count(look.known_rows, 'row')} with known "
            f"spellings {words.ago(look.checked_at, now)}.",
            Remedy.PLAN,
        )


def _rows(number: int, one: str, more: str) -> str:
    return f"1 row {one}" if number == 1 else f"{number:,} rows {more}"


def _batches(label: str) -> Any:
    """Return all batches that changed a target's column, in either direction, under any label."""
    return Batch.objects.filter(run__target__in=_sharing(label), changed__gt=0)


def _sharing(label: str) -> list[str]:
    try:
        return targets.sharing(label, [*conf.targets(), BUILT_IN])
    except TargetError:
        return [label]
