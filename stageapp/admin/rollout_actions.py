"""What a person may decide on the rollout page beside the mode: one table, for buttons and confirm pages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from stageapp import modes
from stageapp.admin import rollout_words as words
from stageapp.admin.confirm import ReasonForm, confirmed
from stageapp.admin.rollout_forms import PinForm, StepsForm
from stageapp.admin.screens import actor, require
from stageapp.modes import ModeState
from stageapp.people import Person, person_of, same_person
from stageapp.rollout import canary, marks, schedule, steps

PAGE = "admin:stageapp_rollout"


@dataclass(frozen=True)
class Action:
    """One button. `possible` tells whether there is anything to do as the rollout stands, for a user of this name."""

    label: str
    permission: str
    perform: Callable[..., object]
    explain: Callable[[HttpRequest, ModeState], str]
    done: str
    possible: Callable[[ModeState, str], bool] = lambda state, name: True
    form: type[ReasonForm] = ReasonForm
    initial: Callable[[HttpRequest, ModeState], dict[str, Any]] = lambda request, state: {}
    followed: bool = False  # by processes, which Redis tells of it

    def allowed(self, request: HttpRequest, state: ModeState) -> bool:
        """Tell whether this user may do it now."""
        return request.user.has_perm(f"stageapp.{self.permission}") and self.possible(state, actor(request))


def _may_grow(state: ModeState, name: str) -> bool:
    return state.mode == "enforce" and state.percent < 100


def _others_steps(state: ModeState, name: str) -> bool:
    proposed = [step for step in steps.to_come() if step.status == "proposed"]
    return bool(proposed) and not any(same_person(step.actor, name) for step in proposed)


def _is_warning(state: ModeState, name: str) -> bool:
    return state.mode == "warn" and state.version > 0


def _cancel(person: Person, reason: str) -> int:
    return steps.cancel(f"cancelled by {person.name}: {reason}")


def _pin(person: Person, consumer: str, place: str, reason: str) -> object:
    return canary.pin(consumer, place, person=person, reason=reason)


ACTIONS: dict[str, Action] = {
    "pin": Action(
        "Pin a consumer", "change_mode", _pin, words.pin, "Pinned. Every process follows within seconds.",
        form=PinForm, initial=lambda request, state: {name: request.GET.get(name) for name in ("consumer", "place")},
        followed=True,
    ),
    "plan_steps": Action(
        "Plan larger shares", "change_mode", schedule.plan_steps, words.plan_steps, "Planned.", _may_grow, StepsForm,
        lambda request, state: {"percents": " ".join(str(step) for step in schedule.STEPS if step > state.percent)},
    ),
    "approve_steps": Action(
        "Approve the planned steps", "change_mode", schedule.approve_steps, words.approve_steps,
        "Approved. Beat takes each step once its gates pass.", _others_steps,
    ),
    "cancel_steps": Action(
        "Cancel the planned steps", "change_mode", _cancel, words.cancel_steps, "Cancelled.",
        lambda state, name: bool(steps.to_come()),
    ),
    "audited": Action(
        "Mark the consumers audited", "manage_consumers", marks.record_audit, words.audited,
        "Recorded under your name.",
    ),
    "warn_period": Action(
        "Begin a new warn period", "change_mode", marks.begin_warn_period, words.warn_period,
        "A new warn period has begun.", _is_warning,
    ),
}  # fmt: skip


def offered(request: HttpRequest, state: ModeState) -> dict[str, dict[str, str]]:
    """Return the buttons for this user as the rollout stands, by name."""
    return {
        name: {"label": action.label, "url": address(name)}
        for name, action in ACTIONS.items()
        if action.allowed(request, state)
    }


def address(name: str) -> str:
    """Return where an action is confirmed."""
    return reverse(f"{PAGE}_{name}")


def action_view(request: HttpRequest, name: str) -> HttpResponse:
    """Confirm, then carry out one action."""
    action, state = ACTIONS[name], modes.latest()
    require(request, action.permission)
    if not action.allowed(request, state):
        messages.error(request, f"“{action.label}” is not possible as the rollout stands now.")
        return HttpResponseRedirect(reverse(PAGE))
    person = person_of(request.user)
    return confirmed(
        request,
        lambda **answers: action.perform(person, **answers),
        refusals=modes.ModeError,
        back=reverse(PAGE),
        done=action.done,
        followed=action.followed,
        form=action.form(request.POST or None, initial=action.initial(request, state)),
        title=action.label,
        parent="Rollout",
        explanation=action.explain(request, state),
        verb=action.label,
    )
