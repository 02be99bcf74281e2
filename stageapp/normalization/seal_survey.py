"""Survey: what a column holds that a seal would not let pass."""

from dataclasses import dataclass, field

from stageapp.models.vocabulary import Stage
from stageapp.normalization.seal_values import Passing
from stageapp.normalization.targets import Target
from stageapp.normalization.values import distinct_values, read
from stageapp.vocabulary import Snapshot


@dataclass(frozen=True)
class Held:
    """A value that would not pass, and the rows that hold it. `stage` is set where the vocabulary knows it."""

    source: str
    value: str
    rows: int
    stage: str | None
    reason: str | None
    retired: bool = False  # it is a stage that the vocabulary does not have any more


@dataclass(frozen=True)
class Survey:
    """What stands in the column's way."""

    held: list[Held] = field(default_factory=list)
    null_rows: int = 0  # counted only where NULL may not pass

    @property
    def known(self) -> list[Held]:
        """Return the spellings that a run would change."""
        return [one for one in self.held if one.stage]

    @property
    def unknown(self) -> list[Held]:
        """Return the values that only a person can allow."""
        return [one for one in self.held if not one.stage]

    @property
    def rows(self) -> int:
        """Return how many rows would not pass: the next UPDATE of any of them would fail."""
        return sum(one.rows for one in self.held) + self.null_rows


def survey(target: Target, passing: Passing, meaning_of: Snapshot, *, seconds: float) -> Survey:
    """Read what the column holds besides what passes; `seconds` bounds each of two reads, 0 is no limit.

    Raises:
        TooSlow: the table could not be read in time.
    """
    retired = set(target.canonical(dict(Stage.objects.filter(active=False).values_list("slug", "label"))))
    held = []
    for source, value, rows in distinct_values(target, besides=passing.values, seconds=seconds):
        meaning = meaning_of.normalize(value, source)
        held.append(Held(source, value, rows, meaning.stage, meaning.reason, value in retired))
    return Survey(held, 0 if passing.nulls else _null_rows(target, seconds))


def _null_rows(target: Target, seconds: float) -> int:
    sql = f"SELECT count(*) FROM {target.table} WHERE {target.rows} AND {target.column} IS NULL"
    return int(read(target, sql, seconds=seconds)[0][0])
