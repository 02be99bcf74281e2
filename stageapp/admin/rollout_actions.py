"""Rollout decisions other than the mode: one table that yields buttons and confirm pages."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from stageapp import conf
from stageapp.admin.actions import Action, ReasonForm, buttons
from stageapp.admin.screens import PageAdmin, require
from stageapp.admin.site import site
from stageapp.consumers.audit.callers import DAYS, refused_if_enforced
from stageapp.mode import history, store
from stageapp.mode.store import ModeError, ModeState
from stageapp.models.rollout import ConsumerPin, ModeProposal
from stageapp.people import person_of, same_person
from stageapp.rollout import canary, proposals, schedule, steps, timeline
from stageapp.rollout.gates.canary import CANARY_PERCENT

# The forms of the rollout page: what a decision needs beside its reason.


class PinForm(ReasonForm):
    """Asks which consumer to pin, and in or out."""

    consumer = forms.CharField(max_length=200, strip=False, help_text="Its exact name.")
    place = forms.ChoiceField(choices=ConsumerPin.PLACES, widget=forms.RadioSelect)
    field_order = ["consumer", "place", "reason"]


class StepsForm(ReasonForm):
    """Asks for the shares to plan."""

    percents = forms.CharField(
        max_length=100, label="Shares, in percent", help_text="Ascending, for example: 50 100"
    )
    field_order = ["percents", "reason"]

    def clean_percents(self) -> list[int]:
        """Return the numbers; the planner judges whether they form valid steps."""
        words: list[str] = self.cleaned_data["percents"].replace(",", " ").split()
        if not all(word.isascii() and word.isdecimal() and len(word) <= 3 for word in words):
            raise forms.ValidationError(
                "Enter whole numbers separated by spaces, for example: 50 100"
            )
        return [int(word) for word in words]


# What the confirm pages of the rollout say before anybody confirms: what is, and what would be.

NAMED = 10  # consumers named in a sentence


def share_of(state: ModeState) -> int:
    """Return the share that places consumers: the current one, or that of a future canary."""
    return state.percent if state.mode == "enforce" else CANARY_PERCENT


def pin(request: HttpRequest, state: ModeState) -> str:
    """Explain pinning and, for the requested consumer, its place and what it sent."""
    rule = (
        "Pinned in, a consumer gets enforce as soon as it applies to anyone; pinned out, "
        "it gets warn, even at 100 %."
    )
    if not canary.may_pin_in(person_of(request.user)):
        lacking = "pinning in requires the permission override_gate, which you do not have."
        rule = f"{rule} With the two-person rule, {lacking}"
    name, percent = request.GET.get("consumer", ""), share_of(state)
    if not name or not request.user.has_perm("stageapp.view_consumersighting"):
        return rule
    member = next((one for one in canary.members(percent) if one.consumer == name), None)
    if member is None:
        return f"“{name}” has no token and sent nothing yesterday. {rule}"
    meets = "enforce" if member.enforced else "warn"
    held = (
        f"pinned {member.pin}"
        if member.pin
        else f"in bucket {member.bucket} of 0 to 99, not pinned"
    )
    return (
        f"“{name}” is {held}: while enforce applies to {percent} %, it gets {meets}. "
        f"Yesterday it sent {member.values:,} stages, {member.unknown:,} of them unknown. "
        f"{rule}"
    )


def plan_steps(request: HttpRequest, state: ModeState) -> str:
    """Explain when steps are taken, and by whom."""
    second = " Another person has to approve them first." if conf.settings.two_person_rule else ""
    before = " The steps planned now are cancelled." if steps.to_come() else ""
    return (
        f"Enforce applies to {state.percent} %. The scheduler (beat) takes each step once "
        "its dwell time is over and while its gates pass; any other change of the mode "
        f"cancels the steps.{second}{before}"
    )


def approve_steps(request: HttpRequest, state: ModeState) -> str:
    """Explain what is approved."""
    return f"The scheduler (beat) takes each of these steps once its gates pass: {_steps()}"


def cancel_steps(request: HttpRequest, state: ModeState) -> str:
    """Explain what is cancelled."""
    return f"The mode does not change. These steps are cancelled: {_steps()}"


def _steps() -> str:
    return "; ".join(
        f"enforce {step.percent} %, planned by {step.actor}: {step.reason}"
        for step in steps.to_come()
    )


def audited(request: HttpRequest, state: ModeState) -> str:
    """Explain what the audit signs off; name consumers only to users who may see what they send."""
    valid = f"This satisfies the consumer audit gate for {conf.gates().audit_days:g} days."
    begin = (
        "By recording this audit you confirm that you have checked who still sends what. "
        "Describe what you found."
    )
    if not request.user.has_perm("stageapp.view_consumersighting"):
        return f"{begin} {valid}"
    refused = refused_if_enforced()
    names = (
        ", ".join(f"“{one.consumer}” ({one.times:,} times)" for one in refused[:NAMED]) or "nobody"
    )
    more = f" and {len(refused) - NAMED:,} more" if len(refused) > NAMED else ""
    return (
        f"{begin} In the last {DAYS} days, values that enforce would refuse were sent by "
        f"{names}{more}. {valid}"
    )


def warn_period(request: HttpRequest, state: ModeState) -> str:
    """Explain what a new warn period resets."""
    wanted = conf.gates()
    days = history.read().time_in_warn(timezone.now()).days
    return (
        f"This warn period has lasted {days} of at most {wanted.warn_max_days} days. A "
        f"new one restarts the day count, and {wanted.warn_days} full days (UTC) within "
        "it must meet the limits before warn may end."
    )


PAGE = "admin:stageapp_rollout"


def _rollout_action(
    label: str,
    permission: str,
    change: Callable[..., object],
    explanation: Callable[[HttpRequest, ModeState], str],
    done: str,
    possible: Callable[[ModeState, str], bool] = lambda state, name: True,
    *,
    form: type[ReasonForm] = ReasonForm,
    initial: Callable[[HttpRequest, ModeState], dict[str, Any]] = lambda request, state: {},
    followed: bool = False,
) -> Action[ModeState]:
    """Return an action on the rollout; `change` takes the person and what the form asks for."""

    def refusal(state: ModeState, name: str) -> str:
        if possible(state, name):
            return ""
        return f"“{label}” is not possible in the current state of the rollout."

    return Action(
        label,
        permission,
        lambda state, person, **answers: change(person, **answers),
        explanation,
        done,
        ModeError,
        refusal,
        lambda request, state: form(request.POST or None, initial=initial(request, state)),
        followed=followed,
    )


def _others_steps(state: ModeState, name: str) -> bool:
    proposed = [step for step in steps.to_come() if step.status == "proposed"]
    return bool(proposed) and not any(same_person(step.actor, name) for step in proposed)


ACTIONS: dict[str, Action[ModeState]] = {
    "pin": _rollout_action(
        "Pin a consumer",
        "change_mode",
        lambda person, consumer, place, reason: canary.pin(
            consumer, place, person=person, reason=reason
        ),
        pin,
        "Pinned. All processes follow within seconds.",
        form=PinForm,
        initial=lambda request, state: {
            name: request.GET.get(name) for name in ("consumer", "place")
        },
        followed=True,
    ),
    "plan_steps": _rollout_action(
        "Plan larger shares",
        "change_mode",
        schedule.plan_steps,
        plan_steps,
        "Planned.",
        lambda state, name: state.mode == "enforce" and state.percent < 100,
        form=StepsForm,
        initial=lambda request, state: {
            "percents": " ".join(str(step) for step in schedule.STEPS if step > state.percent)
        },
    ),
    "approve_steps": _rollout_action(
        "Approve the planned steps",
        "change_mode",
        schedule.approve_steps,
        approve_steps,
        "Approved. The scheduler (beat) takes each step once its gates pass.",
        _others_steps,
    ),
    "cancel_steps": _rollout_action(
        "Cancel the planned steps",
        "change_mode",
        lambda person, reason: steps.cancel(f"cancelled by {person.name}: {reason}"),
        cancel_steps,
        "Cancelled.",
        lambda state, name: bool(steps.to_come()),
    ),
    "audited": _rollout_action(
        "Record a consumer audit",
        "manage_consumers",
        timeline.record_audit,
        audited,
        "Recorded under your name.",
    ),
    "warn_period": _rollout_action(
        "Start a new warn period",
        "change_mode",
        timeline.begin_warn_period,
        warn_period,
        "A new warn period has started.",
        lambda state, name: state.mode == "warn" and state.version > 0,
    ),
}


def rollout_buttons(request: HttpRequest, state: ModeState) -> dict[str, dict[str, Any]]:
    """Return the buttons for this user as the rollout stands, by name."""
    return {button["name"]: button for button in buttons(request, ACTIONS, state, address)}


def address(name: str) -> str:
    """Return the URL of an action's confirm page."""
    return reverse(f"{PAGE}_{name}")


