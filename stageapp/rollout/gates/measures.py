"""The input of the gates: a plain record of measurements, independent of their origin."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from stageapp.audit.proof import Proof
from stageapp.mode.history import ModeHistory
from stageapp.traffic.history import SETTLED, Slot, Step

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class AuditFact:
    """The newest signed-off consumer audit."""

    actor: str
    at: datetime.datetime


@dataclass(frozen=True)
class BackupFact:
    """The newest verified backup (by data time) and the newest passed rehearsal of this schema."""

    taken_at: datetime.datetime | None = None
    rehearsed_at: datetime.datetime | None = None
    schema_changed: bool = False  # a rehearsal passed, but the schema has changed since
    rehearsal_failed: bool = False  # the newest rehearsal


@dataclass(frozen=True)
class Measurements:
    """All inputs of the gates, at one moment.

    `days` and `hours` count requests in every mode, because the shadow verdict is independent of
    it. `minutes` count only enforced requests; `done_sample` is their number in the last hours
    that `done` checks, while enforce applies to everyone.
    """

    now: datetime.datetime
    mode: ModeHistory
    days: Sequence[Slot] = ()
    hours: Sequence[Slot] = ()
    minutes: Sequence[Slot] = ()
    done_sample: int = 0
    pinned_out: Sequence[str] = ()
    proofs: Sequence[Proof] = ()
    audit: AuditFact | None = None
    still_unknown: Sequence[str] = ()
    backup: BackupFact | None = None
    settled: datetime.timedelta = SETTLED

    def last_days(self, count: int) -> list[datetime.datetime]:
        """Return the starts of the last full days (UTC), oldest first."""
        today = Step.DAY.floor(self.now)
        return [today - DAY * back for back in range(count, 0, -1)]

    def last_minutes(self, count: int) -> list[datetime.datetime]:
        """Return the starts of the last full minutes with complete counts, oldest first."""
        end = Step.MINUTE.floor(self.now - self.settled)
        return [end - Step.MINUTE.length * back for back in range(count, 0, -1)]
