"""What stands against sealing a column, each with what to do about it."""

from stageapp.models.normalization import UNFINISHED, Run, State
from stageapp.normalization.seal_survey import Survey
from stageapp.normalization.seal_values import MOST_ALLOWED, quoted


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
        return f"Run {run.pk} is {run.stands}. Let it end, or cancel it."
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
