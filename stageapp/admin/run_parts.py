"""Rolling back a part of a run: choose it, see what it would do, confirm. Nothing changes before the last step."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import F, Min
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from stageapp.admin.confirm import confirmed
from stageapp.admin.raw_text import visible
from stageapp.admin.screens import actor, page
from stageapp.models.normalization import Run, State
from stageapp.normalization import rollbacks, runs, targets
from stageapp.normalization.audit import NO_END
from stageapp.normalization.errors import NormalizationError
from stageapp.normalization.values import TooSlow
from stageapp.tasks import nudge

STATES = (State.DONE, State.CANCELLED)
VALUES = 500  # spellings offered; others go by batches, or by the command line
PREVIEW_SECONDS = 20.0  # longer nobody waits for a page


class PartForm(forms.Form):
    """Chooses the part; sent by GET, changes nothing."""

    first = forms.IntegerField(required=False, min_value=1, max_value=NO_END, label="From batch, by its id")
    last = forms.IntegerField(required=False, min_value=1, max_value=NO_END, label="Up to batch, by its id")
    value = forms.ChoiceField(required=False)

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Offer the spellings that the plan changes; an entry stands for its spelling, which no browser alters so."""
        super().__init__(*args, **kwargs)
        changes = run.plan.entries.exclude(stage="").exclude(raw=F("stored"))
        self.spellings = {
            str(one["entry"]): str(one["raw"])
            for one in changes.order_by("raw").values("raw").annotate(entry=Min("id"))[:VALUES]
        }
        offered = [("", "choose …"), *((entry, visible(raw)) for entry, raw in self.spellings.items())]
        self.fields["value"] = forms.ChoiceField(
            choices=offered, required=False, label="Or one old value", help_text="Every row that held it before."
        )

    def clean(self) -> dict[str, Any]:
        """Return the scope as `RollbackPlan` keeps it."""
        found = super().clean() or {}
        first, last, value = found.get("first"), found.get("last"), found.get("value")
        if not self.errors and bool(value) == (first is not None or last is not None):
            raise forms.ValidationError("Give a range of batches, or one value, and not both.")
        if value:
            return {"value": self.spellings[value]}
        return {"batches": [first or 1, last or NO_END]}


def possible(request: HttpRequest, run: Run) -> bool:
    """Tell whether this user may undo a part of the run as it stands."""
    return run.state in STATES and request.user.has_perm("stageapp.rollback_run")


def part_view(request: HttpRequest, run: Run, opts: Any) -> HttpResponse:
    """Choose on GET, preview on GET with a choice, and roll back on POST with a reason."""
    back = reverse("admin:stageapp_run_change", args=[run.pk])
    if not possible(request, run):
        messages.error(request, f"Run {run.pk} is {run.stands}; a part can be undone once it is done or cancelled.")
        return HttpResponseRedirect(back)
    form = PartForm(run, request.GET or None)
    title = f"Roll back a part of run {run.pk}"
    if not form.is_valid():
        return page(request, "run_part.html", form=form, title=title, opts=opts, run=run, back=back)
    scope = form.cleaned_data
    try:
        pairs = _preview(run, scope) if request.method != "POST" else []
    except NormalizationError as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(back)
    return confirmed(
        request, partial(_perform, run, scope, actor(request)), refusals=NormalizationError, back=back,
        done="Rolling back that part. A worker takes it up within seconds.", template="run_part_preview.html",
        title=title, opts=opts, run=run, verb="Roll back this part", danger=True,
        explanation=f"{_told(scope)} get their old value back. Rows that somebody changed since are left alone.",
        pairs=pairs, rows=sum(pair["rows"] for pair in pairs or ()),
        left=sum(pair["changed_since"] for pair in pairs or ()),
    )  # fmt: skip


def _preview(run: Run, scope: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return what the rollback would do; None where that takes longer to count than anybody waits for a page."""
    try:
        pairs = rollbacks.preview(run, targets.resolve(run.target), scope, seconds=PREVIEW_SECONDS)
    except TooSlow:
        return None
    return [{**pair, "old": visible(pair["old"]), "new": visible(pair["new"])} for pair in pairs]


def _perform(run: Run, scope: dict[str, Any], who: str, reason: str) -> None:
    runs.request_rollback(run, actor=who, reason=reason, scope=scope)
    # Robust: with the broker away the change stands, and the sweep finds the run.
    transaction.on_commit(lambda: nudge(run), robust=True)


def _told(scope: dict[str, Any]) -> str:
    if "value" in scope:
        return f"The rows that held {visible(scope['value'])} before the run"
    first, last = scope["batches"]
    return f"The rows of the batches {first} to {'the newest' if last == NO_END else last}"
