"""Survey: the values in a column that a seal would reject."""

from dataclasses import dataclass, field

from stageapp.audit import proof
from stageapp.infrastructure import words
from stageapp.models.normalization import UNFINISHED, State
from stageapp.models.vocabulary import Stage
from stageapp.sealing.allowed import MOST_ALLOWED, Passing, quoted
from stageapp.targets.targets import Target
from stageapp.targets.values import distinct_values, null_rows
from stageapp.vocabulary.snapshot import Snapshot


@dataclass(frozen=True)
class Held:
    """A value that would be rejected, and its rows. `stage` is set if the vocabulary knows it."""

    source: str
    value: str
    rows: int
    stage: str | None
    reason: str | None
    retired: bool = False  # it is a stage that the vocabulary does not have any more


@dataclass(frozen=True)
class Survey:
    """All values in the column that a seal would reject."""

    held: list[Held] = field(default_factory=list)
    null_rows: int = 0  # counted only where NULL may not pass

    @property
    def known(self) -> list[Held]:
        """The spellings that a run would change."""
        return [one for one in self.held if one.stage]

    @property
    def unknown(self) -> list[Held]:
        """The values that only a user can allow."""
        return [one for one in self.held if not one.stage]

    @property
    def rows(self) -> int:
        """The number of rows that would not pass: the next UPDATE of any of them would fail."""
        return sum(one.rows for one in self.held) + self.null_rows


def survey(target: Target, passing: Passing, meaning_of: Snapshot, *, seconds: float) -> Survey:
    """Read the values that do not pass; `seconds` limits each of two reads, 0 means no limit.

    Raises:
        TooSlow: the table could not be read in time.
    """
    retired = set(
        target.canonical(dict(Stage.objects.filter(active=False).values_list("slug", "label")))
    )
    held = []
    for source, value, rows in distinct_values(target, besides=passing.values, seconds=seconds):
        meaning = meaning_of.normalize(value, source)
        held.append(Held(source, value, rows, meaning.stage, meaning.reason, value in retired))
    return Survey(held, 0 if passing.nulls else null_rows(target, seconds=seconds))


# What stands against sealing a column, each with what to do about it.


def obstacles(label: str, surveyed: Survey) -> list[str]:
    """Return the obstacles to sealing, each with what to do about it; empty if there are none."""
    said = [_about_run(label), _about_known(surveyed), *_about_unknown(surveyed)]
    if surveyed.null_rows:
        said.append(
            f"{words.count(surveyed.null_rows, 'row contains', 'rows contain')} NULL. Allow it with "
            "--null allow, or fill in a stage."
        )
    return [text for text in said if text]


def evidence(label: str, surveyed: Survey) -> str:
    """Return the evidence of normalization, or what is left; the same counts as in `obstacles`."""
    said = _about_known(surveyed)
    now = proof.of_target(label)
    if said or now.run is None:
        return said.removesuffix(".") or "no run was needed: no row contains a known spelling"
    against = " ".join(doubt.text for doubt in now.doubts if not doubt.missing)
    return "; ".join(
        filter(None, ["no row contains a known spelling", now.evidence, against.removesuffix(".")])
    )


def _about_run(label: str) -> str:
    known = proof.of_target(label)
    run, made = known.run, known.verification
    if run is None:
        return ""
    if run.state in UNFINISHED:
        return f"Run {run.pk} is {run.stands}. Let it end, or cancel it."
    if made is not None and not made.ok and run.state != State.ROLLED_BACK:
        doubts = " ".join(doubt.text for doubt in proof.faults(made))
        return (
            f"Run {run.pk} was verified {words.ago(made.ended_at, known.now)}, and the "
            f"verification failed: {doubts} Resolve that, then verify it again: "
            f"`normalization verify {run.pk}`."
        )
    return ""


def _about_known(surveyed: Survey) -> str:
    if not surveyed.known:
        return ""
    rows = sum(one.rows for one in surveyed.known)
    names = quoted([one.value for one in surveyed.known])
    contain = words.count(rows, "row still contains", "rows still contain")
    return f"{contain} known spellings: {names}. Make a plan and run it first."


def _about_unknown(surveyed: Survey) -> list[str]:
    said = [
        f"{words.count(one.rows, 'row contains', 'rows contain')} {one.value!r}, a retired stage. Reactivate it, "
        f"correct the rows, or allow it: --allow {one.value}."
        for one in surveyed.unknown
        if one.retired
    ]
    others = [one for one in surveyed.unknown if not one.retired]
    if others:
        rows, names = sum(one.rows for one in others), quoted([one.value for one in others])
        how = "Decide them in the unknown queue, correct the rows, or name each with --allow."
        if len(others) > MOST_ALLOWED:
            how = (
                f"That is more than the limit of {MOST_ALLOWED} allowed values: decide "
                "them in the unknown queue."
            )
        contain = words.count(rows, "row contains", "rows contain")
        values = words.count(len(others), "unknown value that is", "unknown values that are")
        said.append(f"{contain} {values} not allowed: {names}. {how}")
    return said
