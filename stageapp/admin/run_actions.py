"""What a person may do with a run: one table, from which buttons, permissions and confirm pages
come.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import F, Min
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from stageapp import conf
from stageapp.admin.actions import LONGEST_REASON, ReasonForm, confirmed
from stageapp.admin.raw_text import visible
from stageapp.admin.screens import actor, page
from stageapp.audit import rollbacks
from stageapp.audit.log import NO_END
from stageapp.models.normalization import MOVES, Run, State
from stageapp.normalization import runs, verification_jobs
from stageapp.normalization.batches import LEAST_SECONDS, MOST_SECONDS
from stageapp.normalization.throttle import limits as throttling
from stageapp.normalization.throttle.factors import FACTORS
from stageapp.people import same_person
from stageapp.targets import targets
from stageapp.targets.errors import NormalizationError
from stageapp.targets.values import TooSlow
from stageapp.tasks import nudge


@dataclass(frozen=True)
class Operation:
    """One button. `states` are those in which the state table lets it do something.

    `when` is what it takes besides, of the run and of the name of who asks.
    """

    label: str
    permission: str
    states: frozenset[State]
    perform: Callable[..., object]
    explanation: str
    done: str
    danger: bool = False
    when: Callable[[Run, str], bool] = lambda run, name: True

    @property
    def words(self) -> dict[str, Any]:
        """Return what the confirm page says."""
        return {"explanation": self.explanation, "verb": self.label, "danger": self.danger}

    def allowed(self, request: HttpRequest, run: Run) -> bool:
        """Tell whether this user may do it to the run as it stands."""
        may = run.state in self.states and request.user.has_perm(f"stageapp.{self.permission}")
        return may and self.when(run, request.user.get_username())


def _in(*states: State) -> frozenset[State]:
    return frozenset(states)


def _needs_nobody_else(run: Run, name: str) -> bool:
    """Whether it may start: with the two-person rule it has to be approved first."""
    return run.state != State.PLANNED or not conf.settings.two_person_rule


def _is_the_second(run: Run, name: str) -> bool:
    return not (conf.settings.two_person_rule and same_person(run.plan.actor, name))


def awaits_approval(run: Run) -> str:
    """Return who has to approve the run before it starts, in words; empty where nobody has to."""
    if _needs_nobody_else(run, ""):
        return ""
    return (
        f"The two-person rule is on: somebody other than {run.plan.actor} with the permission "
        "approve_run has to approve this run before it starts."
    )


OPERATIONS: dict[str, Operation] = {
    "start": Operation(
        "Start",
        "operate_run",
        _in(State.PLANNED, State.APPROVED),
        runs.start,
        "A worker rewrites the rows batch by batch, exactly as the plan says. It can be paused, "
        "cancelled and rolled back. A plan that nobody has approved is approved by you.",
        "Started. A worker takes it up within seconds.",
        when=_needs_nobody_else,
    ),
    "approve": Operation(
        "Approve",
        "approve_run",
        _in(State.PLANNED),
        runs.approve,
        "You confirm that the plan with this hash is what should be carried out. Nothing changes "
        "yet.",
        "Approved. It can be started now.",
        when=_is_the_second,
    ),
    "pause": Operation(
        "Pause",
        "operate_run",
        _in(State.RUNNING),
        runs.pause,
        "The worker finishes the batch in hand and stops. The checkpoint stands.",
        "Pausing: the batch in hand is finished first.",
    ),
    "resume": Operation(
        "Resume",
        "operate_run",
        _in(State.PAUSING, State.PAUSED, State.FAILED),
        runs.resume,
        "The worker goes on from the checkpoint.",
        "Resumed. A worker takes it up within seconds.",
    ),
    "force_pause": Operation(
        "Force pause",
        "operate_run",
        _in(State.RUNNING, State.PAUSING),
        runs.force_pause,
        "No worker has been heard of for 5 minutes. Every shard is taken from its worker, whose "
        "database session is ended: what it had not committed is rolled back, and it can write "
        "nothing any more. The checkpoint stands.",
        "Paused by force. Resume it once you know what became of its worker.",
        danger=True,
        when=lambda run, name: runs.is_stuck(run),
    ),
    "cancel": Operation(
        "Cancel for good",
        "operate_run",
        _in(
            State.PLANNED, State.APPROVED, State.RUNNING, State.PAUSING, State.PAUSED, State.FAILED
        ),
        runs.cancel,
        "The run ends and cannot be resumed. What it has changed stays changed, and can still be "
        "rolled back.",
        "Cancelled. What changed stays, and can be rolled back.",
        danger=True,
    ),
    "verify": Operation(
        "Verify",
        "operate_run",
        _in(State.PAUSED, State.DONE, State.FAILED, State.CANCELLED, State.ROLLED_BACK),
        verification_jobs.request,
        "A worker compares every row with the audit log and with the newest vocabulary. It "
        "reads, and changes nothing. What it finds is kept in the run's history, and counts "
        "until the rows or the vocabulary change.",
        "Requested. A worker takes it up within seconds; progress appears here.",
        when=lambda run, _: not verification_jobs.active(run),
    ),
    "rollback": Operation(
        "Roll back",
        "rollback_run",
        _in(State.PAUSED, State.DONE, State.FAILED, State.CANCELLED),
        runs.request_rollback,
        "Every row gets the value back that the audit log holds. Rows that somebody changed "
        "since are left alone and listed.",
        "Rolling back. A worker takes it up within seconds.",
        danger=True,
    ),
}


def offered(request: HttpRequest, run: Run) -> list[dict[str, Any]]:
    """Return the buttons for this user and this run."""
    return [
        {"name": name, "label": operation.label, "danger": operation.danger}
        for name, operation in OPERATIONS.items()
        if operation.allowed(request, run)
    ]


# Rolling back a part of a run: choose it, see what it would do, confirm. Nothing changes before the
# last step.

STATES = (State.DONE, State.CANCELLED)
VALUES = 500  # spellings offered; others go by batches, or by the command line
PREVIEW_SECONDS = 20.0  # longer nobody waits for a page


class PartForm(forms.Form):
    """Chooses the part; sent by GET, changes nothing."""

    first = forms.IntegerField(
        required=False, min_value=1, max_value=NO_END, label="From batch, by its id"
    )
    last = forms.IntegerField(
        required=False, min_value=1, max_value=NO_END, label="Up to batch, by its id"
    )
    value = forms.ChoiceField(required=False)

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Offer the spellings that the plan changes; an entry stands for its spelling, which no
        browser alters so.
        """
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
            help_text="Every row that held it before.",
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
        messages.error(
            request,
            f"Run {run.pk} is {run.stands}; a part can be undone once it is done or cancelled.",
        )
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
        request,
        partial(_perform, run, scope, actor(request)),
        refusals=NormalizationError,
        back=back,
        done="Rolling back that part. A worker takes it up within seconds.",
        template="run_part_preview.html",
        title=title,
        opts=opts,
        run=run,
        verb="Roll back this part",
        danger=True,
        explanation=f"{_told(scope)} get their old value back. Rows that somebody changed since are "
        "left alone.",
        pairs=pairs,
        rows=sum(pair["rows"] for pair in pairs or ()),
        left=sum(pair["changed_since"] for pair in pairs or ()),
    )


