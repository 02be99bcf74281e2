"""Seals: which columns accept only stages, which have a guard, and their history."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET

from stageapp import conf
from stageapp.admin.actions import Action, ReasonForm, buttons
from stageapp.admin.screens import actor, page, require
from stageapp.admin.site import OwnPage, site
from stageapp.models.sealing import GuardChange, Seal
from stageapp.people import Person
from stageapp.sealing import guard, seal, state
from stageapp.sealing.allowed import MOST_ALLOWED
from stageapp.sealing.guard import GuardState
from stageapp.sealing.preview import DAYS, preview
from stageapp.sealing.state import SealState
from stageapp.sealing.survey import Held
from stageapp.targets import lock_wait
from stageapp.targets.errors import NormalizationError, TargetError
from stageapp.unknowns.examples import visible
from stageapp.vocabulary import snapshot

# What a person may do with a target's seal and guard: one table, for buttons and confirm pages.

PAGE = "admin:stageapp_seals"
PERMISSION = "seal_target"


@dataclass(frozen=True)
class Column:
    """A target with its seal and its guard as they are now."""

    label: str
    sealed: SealState
    guarded: GuardState


def _column_action(
    label: str,
    change: Callable[..., object],
    possible: Callable[[Column], bool],
    explanation: str,
    done: str,
    *,
    danger: bool = False,
) -> Action[Column]:
    def refusal(column: Column, name: str) -> str:
        if possible(column):
            return ""
        return f"“{label}” is not possible in the current state of {column.label}."

    def carry_out(column: Column, person: Person, reason: str) -> None:
        change(column.label, actor=person.name, reason=reason, how=lock_wait.SHORT)

    return Action(
        label,
        PERMISSION,
        carry_out,
        explanation,
        done,
        NormalizationError,
        refusal,
        danger=danger,
    )


ACTIONS: dict[str, Action[Column]] = {
    "unseal": _column_action(
        "Unseal",
        seal.unseal,
        lambda column: column.sealed.state != "open",
        "The constraint is removed, and the column accepts any text again. Rows are not changed.",
        "Unsealed. The column accepts any text again.",
        danger=True,
    ),
    "guard_on": _column_action(
        "Switch the guard on",
        guard.switch_on,
        lambda column: column.guarded.state != "on",
        "From now on PostgreSQL replaces a known spelling with its stage when it is "
        "written outside the API, and counts it. Unknown values are stored as written. "
        "Writing a valid stage costs one extra comparison.",
        "The guard is on.",
    ),
    "guard_off": _column_action(
        "Switch the guard off",
        guard.switch_off,
        lambda column: column.guarded.state != "off",
        "Spellings are stored as written again; on a sealed column such a write fails. "
        "The counts are kept.",
        "The guard is off.",
        danger=True,
    ),
}


def address(name: str, label: str) -> str:
    """Return the URL of the confirm page for an action on a target."""
    return f"{reverse(f'{PAGE}_{name}')}?{urlencode({'target': label})}"


def standing(request: HttpRequest, label: str) -> dict[str, object] | None:
    """Return a target's seal and guard; None if hidden from this user or no longer configured."""
    if label not in conf.targets() or not request.user.has_perm("stageapp.view_seal"):
        return None
    turned, _ = guard.totals(label, days=DAYS)
    return {"seal": state.look(label), "guard": guard.look(label), "turned": turned, "days": DAYS}


def target_of(request: HttpRequest) -> str:
    """Return the target in the URL, or the only one if the URL names none.

    Raises:
        Http404: the target is not configured, or there are several to choose from.
    """
    labels = conf.targets()
    label = request.GET.get("target", labels[0] if len(labels) == 1 else "")
    if label not in labels:
        raise Http404("The address does not name a configured target.")
    return label


def action_view(request: HttpRequest, name: str) -> HttpResponse:
    require(request, PERMISSION)
    action, label = ACTIONS[name], target_of(request)
    try:
        column = Column(label, state.look(label), guard.look(label))
    except NormalizationError as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse(PAGE))
    return action.confirm(
        request, column, back=reverse(PAGE), title=f"{action.label}: {label}", parent="Seals"
    )


# Seal a target: a look at what would pass and what would fail, then a confirmation with a reason.
#
# What may stay is chosen in the address, so that what is confirmed is what was looked at.

SHOWN_KNOWN = 50


class SealForm(ReasonForm):
    """Asks for a reason and returns the vocabulary version the user saw."""

    expected_version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)


