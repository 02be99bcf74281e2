"""The rollout page: where it stands, what holds it back, whom it touches, and what may be done now."""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from stageapp import conf, traffic
from stageapp.admin import rollout_actions
from stageapp.admin.mode_preview import MEANINGS
from stageapp.admin.raw_text import visible, visible_example
from stageapp.admin.rollout_actions import ACTIONS, action_view, offered
from stageapp.admin.rollout_series import conditions
from stageapp.admin.rollout_words import share_of
from stageapp.admin.screens import page, require
from stageapp.admin.site import OwnPage, site
from stageapp.consumer_audit.callers import DAYS, SentValue
from stageapp.consumer_audit.refused import Refused, refused_if_enforced
from stageapp.models.modes import ModeChange
from stageapp.modes import ModeState
from stageapp.people import person_of
from stageapp.rollout import canary, proposals, steps, timeline
from stageapp.rollout.moves import ARROWS, Phase
from stageapp.rollout.outlook import Outlook, outlook
from stageapp.rollout.preview import look_ahead

SHOWN_CONSUMERS, SHOWN_VALUES, SHOWN_PAST, SHOWN_PEOPLE = 20, 5, 15, 10
_BACKEND = "django.contrib.auth.backends.ModelBackend"


@require_GET
def rollout_view(request: HttpRequest) -> HttpResponse:
    """Show the rollout."""
    require(request, "view_modechange")
    now = traffic.now()
    found = outlook(now)
    context = {
        "title": "Rollout", "found": found, "state": found.state, "meaning": MEANINGS[found.state.mode], "now": now,
        "change": ModeChange.objects.first(), "phases": _phases(found), "gates": _gates(found),
        "moves": _moves(request, found), "actions": offered(request, found.state), "latch": _latch(found),
        "past": timeline.entries(SHOWN_PAST, _visible_to(request)), **_people(request, found),
    }  # fmt: skip
    return page(request, "rollout.html", **context)


def _visible_to(request: HttpRequest) -> set[str]:
    names = ("modechange", "warnperiod", "consumeraudit", "consumerpin", "plannedstep", "modeproposal")
    return {name for name in names if request.user.has_perm(f"stageapp.view_{name}")}


def _phases(found: Outlook) -> list[dict[str, Any]]:
    return [{"label": phase.label, "reached": phase <= found.phase, "now": phase == found.phase} for phase in Phase]


def _gates(found: Outlook) -> list[dict[str, Any]]:
    """Return every gate with its conditions and series; those that the next step needs come first."""
    needed = {gate.name for gate in found.step.gates} if found.step else set()
    gates = [
        {"gate": gate, "needed": gate.name in needed, "conditions": list(conditions(gate, found.measured))}
        for gate in found.gates.values()
    ]
    return sorted(gates, key=lambda one: not one["needed"])


def _latch(found: Outlook) -> dict[str, Any] | None:
    """Return the downgrade that stands, and who may raise the mode: it takes two permissions."""
    if not found.latched:
        return None
    may_change = User.objects.with_perm("stageapp.change_mode", backend=_BACKEND)
    may_rearm = User.objects.with_perm("stageapp.rearm", backend=_BACKEND)
    people = may_rearm.filter(is_staff=True, pk__in=may_change.values("pk")).order_by("username")
    names = [user.get_username() for user in people[:SHOWN_PEOPLE]]
    return {
        "change": ModeChange.objects.filter(kind="downgrade").first(),
        "people": names,
        "count": people.count(),
        "second_person": conf.two_person_rule(),
    }


def _moves(request: HttpRequest, found: Outlook) -> dict[str, Any]:
    """Return the changes of mode that the table allows this user now: the step forward, and every way back."""
    if not request.user.has_perm("stageapp.change_mode"):
        return {}
    return {"forward": _forward(request, found), "back": [_back(phase) for phase in reversed(range(found.phase))]}


def _forward(request: HttpRequest, found: Outlook) -> dict[str, Any] | None:
    step = found.step
    if step is None or not step.mode:
        return None
    ahead = look_ahead(person_of(request.user), found.state, ModeState(step.mode, step.percent))
    return {"text": step.text, "url": _preview(step.mode, step.percent), "ahead": ahead}


def _back(phase: int) -> dict[str, str]:
    arrow = ARROWS[Phase(phase)]
    label = f"enforce {arrow.percent} %" if arrow.mode == "enforce" else arrow.mode
    return {"label": label, "why": arrow.back, "url": _preview(arrow.mode, arrow.percent)}


def _preview(mode: str, percent: int) -> str:
    chosen = {"mode": mode, "percent": percent} if mode == "enforce" else {"mode": mode}
    return f"{reverse('admin:stageapp_modechange_preview')}?{urlencode(chosen)}"


def _people(request: HttpRequest, found: Outlook) -> dict[str, Any]:
    """Return whom it touches, as far as this user may see it."""
    shown: dict[str, Any] = {"days": DAYS}
    if request.user.has_perm("stageapp.view_plannedstep"):
        shown["planned"] = steps.to_come()
    if request.user.has_perm("stageapp.view_modeproposal"):
        shown["waiting"] = proposals.waiting()
    if request.user.has_perm("stageapp.view_consumersighting"):
        shown.update(_consumers(found, canary.may_pin_in(person_of(request.user))))
    return shown


def _consumers(found: Outlook, may_pin_in: bool) -> dict[str, Any]:
    percent = share_of(found.state)
    members, refused = canary.members(percent), refused_if_enforced()
    share = canary.canary_share(members)
    places = {member.consumer: member for member in members}
    first = sorted(members, key=lambda member: not member.pin)  # pinned ones are always shown
    return {
        "percent": percent, "share_percent": None if share is None else 100 * share,
        "members": [_member(member, may_pin_in) for member in first[:SHOWN_CONSUMERS]],
        "members_total": len(members),
        "enforced_total": sum(member.enforced for member in members),
        "refused": [_refused(one, places.get(one.consumer), found) for one in refused[:SHOWN_CONSUMERS]],
        "refused_total": len(refused), "refused_times": sum(one.times for one in refused),
    }  # fmt: skip


def _member(member: canary.Member, may_pin_in: bool) -> dict[str, Any]:
    where = rollout_actions.address("pin")
    places = ("in", "out", "free") if may_pin_in else ("out", "free")
    name = member.consumer
    urls = {one: f"{where}?{urlencode({'consumer': name, 'place': one})}" for one in places}
    return {"member": member, "percent": 100 * member.share, "urls": urls}


def _refused(one: Refused, member: canary.Member | None, found: Outlook) -> dict[str, Any]:
    values = [{"shown": _shown(value), "value": value} for value in one.values[:SHOWN_VALUES]]
    pin = member.pin if member else canary.pins().get(one.consumer, "")
    enforced = canary.is_member(one.consumer, found.state.percent, pin or None)
    today = found.state.mode if found.state.mode != "enforce" or enforced else "warn"
    return {
        "consumer": one.consumer, "times": one.times, "values": values, "more": len(one.values) - len(values),
        "today": today, "spared": pin == "out",
    }  # fmt: skip


def _shown(value: SentValue) -> str:
    return visible_example(value.examples[0]) if value.examples else visible(value.value)


site.pages.append(
    OwnPage("stageapp/rollout/", "stageapp_rollout", rollout_view, "Rollout", "Rollout", "view_modechange")
)
site.pages.extend(
    OwnPage(f"stageapp/rollout/{name.replace('_', '-')}/", f"stageapp_rollout_{name}", partial(action_view, name=name))
    for name in ACTIONS
)
