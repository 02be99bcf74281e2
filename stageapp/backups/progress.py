"""Progress of a backup job: how far it is, how fast, and when its phase will end."""

from collections.abc import Callable
from dataclasses import dataclass

from stageapp.models.backups import Backup, BackupJob
from stageapp.models.jobs import JobProgress

PHASES = {
    "dump": "pg_dump writes",
    "measure": "tables are counted and checksummed",
    "verify": "the dump is read",
    "restore": "pg_restore writes",
}
_IN_TABLES = "measure"


@dataclass(frozen=True)
class PhaseProgress(JobProgress):
    """How far the phase is that is under way: in bytes or tables. The size of the newest backup is
    the estimate.
    """

    phase: str

    @property
    def in_bytes(self) -> bool:
        """Whether the numbers are bytes, not tables."""
        return self.phase != _IN_TABLES


def progress(job: BackupJob) -> PhaseProgress:
    """Return the progress of a job in any state."""
    whole, estimated = job.whole, False
    if job.phase == "dump" and not whole:
        newest = Backup.objects.filter(origin="own", taken_at__lt=job.created_at).first()
        whole, estimated = (newest.bytes if newest else 0), newest is not None
    seconds = job.seconds_since(job.phase_began_at)
    return PhaseProgress(job.done, whole, estimated, seconds, job.phase)


# How a long task tells how far it is.

# Takes the phase, what is done of it, and the whole (0 where nobody knows it yet); bytes, or tables
# in `measure`.
Report = Callable[[str, int, int], None]


def silent(phase: str, done: int, whole: int) -> None:
    """Discard the progress."""
