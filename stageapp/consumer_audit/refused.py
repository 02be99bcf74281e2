"""Who would be refused if everything were enforced now: consumers and the values they still send."""

from dataclasses import dataclass
from itertools import groupby

from stageapp.consumer_audit.callers import DAYS, SentValue, sent_values
from stageapp.models.unknowns import OVERFLOW


@dataclass(frozen=True)
class Refused:
    """One caller, and what it sends that means no stage as the vocabulary stands now; most frequent first."""

    consumer: str
    values: tuple[SentValue, ...]

    @property
    def times(self) -> int:
        """Return how often it sent one of them; a request that holds two counts for both."""
        return sum(value.requests for value in self.values)


def refused_if_enforced(*, days: int = DAYS) -> list[Refused]:
    """Return who sent what in the last `days` that `enforce` refuses, the most affected first."""
    sent = ((name, value) for name, value in sent_values(days=days) if _refused(value))
    found = [Refused(name, tuple(value for _, value in values)) for name, values in groupby(sent, lambda it: it[0])]
    return sorted(found, key=lambda one: (-one.times, one.consumer))


def _refused(value: SentValue) -> bool:
    """Judge by the vocabulary as it stands; what came on top of the bounds has no key, and stays as it was judged."""
    return value.outcome == "unknown" if value.value == OVERFLOW else value.send is None
