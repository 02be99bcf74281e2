"""What stands against sealing a column, each with what to do about it."""

from stageapp import words
from stageapp.models.normalization import UNFINISHED, State
from stageapp.normalization import proof
from stageapp.normalization.seal_survey import Survey
from stageapp.normalization.seal_values import MOST_ALLOWED, quoted


def obstacles(label: str, found: Survey) -> list[str]:
    """Return what stands against sealing, each with what to do about it; empty if nothing does."""
    said = [_about_run(label), _about_known(found), *_about_unknown(found)]
    if found.null_rows:
        said.append(f"{found.null_rows:,} rows hold NULL. Let it pass with --null allow, or fill them.")
    return [text for text in said if text]


def evidence(label: str, found: Survey) -> str:
    """Return what shows that the column is normalized, or what it still holds: the same count as `obstacles` gives."""
    said = _about_known(found)
    now = proof.of_target(label)
    if said or now.run is None:
        return said or "no run was needed: no row holds a known spelling"
    against = " ".join(doubt.text for doubt in now.doubts if not doubt.missing)
    return "; ".join(filter(None, ["no row holds a known spelling", now.evidence, against]))


def _about_run(label: str) -> str:
    known = proof.of_target(label)
    run, made = known.run, known.verification
    if run is None:
        return ""
    if run.state in UNFINISHED:
        return f"Run {run.pk} is {run.stands}. Let it end, or cancel it."
    if made is not None and not made.ok and run.state != State.ROLLED_BACK:
        found = " ".join(doubt.text for doubt in proof.faults(made))
        return (
            f"Run {run.pk} was verified {words.ago(made.ended_at, known.now)} and did not hold: {found} "
            f"Settle that, then verify it again: `normalization verify {run.pk}`."
        )
    return ""


def _about_known(found: Survey) -> str:
    if not found.known:
        return ""
    rows = sum(one.rows for one in found.known)
    names = quoted([one.value for one in found.known])
    return f"{rows:,} rows still hold known spellings: {names}. Make a plan and run it first."


def _about_unknown(found: Survey) -> list[str]:
    said = [
        f"{one.rows:,} rows hold {one.value!r}, a stage that the vocabulary has retired. Bring it back, correct "
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
