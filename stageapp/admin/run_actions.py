"""Run actions: one table that yields buttons, permissions and confirm pages."""

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import F, Min
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from stageapp import conf
from stageapp.admin.actions import LONGEST_REASON, Action, ReasonForm, ask_reason, buttons
from stageapp.admin.screens import actor, page, require
from stageapp.audit import rollbacks
from stageapp.audit.log import NO_END
from stageapp.models.normalization import ACTIVE, MOVES, Run, State
from stageapp.models.proofs import VerificationJob
from stageapp.normalization import limits, runs, verification_jobs
from stageapp.normalization.batches import LEAST_SECONDS, MOST_SECONDS
from stageapp.normalization.factors import FACTORS
from stageapp.people import Person, same_person
from stageapp.targets import targets
from stageapp.targets.errors import NormalizationError
from stageapp.targets.values import TooSlow
from stageapp.tasks import nudge, work_on_verification
from stageapp.unknowns.examples import visible


def _run_action(
    label: str,
    permission: str,
    states: Collection[State],
    perform: Callable[..., object],
    explanation: str,
    done: str,
    *,
    danger: bool = False,
    when: Callable[[Run, str], bool] = lambda run, name: True,
    form: Callable[[HttpRequest, Run], forms.Form] = ask_reason,
) -> Action[Run]:
    """Return an action on a run in certain states; `when` is what it takes besides."""

    def refusal(run: Run, name: str) -> str:
        if run.state in states and when(run, name):
            return ""
        return f"Run {run.pk} is {run.stands}: “{label}” is not possible now."

    def carry_out(run: Run, person: Person, **answers: Any) -> None:
        made = perform(run, actor=person.name, **answers)
        # Robust: with the broker away the change stands, and the sweep finds the run or the job.
        if isinstance(made, VerificationJob):
            transaction.on_commit(lambda: work_on_verification.delay(made.pk), robust=True)
        elif run.state in ACTIVE:
            transaction.on_commit(lambda: nudge(run), robust=True)

    return Action(
        label,
        permission,
        carry_out,
        explanation,
        done,
        NormalizationError,
        refusal,
        form,
        danger=danger,
    )


def _needs_nobody_else(run: Run, name: str) -> bool:
    """Whether it may start; the two-person rule requires approval first."""
    return run.state != State.PLANNED or not conf.settings.two_person_rule


def awaits_approval(run: Run) -> str:
    """Return who must approve the run before it starts, in words; empty if nobody must."""
    if _needs_nobody_else(run, ""):
        return ""
    return (
        f"The two-person rule is on: someone other than {run.plan.actor} with the "
        "permission approve_run has to approve this run before it starts."
    )


ACTIONS: dict[str, Action[Run]] = {
    "start": _run_action(
        "Start",
        "operate_run",
        {State.PLANNED, State.APPROVED},
        runs.start,
        "A worker rewrites the rows batch by batch, exactly as planned. The run can be "
        "paused, cancelled and rolled back. If nobody has approved the plan yet, "
        "starting the run approves it in your name.",
        "Started. A worker picks it up within seconds.",
        when=_needs_nobody_else,
    ),
    "approve": _run_action(
        "Approve",
        "approve_run",
        {State.PLANNED},
        runs.approve,
        "You confirm that the plan with this hash is the one to execute. Nothing changes yet.",
        "Approved. It can be started now.",
        when=lambda run, name: (
            not (conf.settings.two_person_rule and same_person(run.plan.actor, name))
        ),
    ),
    "pause": _run_action(
        "Pause",
        "operate_run",
        {State.RUNNING},
        runs.pause,
        "The worker finishes the batch in flight and stops. The checkpoint is kept.",
        "Pausing: the batch in flight is finished first.",
    ),
    "resume": _run_action(
        "Resume",
        "operate_run",
        {State.PAUSING, State.PAUSED, State.FAILED},
        runs.resume,
        "The worker continues from the checkpoint.",
        "Resumed. A worker picks it up within seconds.",
    ),
    "force_pause": _run_action(
        "Force pause",
        "operate_run",
        {State.RUNNING, State.PAUSING},
        runs.force_pause,
        "There has been no worker heartbeat for 5 minutes. All leases of this run are "
        "revoked and the database sessions of their workers are terminated: uncommitted "
        "work is rolled back, and those workers can no longer write. The checkpoint is "
        "kept.",
        "Paused by force. Find out what happened to its worker before you resume it.",
        danger=True,
        when=lambda run, name: runs.is_stuck(run),
    ),
    "cancel": _run_action(
        "Cancel permanently",
        "operate_run",
        {State.PLANNED, State.APPROVED, State.RUNNING, State.PAUSING, State.PAUSED, State.FAILED},
        runs.cancel,
        "The run ends and cannot be resumed. Rows it has changed stay changed and can "
        "still be rolled back.",
        "Cancelled. Changed rows stay changed and can be rolled back.",
        danger=True,
    ),
    "verify": _run_action(
        "Verify",
        "operate_run",
        {State.PAUSED, State.DONE, State.FAILED, State.CANCELLED, State.ROLLED_BACK},
        verification_jobs.request,
        "A worker compares every row with the audit log and with the newest vocabulary. "
        "It only reads. The result is kept in the run's history and is valid until the "
        "rows or the vocabulary change.",
        "Requested. A worker picks it up within seconds; progress appears here.",
        when=lambda run, _: not verification_jobs.active(run),
    ),
    "rollback": _run_action(
        "Roll back",
        "rollback_run",
        {State.PAUSED, State.DONE, State.FAILED, State.CANCELLED},
        runs.request_rollback,
        "Every row gets back its value from the audit log. Rows that somebody changed "
        "since are left alone and listed.",
        "Rolling back. A worker picks it up within seconds.",
        danger=True,
    ),
}