def action_view(request: HttpRequest, name: str) -> HttpResponse:
    return ACTIONS[name].confirm(request, store.latest(), back=reverse(PAGE), parent="Rollout")


# The two-person rule: proposals to enforce, and their approval by somebody else.

PROPOSALS_PAGE = "admin:stageapp_modeproposal_changelist"


@admin.register(ModeProposal, site=site)
class ModeProposalAdmin(PageAdmin):
    """Proposals to enforce, and their outcome."""

    list_display = [
        "id",
        "percent",
        "actor",
        "reason",
        "override_reason",
        "stands",
        "approved_by",
        "created_at",
    ]
    list_filter = ["status"]
    sortable_by = ()
    list_per_page = 25
    page_template = "proposal.html"

    @admin.display(description="status", ordering="status")
    def stands(self, proposal: ModeProposal) -> str:
        """Return the status; a proposal that the mode has overtaken waits for nobody."""
        return proposals.status_in_words(proposal)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path(
                "<int:pk>/approve/", wrap(self.approve_view), name="stageapp_modeproposal_approve"
            ),
            path(
                "<int:pk>/withdraw/",
                wrap(self.withdraw_view),
                name="stageapp_modeproposal_withdraw",
            ),
            *super().get_urls(),
        ]

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the proposal, its status, what callers would be told, and what blocks the user."""
        stands = proposals.status_in_words(row)
        context: dict[str, Any] = {"proposal": row, "stands": stands, "title": f"Proposal {row.pk}"}
        if row.status != "open":
            return context
        hindrance = proposals.hindrance(row, person_of(request.user))
        return {**context, "hindrance": hindrance, "told": proposals.would_tell(row)}

    def approve_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._confirm(request, pk, APPROVE)

    def withdraw_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._confirm(request, pk, WITHDRAW)

    def _confirm(self, request: HttpRequest, pk: int, action: Action[ModeProposal]) -> HttpResponse:
        require(request, action.permission)
        proposal = self.row_or_404(request, str(pk))
        title = f"{action.label}: enforce {proposal.percent} %"
        return action.confirm(request, proposal, back=reverse(PROPOSALS_PAGE), title=title)


APPROVE: Action[ModeProposal] = Action(
    "Approve",
    "change_mode",
    proposals.approve,
    lambda request, proposal: (
        f"{proposal.actor} proposed it: {proposal.reason}. Approving it changes the mode "
        "immediately."
    ),
    "Approved. The mode was changed; all processes follow within seconds.",
    ModeError,
    followed=True,
)
WITHDRAW: Action[ModeProposal] = Action(
    "Withdraw",
    "change_mode",
    proposals.withdraw,
    "The proposal ends, and nothing changes.",
    "Withdrawn.",
    ModeError,
)