def seal_view(request: HttpRequest) -> HttpResponse:
    """Preview, then seal."""
    require(request, PERMISSION)
    label, chosen = target_of(request), _chosen(request)
    form = SealForm(request.POST or None, initial={"expected_version": snapshot.newest_version()})
    try:
        if request.method == "POST" and form.is_valid():
            seal.seal(
                label, actor=actor(request), how=lock_wait.SHORT, **chosen, **form.cleaned_data
            )
            messages.success(request, f"Sealed. {label} accepts only the listed values.")
            return HttpResponseRedirect(reverse(PAGE))
        effect = preview(label, how=lock_wait.SHORT, **chosen)
    except NormalizationError as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse(PAGE))
    # One value of several sources is one choice.
    held = list({one.value: one for one in effect.survey.unknown}.items())
    return page(
        request,
        "seal_preview.html",
        title=f"Seal {label}",
        parent="Seals",
        back=reverse(PAGE),
        label=label,
        found=effect,
        choices=[
            *(_choice(value, None, ticked=True) for value in effect.passing.allowed),
            *(_choice(value, one, ticked=False) for value, one in held[:MOST_ALLOWED]),
        ],
        most=MOST_ALLOWED,
        known=[
            {"one": one, "shown": visible(one.value)} for one in effect.survey.known[:SHOWN_KNOWN]
        ],
        form=form,
    )


def _chosen(request: HttpRequest) -> dict[str, Any]:
    """Return the allowed values in the URL; all None while the URL does not mention NULL.

    Raises:
        BadRequest: a value is not a JSON string.
    """
    if "null" not in request.GET:
        return {"allow": None, "nulls": None}
    try:
        allow = [json.loads(value) for value in request.GET.getlist("allow")]
    except ValueError:
        raise BadRequest("A value in the address is not valid JSON.") from None
    if not all(isinstance(value, str) for value in allow):
        raise BadRequest("A value in the address is not text.")
    return {"allow": allow, "nulls": request.GET["null"] != "refuse"}


def _choice(value: str, one: Held | None, *, ticked: bool) -> dict[str, Any]:
    why = "" if one is None else "a retired stage" if one.retired else one.reason
    return {
        "value": json.dumps(value),
        "shown": visible(value),
        "ticked": ticked,
        "why": why,
        "rows": one.rows if one else None,
    }


SHOWN_CAUGHT, SHOWN_STEPS = 10, 30


@require_GET
def seals_view(request: HttpRequest) -> HttpResponse:
    """Show every target with its seal and guard."""
    require(request, "view_seal")
    targets = [_target(request, label) for label in conf.targets()]
    # The newest steps of seals and switches of guards, newest first.
    steps: chain[dict[str, Any]] = chain(
        (
            {"at": s.created_at, "what": s.get_action_display(), "row": s}
            for s in Seal.objects.all()[:SHOWN_STEPS]
        ),
        (
            {"at": c.created_at, "what": f"guard {'on' if c.on else 'off'}", "row": c}
            for c in GuardChange.objects.all()[:SHOWN_STEPS]
        ),
    )
    return page(
        request,
        "seals.html",
        title="Seals",
        targets=targets,
        steps=sorted(steps, key=lambda step: step["at"], reverse=True)[:SHOWN_STEPS],
        days=DAYS,
    )


def _target(request: HttpRequest, label: str) -> dict[str, Any]:
    try:
        now, guarded = state.look(label), guard.look(label)
    except TargetError as problem:
        return {"label": label, "problem": str(problem)}
    turned, failed = guard.totals(label, days=DAYS)
    caught = guard.caught(label, days=DAYS, most=SHOWN_CAUGHT)
    standing = now.seal or now.begun
    column, offered = Column(label, now, guarded), []
    if request.user.has_perm(f"stageapp.{PERMISSION}"):
        verb = "Seal" if now.state == "open" else "Seal again"
        offered = [
            {"label": verb, "url": address("seal", label), "danger": False},
            *buttons(request, ACTIONS, column, lambda name: address(name, label)),
        ]
    return {
        "label": label,
        "now": now,
        "standing": standing,
        "guard": guarded,
        "turned": turned,
        "failed": failed,
        "allowed": [visible(value) for value in standing.allowed] if standing else [],
        "caught": [{"one": one, "shown": visible(one.raw)} for one in caught],
        "actions": offered,
    }


site.pages.append(
    OwnPage("stageapp/seals/", "stageapp_seals", seals_view, "Normalization", "Seals", "view_seal")
)
site.pages.append(OwnPage("stageapp/seals/seal/", "stageapp_seals_seal", seal_view))
site.pages.extend(
    OwnPage(
        f"stageapp/seals/{name.replace('_', '-')}/",
        f"stageapp_seals_{name}",
        partial(action_view, name=name),
    )
    for name in ACTIONS
)