def run_buttons(request: HttpRequest, run: Run) -> list[dict[str, Any]]:
    return buttons(
        request, ACTIONS, run, lambda name: reverse("admin:stageapp_run_do", args=[run.pk, name])
    )


# Rolling back a part of a run: choose it, see what it would do, confirm. Nothing changes before the
# last step.

VALUES = 500  # spellings offered; others go by batches, or by the command line
PREVIEW_SECONDS = 20.0  # longer nobody waits for a page


class PartForm(forms.Form):
    """Chooses the part to roll back; sent by GET, changes nothing."""

    first = forms.IntegerField(
        required=False, min_value=1, max_value=NO_END, label="From batch (id)"
    )
    last = forms.IntegerField(required=False, min_value=1, max_value=NO_END, label="To batch (id)")
    value = forms.ChoiceField(required=False)

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Offer the plan's changed spellings by entry id, which browsers do not alter."""
        super().__init__(*args, **kwargs)
        changes = run.plan.entries.exclude(stage="").exclude(raw=F("stored"))
        self.spellings = {
            str(one["entry"]): str(one["raw"])
            for one in changes.order_by("raw").values("raw").annotate(entry=Min("id"))[:VALUES]
        }
        offered = [
            ("", "choose …"),
            *((entry, visible(raw)) for entry, raw in self.spellings.items()),
        ]
        self.fields["value"] = forms.ChoiceField(
            choices=offered,
            required=False,
            label="Or one old value",
            help_text="Every row that had this value before the run.",
        )

    def clean(self) -> dict[str, Any]:
        """Return the scope as `RollbackPlan` stores it."""
        answers = super().clean() or {}
        first, last, value = answers.get("first"), answers.get("last"), answers.get("value")
        if not self.errors and bool(value) == (first is not None or last is not None):
            raise forms.ValidationError("Enter either a range of batches or one value, not both.")
        if value:
            return {"value": self.spellings[value]}
        return {"batches": [first or 1, last or NO_END]}


PART = _run_action(
    "Roll back this part",
    "rollback_run",
    {State.DONE, State.CANCELLED},
    runs.request_rollback,
    "",
    "Rolling back that part. A worker picks it up within seconds.",
    danger=True,
)


def part_view(request: HttpRequest, run: Run, opts: Any) -> HttpResponse:
    """Choose on GET, preview on GET with a choice, and roll back on POST with a reason."""
    back = reverse("admin:stageapp_run_change", args=[run.pk])
    require(request, PART.permission)
    if why := PART.refusal(run, actor(request)):
        messages.error(request, why)
        return HttpResponseRedirect(back)
    form = PartForm(run, request.GET or None)
    title = f"Roll back part of run {run.pk}"
    if not form.is_valid():
        return page(request, "run_part.html", form=form, title=title, opts=opts, run=run, back=back)
    scope = form.cleaned_data
    try:
        pairs = _preview(run, scope) if request.method != "POST" else []
    except NormalizationError as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(back)
    if "value" in scope:
        which = f"The rows that contained {visible(scope['value'])} before the run"
    else:
        first, last = scope["batches"]
        which = f"The rows of batches {first} to {'the newest' if last == NO_END else last}"
    undo = replace(
        PART,
        perform=lambda run, person, reason: PART.perform(run, person, reason=reason, scope=scope),
        explanation=f"{which} get their old value back. Rows that somebody has changed since "
        "are left alone.",
    )
    return undo.confirm(
        request,
        run,
        back=back,
        template="run_part_preview.html",
        title=title,
        opts=opts,
        run=run,
        pairs=pairs,
        rows=sum(pair["rows"] for pair in pairs or ()),
        left=sum(pair["changed_since"] for pair in pairs or ()),
    )


