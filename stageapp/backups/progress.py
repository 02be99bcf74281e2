"""How far a job with backups is, how fast it goes, and when its phase will be over."""

from collections.abc import Callable
from dataclasses import dataclass

from stageapp.models.backups import Backup, BackupJob

PHASES = {
    "dump": "pg_dump writes",
    "measure": "tables are counted and summed up",
    "verify": "the dump is read",
    "restore": "pg_restore writes",
}
_IN_TABLES = "measure"


@dataclass(frozen=True)
class JobProgress:
    """Of the phase that is under way: bytes, or tables. `rate` is since the phase began, in these
    per second.

    `whole` is 0 and `percent` None where nobody can know the whole; `estimated` is True where it is
    a guess by the newest backup's size.
    """

    phase: str
    done: int
    whole: int
    estimated: bool
    rate: float | None
    seconds: float | None

    @property
    def in_bytes(self) -> bool:
        """Tell whether the numbers are bytes, and not tables."""
        return self.phase != _IN_TABLES

    @property
    def percent(self) -> float | None:
        """Return how much of the phase is done, 0 to 100; a guess is never the end."""
        if not self.whole:
            return None
        return min(100.0 * self.done / self.whole, 99.0 if self.estimated else 100.0)

    @property
    def eta_seconds(self) -> float | None:
        """Return how long the phase will still take."""
        return max(self.whole - self.done, 0) / self.rate if self.whole and self.rate else None


def progress(job: BackupJob) -> JobProgress:
    """Return the progress of a job in any state."""
    whole, estimated = job.whole, False
    if job.phase == "dump" and not whole:
        newest = Backup.objects.filter(origin="own", taken_at__lt=job.created_at).first()
        whole, estimated = (newest.bytes if newest else 0), newest is not None
    seconds = None
    if job.phase_began_at and job.heartbeat_at:
        seconds = (job.heartbeat_at - job.phase_began_at).total_seconds()
    rate = job.done / seconds if seconds and job.done else None
    return JobProgress(job.phase, job.done, whole, estimated, rate, seconds)


# How a long task tells how far it is.

# Takes the phase, what is done of it, and the whole (0 where nobody knows it yet); bytes, or tables
# in `measure`.
Report = Callable[[str, int, int], None]


def silent(phase: str, done: int, whole: int) -> None:
    """Tell nobody."""