def _preview(run: Run, scope: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return what the rollback would do; None where that takes longer to count than anybody
    waits for a page.
    """
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


# What holds a run back, on its page, and the form that changes its limits.


class LimitsForm(forms.Form):
    """Asks for new limits; an empty one stays as it is."""

    reason = forms.CharField(
        max_length=LONGEST_REASON,
        help_text="Kept in the history, under your name.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Offer one field for each factor, with the limit that counts now beside it."""
        super().__init__(*args, **kwargs)
        for name, limit in throttling.limits(run).items():
            self.fields[name] = _field(name, limit)
        self.order_fields([*FACTORS, "reason"])

    def clean(self) -> dict[str, Any]:
        """Gather what is asked for under `wanted`, as the domain takes it."""
        found = super().clean() or {}
        wanted = {name: found[name] for name in FACTORS if found.get(name) is not None}
        if not wanted and not self.errors:
            raise forms.ValidationError("Write at least one limit; empty ones stay as they are.")
        return {"wanted": wanted, "reason": found.get("reason", "")}


def _field(name: str, limit: throttling.Limit) -> forms.FloatField:
    factor = FACTORS[name]
    unit = f", in {factor.unit}" if factor.unit else ""
    now = f"{limit.limit:g}" if limit.limit else "off"
    by = f", set by {limit.actor}" if limit.actor else ""
    return forms.FloatField(
        label=f"{factor.title[:1].upper()}{factor.title[1:]}{unit}",
        required=False,
        min_value=0,
        max_value=100 if factor.falls else None,
        help_text=f"Now {now}{by}. 0 turns it off.",
    )


def throttle_context(request: HttpRequest, run: Run) -> dict[str, Any]:
    """Return what a run's page shows of its throttle."""
    shown = throttling.shown(run)
    limits = throttling.limits(run)
    read = {reading["factor"]: reading for reading in shown.readings}
    rows = [
        {
            "factor": FACTORS[name],
            "limit": limit,
            "limit_shown": FACTORS[name].say(limit.limit),
            "reading": read.get(name),
            "value": _value(name, read.get(name)),
            "seconds": shown.seconds[name],
        }
        for name, limit in limits.items()
    ]
    return {"throttle": shown, "throttle_rows": rows, "may_throttle": may_change(request, run)}


def _value(name: str, reading: dict[str, Any] | None) -> str:
    if reading is None or reading["value"] is None:
        return "–"
    return FACTORS[name].say(reading["value"])


def changes(run: Run) -> list[dict[str, Any]]:
    """Return the limits that were changed, newest first."""
    return [
        {
            "change": change,
            "title": FACTORS[change.factor].title if change.factor in FACTORS else change.factor,
            "limit": _limit_shown(change.factor, change.limit),
        }
        for change in run.throttle_changes.all()
    ]


def _limit_shown(factor: str, limit: float | None) -> str:
    if limit is None:
        return "as set"
    if not limit:
        return "off"
    return FACTORS[factor].say(limit) if factor in FACTORS else f"{limit:g}"


def may_change(request: HttpRequest, run: Run) -> bool:
    """Tell whether this user may change the limits of this run."""
    return bool(MOVES[State(run.state)]) and request.user.has_perm("stageapp.operate_run")


# How hard a run works: the form that changes it while it works.

OVER = (State.DONE, State.CANCELLED, State.ROLLED_BACK)
EXPLANATION = (
    "Workers follow with their next batch. More shards are divided from what the main pass has "
    "not seen yet; with fewer, workers leave as they end theirs. A pause here is the rest "
    "between two batches."
)


class TuneForm(ReasonForm):
    """Asks for new values; an empty one stays as it is. What a value may be is the domain's to
    judge.
    """

    workers = forms.IntegerField(required=False, label="Shards: workers at once")
    batch_seconds = forms.FloatField(required=False, label="Time target of a batch, in seconds")
    pause_seconds = forms.FloatField(required=False, label="Rest between batches, in seconds")
    field_order = ["workers", "batch_seconds", "pause_seconds", "reason"]

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Tell beside each field what counts now."""
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
        """Hold that something is asked for."""
        found = super().clean() or {}
        if not self.errors and all(found.get(name) is None for name in self.field_order[:-1]):
            raise forms.ValidationError("Write at least one value; empty ones stay as they are.")
        return found