def _preview(run: Run, scope: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return what the rollback would do; None if counting takes too long for a page."""
    try:
        pairs = rollbacks.preview(run, targets.resolve(run.target), scope, seconds=PREVIEW_SECONDS)
    except TooSlow:
        return None
    return [{**pair, "old": visible(pair["old"]), "new": visible(pair["new"])} for pair in pairs]


# What holds a run back, on its page, and the form that changes its limits.


class LimitsForm(forms.Form):
    """Asks for new limits; an empty field stays unchanged."""

    reason = forms.CharField(
        max_length=LONGEST_REASON,
        help_text="Kept in the history, under your name.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Add one field per factor, with the current limit next to it."""
        super().__init__(*args, **kwargs)
        for name, limit in limits.limits(run).items():
            factor = FACTORS[name]
            unit = f", in {factor.unit}" if factor.unit else ""
            now = f"{limit.limit:g}" if limit.limit else "off"
            by = f", set by {limit.actor}" if limit.actor else ""
            self.fields[name] = forms.FloatField(
                label=f"{factor.title[:1].upper()}{factor.title[1:]}{unit}",
                required=False,
                min_value=0,
                max_value=100 if factor.falls else None,
                help_text=f"Now {now}{by}. 0 turns it off.",
            )
        self.order_fields([*FACTORS, "reason"])

    def clean(self) -> dict[str, Any]:
        """Collect the new limits under `wanted`, as the domain expects them."""
        answers = super().clean() or {}
        wanted = {name: answers[name] for name in FACTORS if answers.get(name) is not None}
        if not wanted and not self.errors:
            raise forms.ValidationError("Enter at least one limit; empty fields stay unchanged.")
        return {"wanted": wanted, "reason": answers.get("reason", "")}


def throttle_context(request: HttpRequest, run: Run) -> dict[str, Any]:
    """Return the throttle section of a run's page."""
    shown = limits.shown(run)
    in_force = limits.limits(run)
    read = {reading["factor"]: reading for reading in shown.readings}
    rows = []
    for name, limit in in_force.items():
        factor, reading = FACTORS[name], read.get(name)
        value = reading["value"] if reading else None
        rows.append(
            {
                "factor": factor,
                "limit": limit,
                "limit_shown": factor.say(limit.limit),
                "reading": reading,
                "value": "–" if value is None else factor.say(value),
                "seconds": shown.seconds[name],
            }
        )
    return {"throttle": shown, "throttle_rows": rows, "may_throttle": LIMITS.offered(request, run)}


def changes(run: Run) -> list[dict[str, Any]]:
    """Return the changed limits, newest first."""
    shown = []
    for change in run.throttle_changes.all():
        factor, limit = FACTORS.get(change.factor), change.limit
        if limit:
            said = factor.say(limit) if factor else f"{limit:g}"
        elif limit is None:
            said = "as set"
        else:
            said = "off"
        title = factor.title if factor else change.factor
        shown.append({"change": change, "title": title, "limit": said})
    return shown


# How hard a run works: the form that changes it while it works.


class TuneForm(ReasonForm):
    """Asks for new values; an empty field stays unchanged. The domain checks the values."""

    workers = forms.IntegerField(required=False, label="Shards (concurrent workers)")
    batch_seconds = forms.FloatField(required=False, label="Target duration of a batch, in seconds")
    pause_seconds = forms.FloatField(required=False, label="Pause between batches, in seconds")
    field_order = ["workers", "batch_seconds", "pause_seconds", "reason"]

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Show the current value next to each field."""
        super().__init__(*args, **kwargs)
        batch = conf.settings.batch_seconds if run.batch_seconds is None else run.batch_seconds
        pause = (
            conf.settings.batch_pause_seconds if run.pause_seconds is None else run.pause_seconds
        )
        self.fields["workers"].help_text = f"1 to 32. Now {run.shards}."
        self.fields[
            "batch_seconds"
        ].help_text = f"{LEAST_SECONDS:g} to {MOST_SECONDS:g}. Now {batch:g}."
        self.fields["pause_seconds"].help_text = f"0 to 60. Now {pause:g}."

    def clean(self) -> dict[str, Any]:
        """Require at least one value."""
        answers = super().clean() or {}
        if not self.errors and all(answers.get(name) is None for name in self.field_order[:-1]):
            raise forms.ValidationError("Enter at least one value; empty fields stay unchanged.")
        return answers


LIMITS = _run_action(
    "Change the limits",
    "operate_run",
    {state for state in State if MOVES[state]},
    limits.change,
    "A run waits while one of these reaches its limit, and continues by itself.",
    "The limits apply from now on; a waiting worker checks again within a second.",
    form=lambda request, run: LimitsForm(run, request.POST or None),
)
TUNE = _run_action(
    "Tune",
    "operate_run",
    set(State) - {State.DONE, State.CANCELLED, State.ROLLED_BACK},
    runs.tune,
    "Workers apply the change with their next batch. Additional shards are split off "
    "from what the main pass has not read yet; with fewer shards, workers stop as they "
    "finish theirs. A pause here is the pause between two batches.",
    "Tuned; see the history of the run.",
    form=lambda request, run: TuneForm(run, request.POST or None),
)
