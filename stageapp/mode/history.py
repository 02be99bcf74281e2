"""The history of the mode: how long it has been in force, the time in warn, and the latch."""

import datetime
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from stageapp.mode.store import STRICTNESS
from stageapp.models.mode import ModeChange
from stageapp.models.rollout import WarnPeriod


@dataclass(frozen=True)
class Change:
    """One authorized change, with the fields that decisions need."""

    mode: str
    percent: int
    kind: str
    at: datetime.datetime

    @property
    def strictness(self) -> tuple[int, int]:
        """The sort key of strictness: the mode first, then the enforced percentage."""
        return (STRICTNESS[self.mode], self.percent if self.mode == "enforce" else 0)


@dataclass(frozen=True)
class ModeHistory:
    """All changes, oldest first, and the last manual start of a warn period."""

    changes: tuple[Change, ...] = ()
    period_began: datetime.datetime | None = None

    def enforced_since(self, percent: int) -> datetime.datetime | None:
        """Return since when `enforce` has held at `percent` or more without a break, else None."""
        since = None
        for change in reversed(self.changes):
            if change.mode != "enforce" or change.percent < percent:
                break
            since = change.at
        return since

    def phase_since(self) -> datetime.datetime | None:
        """Return since when mode and percentage are unchanged; None before the first change."""
        since = None
        for change in reversed(self.changes):
            if change.strictness != self.changes[-1].strictness:
                break
            since = change.at
        return since

    def warn_period(self) -> datetime.datetime | None:
        """Return the warn period's start: the end of the last `off`, or a later manual start."""
        since = None
        for change in reversed(self.changes):
            if change.mode == "off":
                break
            since = change.at
        if since is None or self.period_began is None:
            return since
        return max(since, self.period_began)

    def time_in_warn(self, now: datetime.datetime) -> datetime.timedelta:
        """Return the time in `warn` in this warn period; time in `enforce` does not count."""
        began = self.warn_period()
        total = datetime.timedelta()
        if began is None:
            return total
        spans = pairwise([*((change.at, change.mode) for change in self.changes), (now, "")])
        for (start, mode), (end, _) in spans:
            if mode == "warn" and end > began:
                total += end - max(start, began)
        return total

    def downgrades_since(self, moment: datetime.datetime) -> int:
        """Return the number of automatic downgrades since a moment."""
        return sum(change.kind == "downgrade" and change.at >= moment for change in self.changes)

    @property
    def raises(self) -> int:
        """The number of times the mode was made stricter; warnings before the last are outdated."""
        return sum(
            change.strictness > before.strictness
            for before, change in pairwise([_NONE, *self.changes])
        )

    @property
    def latched(self) -> bool:
        """Whether an automatic downgrade is still in force: nobody has raised the mode since."""
        for change, before in pairwise(reversed([_NONE, *self.changes])):
            if change.kind == "downgrade":
                return True
            if change.strictness > before.strictness:
                return False
        return False


_NONE = Change("off", 100, "manual", datetime.datetime.min.replace(tzinfo=datetime.UTC))


def read() -> ModeHistory:
    """Return the history from PostgreSQL."""
    rows = ModeChange.objects.order_by("epoch", "version").values_list(
        "mode", "percent", "kind", "created_at"
    )
    began = WarnPeriod.objects.values_list("created_at", flat=True).first()
    # Let no change seem to come before its forerunner: a machine whose clock is behind may have
    # written it.
    changes = [Change(*row) for row in rows]
    times = accumulate((change.at for change in changes), max)
    return ModeHistory(
        tuple([replace(change, at=at) for change, at in zip(changes, times, strict=True)]), began
    )
