"""How large the next batch is: towards a time target, growing slowly and shrinking at once."""

from dataclasses import dataclass

LEAST_SECONDS, MOST_SECONDS = 0.005, 0.2  # of a time target: a batch's statements end at 0.23 s
SMALLEST = 50
LARGEST = 20_000
LARGEST_SWEEP = 200_000
GROWTH = 1.2
SHRINK = 0.75


@dataclass
class Pace:
    """The batch size in rows. `target_seconds` is the time one transaction should take."""

    target_seconds: float
    size: int = 2000
    largest: int = LARGEST

    def after(self, seconds: float, rows: int) -> None:
        """Learn from a batch that committed."""
        if rows < self.size or seconds <= 0:
            return  # a short batch at the end of a pass says nothing
        factor = min(GROWTH, self.target_seconds / seconds)
        self.size = max(SMALLEST, min(self.largest, int(self.size * factor)))

    def after_timeout(self) -> None:
        """Shrink after a batch that took too long: the next one of this size would be lost as well."""
        self.size = max(SMALLEST, int(self.size * SHRINK))

    def after_fault(self) -> None:
        """Halve after a batch that failed."""
        self.size = max(1, self.size // 2)
