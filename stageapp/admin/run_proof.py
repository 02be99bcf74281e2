"""What a run's page says of its proof: whether it stands, what the run did not do, and every verification so far."""

from typing import Any

from django.urls import reverse

from stageapp import words
from stageapp.models.normalization import Run, State
from stageapp.models.proofs import Verification, VerificationJob
from stageapp.normalization import proof, verification_jobs
from stageapp.normalization.proof import Proof

_SHOWN = 20  # verifications; the newest counts
_UNFINISHED = (State.PLANNED, State.APPROVED)


def context(run: Run, known: Proof) -> dict[str, Any]:
    """Return the verifications with their age, and what the newest found that the run did not do."""
    made = proof.history(run)[:_SHOWN]
    return {
        "verifications": [_told(one, known.now) for one in made],
        "not_done": _not_done(run, made[0]) if made and run.state not in _UNFINISHED else [],
    }


def _told(made: Verification, now: Any) -> dict[str, Any]:
    return {
        "made": made,
        "ago": words.ago(made.ended_at, now),
        "took": words.duration((made.ended_at - made.started_at).total_seconds()),
        "faults": [doubt.text for doubt in proof.faults(made)],
    }


def _not_done(run: Run, made: Verification) -> list[dict[str, Any]]:
    """Return what the run left as it is, each with its rows and where to see them."""
    unknown = f"{reverse('admin:stageapp_unknownentry_changelist')}?kind=table"
    apart = f"{reverse('admin:stageapp_quarantinedrow_changelist')}?run={run.pk}"
    plan = reverse("admin:stageapp_plan_make")
    lines = [
        ("rows_unknown", "unknown: no alias says what they mean", "Decide them", unknown),
        ("rows_null", "empty (NULL)", "", ""),
        ("quarantined", "in quarantine: the database refused to change them", "See them", apart),
        ("rows_unplanned", "known, and not in the plan", "Plan again", plan),
        ("rows_left", "hold a spelling of the plan again", "Plan again", plan),
        ("rows_given_back", "hold their old spelling again, by a rollback", "Plan again", plan),
        ("rows_changed_since", "changed by somebody since", "", ""),
        ("rows_deleted_since", "deleted since", "", ""),
    ]
    rows = ((made.found.get(name) or 0, *line) for name, *line in lines)
    return [{"rows": number, "what": what, "verb": verb, "url": url} for number, what, verb, url in rows if number]


def job(run: Run) -> dict[str, Any] | None:
    """Return the newest verification that a person asked for, while it is not done; one that failed stays shown."""
    newest = verification_jobs.newest(run)
    if newest is None or newest.state == "done":
        return None
    at = verification_jobs.progress(newest)
    return {
        "job": newest,
        "at": at,
        "left": words.duration(at.eta_seconds) if at.eta_seconds is not None else "",
        "active": newest.state in VerificationJob.ACTIVE,
    }
