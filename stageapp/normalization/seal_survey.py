"""Survey: what a column holds that a seal would not let pass, and whether its runs allow sealing it."""

from dataclasses import dataclass, field

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from stageapp.models.normalization import UNFINISHED, Run, State
from stageapp.models.vocabulary import Stage
from stageapp.normalization.seal_values import MOST_ALLOWED, Passing, quoted
from stageapp.normalization.targets import Target
from stageapp.normalization.values import TooSlow, distinct_values
from stageapp.vocabulary import Snapshot

_NO_LIMIT_SECONDS = 86_400.0


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
    limit = seconds or _NO_LIMIT_SECONDS
    retired = set(target.canonical(dict(Stage.objects.filter(active=False).values_list("slug", "label"))))
    held = []
    for source, value, rows in distinct_values(target, besides=passing.values, seconds=limit):
        meaning = meaning_of.normalize(value, source)
        held.append(Held(source, value, rows, meaning.stage, meaning.reason, value in retired))
    return Survey(held, 0 if passing.nulls else _null_rows(target, limit))


def _null_rows(target: Target, seconds: float) -> int:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{round(seconds * 1000)}ms"])
            cursor.execute(f"SELECT count(*) FROM {target.table} WHERE {target.rows} AND {target.column} IS NULL")
            return int(cursor.fetchone()[0])
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooSlow(f"{target.label} could not be read in {seconds:g} s; its table is large or locked.") from None
        raise


def obstacles(label: str, found: Survey) -> list[str]:
    """Return what stands against sealing, each with what to do about it; empty if nothing does."""
    said = [_about_run(label), _about_known(found), *_about_unknown(found)]
    if found.null_rows:
        said.append(f"{found.null_rows:,} rows hold NULL. Let it pass with --null allow, or fill them.")
    return [text for text in said if text]


def evidence(label: str) -> str:
    """Return what shows that the column is normalized, beside its content."""
    run = _newest_begun(label)
    if run is not None and run.state == State.DONE and run.verification and run.verification["ok"]:
        return f"run {run.pk} is done and verified"
    return "no run was needed: nothing is left to change"


def _newest_begun(label: str) -> Run | None:
    return Run.objects.filter(target=label, started_at__isnull=False).order_by("-id").first()


def _about_run(label: str) -> str:
    run = _newest_begun(label)
    if run is None:
        return ""
    if run.state in UNFINISHED:
        return f"Run {run.pk} is {run.state}. Let it end, or cancel it."
    if run.verification and not run.verification["ok"] and run.state != State.ROLLED_BACK:
        return f"Run {run.pk} was verified and did not hold. Settle that first: `normalization verify {run.pk}`."
    return ""


def _about_known(found: Survey) -> str:
    if not found.known:
        return ""
    rows = sum(one.rows for one in found.known)
    names = quoted([one.value for one in found.known])
    return f"{rows:,} rows still hold known spellings: {names}. Make a plan and run it first."


def _about_unknown(found: Survey) -> list[str]:
    said = [
        f"{one.rows:,} rows hold {one.value!a}, a stage that the vocabulary has retired. Bring it back, correct "
        f"the rows, or let it stay: --allow {one.value}."
        for one in found.unknown
        if one.retired
    ]
    others = [one for one in found.unknown if not one.retired]
    if others:
        rows, names = sum(one.rows for one in others), quoted([one.value for one in others])
        how = "Decide them in the unknown queue, correct the rows, or name each with --allow."
        if len(others) > MOST_ALLOWED:
            how = f"That is more than the {MOST_ALLOWED} that may be allowed: decide them in the unknown queue."
        said.append(f"{rows:,} rows hold {len(others)} unknown values that are not allowed: {names}. {how}")
    return said
