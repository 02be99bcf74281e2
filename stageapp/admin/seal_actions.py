"""What a person may do with a target's seal and guard: one table, for buttons and confirm pages."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from stageapp import conf
from stageapp.admin.confirm import confirmed
from stageapp.admin.screens import actor, require
from stageapp.normalization import guard, guard_counts, patience, seal, seal_state
from stageapp.normalization.errors import NormalizationError
from stageapp.normalization.guard import GuardState
from stageapp.normalization.seal_preview import DAYS
from stageapp.normalization.seal_state import SealState

PAGE = "admin:stageapp_seals"
PERMISSION = "seal_target"


@dataclass(frozen=True)
class Action:
    """One button with its confirm page. `possible` tells whether there is anything to do as the target stands."""

    label: str
    perform: Callable[..., object]
    possible: Callable[[SealState, GuardState], bool]
    explanation: str
    done: str
    danger: bool = False


ACTIONS: dict[str, Action] = {
    "unseal": Action(
        "Unseal", seal.unseal, lambda now, guarded: now.state != "open",
        "The constraint goes, and the column takes every text again. Rows are not changed.",
        "Unsealed. The column takes every text again.", danger=True,
    ),
    "guard_on": Action(
        "Switch the guard on", guard.switch_on, lambda now, guarded: guarded.state != "on",
        "From now on PostgreSQL itself turns a known spelling into its stage when somebody writes it past the API, and "
        "counts it. Unknown values stay as they are written. A writer of stages pays for a comparison.",
        "The guard is on.",
    ),
    "guard_off": Action(
        "Switch the guard off", guard.switch_off, lambda now, guarded: guarded.state != "off",
        "Spellings are stored as they are written again; under a seal such a write fails. The counts stay.",
        "The guard is off.", danger=True,
    ),
}  # fmt: skip


def address(name: str, label: str) -> str:
    """Return where an action on a target is confirmed."""
    return f"{reverse(f'{PAGE}_{name}')}?{urlencode({'target': label})}"


def offered(request: HttpRequest, now: SealState, guarded: GuardState) -> list[dict[str, object]]:
    """Return the buttons for this user and this target."""
    if not request.user.has_perm(f"stageapp.{PERMISSION}"):
        return []
    label = now.target
    verb = "Seal" if now.state == "open" else "Seal again"
    first: dict[str, object] = {"label": verb, "url": address("seal", label), "danger": False}
    others: list[dict[str, object]] = [
        {"label": action.label, "url": address(name, label), "danger": action.danger}
        for name, action in ACTIONS.items()
        if action.possible(now, guarded)
    ]
    return [first, *others]


def standing(request: HttpRequest, label: str) -> dict[str, object] | None:
    """Return in short how a target stands, for a user who may see it; None of one that is not configured any more."""
    if label not in conf.targets() or not request.user.has_perm("stageapp.view_seal"):
        return None
    turned, _ = guard_counts.totals(label, days=DAYS)
    return {"seal": seal_state.look(label), "guard": guard.look(label), "turned": turned, "days": DAYS}


def target_of(request: HttpRequest) -> str:
    """Return the target that the address names, the only one if it names none.

    Raises:
        Http404: it is none of the configured ones, or there are several.
    """
    labels = conf.targets()
    label = request.GET.get("target", labels[0] if len(labels) == 1 else "")
    if label not in labels:
        raise Http404("The address names no configured target.")
    return label


def action_view(request: HttpRequest, name: str) -> HttpResponse:
    """Confirm, then carry out one action."""
    require(request, PERMISSION)
    action, label = ACTIONS[name], target_of(request)
    try:
        possible = action.possible(seal_state.look(label), guard.look(label))
    except NormalizationError as refusal:
        possible = False
        messages.error(request, str(refusal))
    if not possible:
        messages.error(request, f"“{action.label}” is not possible as {label} stands now.")
        return HttpResponseRedirect(reverse(PAGE))
    return confirmed(
        request,
        partial(action.perform, label, actor=actor(request), how=patience.SHORT),
        refusals=NormalizationError,
        back=reverse(PAGE),
        done=action.done,
        title=f"{action.label}: {label}",
        parent="Seals",
        explanation=action.explanation,
        verb=action.label,
        danger=action.danger,
    )
