"""What gates judge: a plain record of measurements, however they were gathered."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from stageapp.audit.proof import Proof
from stageapp.mode.history import ModeHistory
from stageapp.traffic.history import SETTLED, Slot, Step

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class AuditFact:
    """The newest audit of consumers that a person has put their name to."""

    actor: str
    at: datetime.datetime


@dataclass(frozen=True)
class BackupFact:
    """The newest verified backup, by the time of its data, and the newest rehearsal passed with
    today's schema.
    """

    taken_at: datetime.datetime | None = None
    rehearsed_at: datetime.datetime | None = None
    schema_changed: bool = False  # a rehearsal passed, but the schema has changed since
    rehearsal_failed: bool = False  # the newest rehearsal


@dataclass(frozen=True)
class Measurements:
    """Everything the gates ask for, at one moment.

    `days` and `hours` count requests in every mode: the shadow verdict does not depend on it.
    `minutes` count those that met enforce alone, and `done_sample` is their number in the last
    hours that `done` looks at, while enforce holds for everybody.
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
        """Return the starts of the last whole days (UTC), oldest first."""
        today = Step.DAY.floor(self.now)
        return [today - DAY * back for back in range(count, 0, -1)]

    def last_minutes(self, count: int) -> list[datetime.datetime]:
        """Return the starts of the last whole minutes whose counts are all in, oldest first."""
        end = Step.MINUTE.floor(self.now - self.settled)
        return [end - Step.MINUTE.length * back for back in range(count, 0, -1)]
