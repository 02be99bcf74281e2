"""Preview a seal: a dry run that only reads."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Sum
from django.utils import timezone

from stageapp.models.unknowns import DriftCheck, UnknownCount
from stageapp.sealing import guard, seal, survey
from stageapp.sealing.allowed import Passing, wanted
from stageapp.sealing.state import SealState, look
from stageapp.sealing.survey import Survey, evidence, obstacles
from stageapp.targets import columns, lock_wait, targets
from stageapp.targets.lock_wait import LockWait
from stageapp.vocabulary import snapshot

DAYS = 7
_IMPORTED_INTO = "stageapp.PortfolioCompany.stage"  # where `companies import` writes


@dataclass(frozen=True)
class Recent:
    """Recent writes that would fail under the seal, and the evidence for them."""

    count: int
    what: str


@dataclass(frozen=True)
class Preview:
    """What a seal would accept, its obstacles, and the recent writes that it would reject."""

    state: SealState
    passing: Passing
    survey: Survey
    obstacles: list[str]
    evidence: str
    recent: list[Recent]

    @property
    def possible(self) -> bool:
        """Whether a seal would be attempted."""
        return not self.obstacles


def preview(
    label: str,
    *,
    allow: Sequence[str] | None = None,
    nulls: bool | None = None,
    how: LockWait = lock_wait.LONG,
) -> Preview:
    """Return what sealing the target now would mean.

    Raises:
        SealRefused: a requested value cannot be allowed, or the target's `where` does not fit
            into a constraint.
        TargetError: there is no such target.
        TooSlow: the rows could not be read within the time limit of `how`.
    """
    target, meaning_of, now = targets.resolve(label), snapshot.load(), look(label)
    columns.require_plain(target)
    passing = wanted(target, meaning_of, allow=allow, nulls=nulls, before=now.seal or now.begun)
    if target.where:
        seal.written(target, passing, how)
    surveyed = survey.survey(target, passing, meaning_of, seconds=how.read_seconds)
    return Preview(
        now,
        passing,
        surveyed,
        obstacles(label, surveyed),
        evidence(label, surveyed),
        _recent(label, surveyed),
    )


def _recent(label: str, surveyed: Survey) -> list[Recent]:
    turned, failed = guard.totals(label, days=DAYS)
    on = guard.look(label).state == "on"
    with_it = "while it is on they pass" if on else "it is off now"
    drift, imports = DriftCheck.objects.filter(target=label).first(), []
    drifted = []
    if drift is not None:
        what = (
            f"rows were written outside the API since run {drift.run}, as found by the drift "
            f"check at {drift.checked_at:%Y-%m-%d %H:%M} UTC"
        )
        drifted.append(Recent(drift.known_rows + drift.unknown_rows, what))
    if label == _IMPORTED_INTO:
        since = timezone.now().date() - datetime.timedelta(days=DAYS - 1)
        counts = UnknownCount.objects.filter(kind="import", day__gte=since)
        what = (
            f"rows with unknown values were imported in {DAYS} days; such a file would be refused"
        )
        imports.append(Recent(counts.aggregate(rows=Sum("count"))["rows"] or 0, what))
    return [
        Recent(
            surveyed.rows,
            "rows that would not pass stand in the column now: the next UPDATE of each would fail",
        ),
        *drifted,
        *imports,
        Recent(
            turned,
            f"values from other writers were turned into stages by the guard in {DAYS} "
            f"days: {with_it}",
        ),
        Recent(failed, f"times in {DAYS} days the guard failed and left a value unchanged"),
    ]
