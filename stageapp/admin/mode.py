"""The mode page: the current mode, what traffic would meet in each mode, history and changes."""

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_GET, require_POST

from stageapp.admin.actions import LONGEST_REASON
from stageapp.admin.charts import bars
from stageapp.admin.screens import ReadOnlyAdmin, page, require, warn_of_lag
from stageapp.admin.site import site
from stageapp.mode import processes, store
from stageapp.mode.store import ModeError, ModeState, check_day
from stageapp.models.mode import ModeChange
from stageapp.people import person_of
from stageapp.rollout import proposals
from stageapp.rollout.changes import Wish, change_mode
from stageapp.rollout.errors import SecondPersonNeeded
from stageapp.rollout.judgement import consequences, judge_change
from stageapp.traffic import windows
from stageapp.traffic.windows import Summary

# The forms of the mode page: choose, then confirm with a reason.


class ModeForm(forms.Form):
    """Chooses a mode; sent by GET, changes nothing."""

    mode = forms.ChoiceField(choices=ModeChange.MODES, widget=forms.RadioSelect)
    percent = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100,
        label="Percent of consumers",
        help_text="For enforce only, 1 to 100; the other consumers get warn. Empty means all "
        "consumers.",
    )
    enforce_on = forms.DateField(
        required=False,
        label="Announced first day of enforcement",
        help_text="Optional; callers see it in responses. Empty: the announced day is kept.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    withdraw_enforce_on = forms.BooleanField(required=False, label="Withdraw the announced day")

    def clean_enforce_on(self) -> datetime.date | None:
        """Require that the day is not in the past."""
        day: datetime.date | None = self.cleaned_data["enforce_on"]
        if day is not None:
            try:
                check_day(day)
            except ModeError as refusal:
                raise forms.ValidationError(str(refusal)) from refusal
        return day

    def clean(self) -> dict[str, Any]:
        """Allow a percentage only with enforce, and not both a new day and a withdrawal."""
        values = self.cleaned_data
        if values.get("enforce_on") and values.get("withdraw_enforce_on"):
            refusal = "Either announce a day or withdraw the announced one, not both."
            self.add_error("withdraw_enforce_on", refusal)
        if values.get("mode") != "enforce" and values.get("percent") not in (None, 100):
            self.add_error("percent", "A percentage applies only to enforce. Leave it empty.")
        values["percent"] = values.get("percent") or 100
        return values


class ModeChangeForm(ModeForm):
    """Confirms a mode; sent by POST with the state the user saw."""

    expected_version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=LONGEST_REASON,
        help_text="Kept in the history, under your name.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    override = forms.CharField(
        required=False,
        max_length=LONGEST_REASON,
        label="Reason for moving past the gates",
        help_text="The gates above do not pass. Kept in the history, under your name.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    break_glass = forms.CharField(
        required=False,
        max_length=LONGEST_REASON,
        label="Break glass: reason for enforcing without a second person",
        help_text="Leave empty to propose the change for approval by another person. If filled in, "
        "it is logged as an error and shown in the history.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, asks: Collection[str] = (), **kwargs: Any) -> None:
        """Hide the choice; `asks` are the exceptional reasons that this change and user require."""
        super().__init__(*args, **kwargs)
        for name in {"override", "break_glass"} - set(asks):
            del self.fields[name]
        for name in ("mode", "percent", "enforce_on", "withdraw_enforce_on"):
            self.fields[name].widget = forms.HiddenInput()


# What a change of mode would mean, in words and in yesterday's requests.

MEANINGS = {
    "off": (
        "Known spellings are normalized, unknown ones pass. Responses say nothing about "
        "it; everything is counted."
    ),
    "warn": (
        "Every request passes. Callers that send unknown or outdated spellings are "
        "warned in the response."
    ),
    "enforce": (
        "Requests with an unknown stage are refused. Outdated spellings pass with a warning."
    ),
}


@dataclass(frozen=True)
class Row:
    """One outcome: how many of the last day's requests would meet it, before and after."""

    outcome: str
    now: int
    then: int

    @property
    def difference(self) -> int:
        """The change in the number of requests."""
        return self.then - self.now


@dataclass(frozen=True)
class Preview:
    """A proposed mode next to the current one."""

    now: ModeState
    then: ModeState
    rows: tuple[Row, ...]
    total: int
    at_most: int  # rejections, if the canary's share held every caller that sends unknown stages

    @property
    def direction(self) -> str:
        """`stricter`, `looser` or `same`."""
        if self.then.strictness == self.now.strictness:
            return "same"
        return "stricter" if self.then.strictness > self.now.strictness else "looser"

    @property
    def estimated(self) -> bool:
        """Whether figures are estimates: windows count requests, a canary selects consumers."""
        return any(
            state.mode == "enforce" and state.percent < 100 for state in (self.now, self.then)
        )


def preview(now: ModeState, then: ModeState, traffic: Summary) -> Preview:
    """Return the last day's traffic under the current and the proposed mode."""
    before, after = met(now, traffic), met(then, traffic)
    rows = tuple(
        Row(name, before[name], after[name]) for name in ("accepted", "warned", "rejected")
    )
    return Preview(now, then, rows, traffic.total, traffic.outcomes[then.mode]["rejected"])


def met(state: ModeState, traffic: Summary) -> dict[str, int]:
    """Return outcome → requests; for a canary, as if all callers were alike."""
    outcomes = traffic.outcomes
    if state.mode != "enforce":
        return outcomes[state.mode]
    outside, inside = outcomes["warn"], outcomes["enforce"]
    extra = round((inside["rejected"] - outside["rejected"]) * state.percent / 100)
    return {
        "accepted": outside["accepted"],
        "warned": outside["warned"] - extra,
        "rejected": outside["rejected"] + extra,
    }


PAGE = "admin:stageapp_modechange_changelist"


@admin.register(ModeChange, site=site)
class ModeChangeAdmin(ReadOnlyAdmin):
    """The history of the mode, below the current mode."""

    change_list_template = "admin/stageapp/mode.html"
    list_display = [
        "version",
        "shown",
        "enforce_on",
        "created_at",
        "actor",
        "kind",
        "reason",
        "override_reason",
    ]
    list_display_links = None
    sortable_by = ()
    search_fields = ["actor", "reason"]
    list_per_page = 25

    @admin.display(description="mode")
    def shown(self, change: ModeChange) -> str:
        """Return the mode, for enforce with its percentage."""
        return (
            f"enforce {change.percent}\N{NO-BREAK SPACE}%"
            if change.mode == "enforce"
            else change.mode
        )

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("preview/", wrap(self.preview_view), name="stageapp_modechange_preview"),
            path("set/", wrap(self.set_view), name="stageapp_modechange_set"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(
            request, {**mode_context(), "title": "Validation mode", "subtitle": None}
        )

    @method_decorator(require_GET)
    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Show what the chosen mode would change and ask for a reason."""
        require(request, "change_mode")
        return _preview(request, ModeForm(request.GET))

    @method_decorator(require_POST)
    def set_view(self, request: HttpRequest) -> HttpResponse:
        require(request, "change_mode")
        form = ModeChangeForm(request.POST, asks=("override", "break_glass"))
        if not form.is_valid():
            return _preview(request, ModeForm(request.POST), form)
        expected, wish = form.cleaned_data.pop("expected_version"), Wish(**form.cleaned_data)
        try:
            change_mode(person_of(request.user), wish, expected_version=expected)
        except SecondPersonNeeded:
            try:
                made = proposals.propose(person_of(request.user), wish)
            except store.ModeError as refusal:
                messages.error(request, str(refusal))
            else:
                waits = f"proposal {made.pk} is waiting for another person's approval."
                messages.warning(request, f"The two-person rule is on: {waits}")
        except store.VersionConflict as conflict:
            said = str(conflict)
            if change := ModeChange.objects.first():
                when = f"{change.created_at:%Y-%m-%d %H:%M:%S} UTC"
                said += f" {change.actor} set it to {change.mode} {change.percent} % at {when}: "
                said += change.reason
            messages.error(request, said)
        except store.ModeError as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, "The mode was changed. All processes follow within seconds.")
            warn_of_lag(request)
        return HttpResponseRedirect(reverse(PAGE))


def mode_context() -> dict[str, Any]:
    """Return what the mode page shows above its history."""
    arrived = windows.summary()
    state = store.latest()
    share = state.percent if state.percent < 100 else None
    form = ModeForm(initial={"mode": state.mode, "percent": share})
    if state.enforce_on is None:
        del form.fields["withdraw_enforce_on"]
    return {
        "state": state,
        "change": ModeChange.objects.first(),
        "meaning": MEANINGS[state.mode],
        "here": store.current(),
        "age": store.age_seconds(),
        "processes": processes.seen(),
        "traffic": arrived,
        "bars": bars(arrived.outcomes),
        "form": form,
    }


def _preview(
    request: HttpRequest, chosen: ModeForm, confirm: ModeChangeForm | None = None
) -> HttpResponse:
    context: dict[str, Any] = {
        "form": chosen,
        "title": "Change the mode",
        "mode_page": reverse(PAGE),
    }
    if chosen.is_valid():
        now = store.latest()
        try:
            then = Wish(reason="", **chosen.cleaned_data).after(now)
        except store.ModeError as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(reverse(PAGE))
        context["preview"] = preview(now, then, windows.summary())
        context["told"] = consequences(now, then)
        context["meaning"] = MEANINGS[then.mode]
        ahead = judge_change(person_of(request.user), now, then)
        initial = {**chosen.cleaned_data, "expected_version": now.version}
        context["ahead"] = ahead
        exceptional = {"override": ahead.may_override, "break_glass": ahead.may_break_glass}
        asks = [name for name, may in exceptional.items() if may]
        context["confirm"] = confirm or ModeChangeForm(initial=initial, asks=asks)
    return page(request, "mode_preview.html", **context)
