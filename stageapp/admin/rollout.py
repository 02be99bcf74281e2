"""The rollout page: current state, what holds it back, affected consumers, and actions."""

import datetime
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from stageapp import conf
from stageapp.admin.charts import Sparkline, sparkline
from stageapp.admin.home import preview_url
from stageapp.admin.mode import MEANINGS
from stageapp.admin.rollout_actions import ACTIONS, action_view, address, rollout_buttons, share_of
from stageapp.admin.screens import page, require
from stageapp.admin.site import OwnPage, site
from stageapp.conf import GateThresholds
from stageapp.consumers.audit.callers import DAYS, Refused, refused_if_enforced
from stageapp.mode.store import ModeState
from stageapp.models.mode import ModeChange
from stageapp.people import person_of
from stageapp.rollout import canary, proposals, steps, timeline
from stageapp.rollout.gates.canary import CANARY_PERCENT, HALF_PERCENT
from stageapp.rollout.gates.measures import Measurements
from stageapp.rollout.gates.verdicts import Condition, Gate
from stageapp.rollout.judgement import judge_change
from stageapp.rollout.moves import ARROWS, Phase
from stageapp.rollout.outlook import Outlook, outlook
from stageapp.traffic import windows
from stageapp.traffic.history import Slot, Step
from stageapp.unknowns.examples import visible, visible_example

# The sparklines beside the gates: the measurements from which a condition took its value, in their
# order.

Rate = Callable[[Slot], tuple[int, int]]
Draw = Callable[[Measurements, GateThresholds], Sparkline]
_RATES: dict[str, Rate] = {
    "unknown": lambda slot: (slot.unknown, slot.judged),
    "errors": lambda slot: (slot.errors, slot.requests),
    "slow": lambda slot: (slot.slow, slot.judged),
}


def conditions(gate: Gate, measured: Measurements) -> Iterator[tuple[Condition, Sparkline | None]]:
    """Yield a gate's conditions, each with its series if there is one."""
    series = SERIES.get(gate.name, {})
    for condition in gate.conditions:
        draw = series.get(condition.name)
        yield condition, draw(measured, conf.gates()) if draw else None


def _by_day(measured: Measurements, wanted: GateThresholds) -> Sparkline:
    days = _warned(measured.days, measured, wanted.day_sample)
    values = _percents(days, measured.last_days(wanted.warn_days), _RATES["unknown"])
    return sparkline("Unknown by day, %", values, wanted.unknown_percent)


def _requests_by_day(measured: Measurements, wanted: GateThresholds) -> Sparkline:
    values = _counts(_warned(measured.days, measured, 0), measured.last_days(wanted.warn_days))
    return sparkline("Requests by day", values, wanted.day_sample, least=True)


def _by_hour(measured: Measurements, wanted: GateThresholds) -> Sparkline:
    first, hour = measured.last_days(wanted.warn_days)[0], Step.HOUR.length
    starts = [first + hour * place for place in range(int((measured.now - first) / hour) + 1)]
    values = _percents(
        _warned(measured.hours, measured, wanted.hour_sample), starts, _RATES["unknown"]
    )
    return sparkline("Unknown by hour, %", values, wanted.hour_unknown_percent)


def _warned(slots: Sequence[Slot], measured: Measurements, sample: int) -> list[Slot]:
    """Return the slots the warn exit gate counts: in this warn period, with enough requests."""
    began = measured.mode.warn_period()
    return [
        slot
        for slot in slots
        if began is not None and slot.started_at >= began and slot.judged >= sample
    ]


def _canary(rung: int) -> dict[str, Draw]:
    """Return a canary gate's series: enforced requests by whole minute since its share began."""

    def enforced(measured: Measurements, sample: int) -> list[Slot]:
        since = measured.mode.enforced_since(rung)
        return [
            slot
            for slot in measured.minutes
            if since and slot.started_at >= since and slot.judged >= sample
        ]

    def requests(measured: Measurements, wanted: GateThresholds) -> Sparkline:
        values = _counts(enforced(measured, 0), measured.last_minutes(wanted.green_minutes))
        return sparkline("Enforced requests by minute", values, wanted.minute_sample, least=True)

    def by_minute(rate: str, measured: Measurements, wanted: GateThresholds) -> Sparkline:
        slots = enforced(measured, wanted.minute_sample)
        limits = {
            "unknown": wanted.unknown_percent,
            "errors": wanted.error_percent,
            "slow": wanted.slow_percent,
        }
        values = _percents(slots, measured.last_minutes(wanted.green_minutes), _RATES[rate])
        return sparkline(f"{rate.capitalize()} by minute, %", values, limits[rate])

    return {"minutes": requests, **{rate: partial(by_minute, rate) for rate in _RATES}}


def _counts(slots: Sequence[Slot], starts: Sequence[datetime.datetime]) -> list[float | None]:
    judged = {slot.started_at: float(slot.judged) for slot in slots}
    return [judged.get(start) for start in starts]


def _percents(
    slots: Sequence[Slot], starts: Sequence[datetime.datetime], rate: Rate
) -> list[float | None]:
    held = {slot.started_at: rate(slot) for slot in slots}
    pairs = [held.get(start, (0, 0)) for start in starts]
    return [100 * part / whole if whole else None for part, whole in pairs]


SERIES: dict[str, dict[str, Draw]] = {
    "warn_exit": {"unknown_by_day": _by_day, "days": _requests_by_day, "unknown_by_hour": _by_hour},
    "canary_10": _canary(CANARY_PERCENT),
    "canary_50": _canary(HALF_PERCENT),
}


SHOWN_CONSUMERS, SHOWN_VALUES, SHOWN_PAST, SHOWN_PEOPLE = 20, 5, 15, 10
_PAST = (
    "modechange",
    "warnperiod",
    "consumeraudit",
    "consumerpin",
    "plannedstep",
    "modeproposal",
)
_BACKEND = "django.contrib.auth.backends.ModelBackend"


@require_GET
def rollout_view(request: HttpRequest) -> HttpResponse:
    require(request, "view_modechange")
    now = windows.now()
    ahead = outlook(now)
    needed = {gate.name for gate in ahead.step.gates} if ahead.step else set()
    gates = [
        {
            "gate": gate,
            "needed": gate.name in needed,
            "conditions": list(conditions(gate, ahead.measured)),
        }
        for gate in ahead.gates.values()
    ]
    context = {
        "title": "Rollout",
        "found": ahead,
        "state": ahead.state,
        "meaning": MEANINGS[ahead.state.mode],
        "now": now,
        "change": ModeChange.objects.first(),
        "phases": [
            {"label": phase.label, "reached": phase <= ahead.phase, "now": phase == ahead.phase}
            for phase in Phase
        ],
        "gates": sorted(gates, key=lambda one: not one["needed"]),
        "moves": _moves(request, ahead),
        "actions": rollout_buttons(request, ahead.state),
        "latch": _latch(ahead),
        "past": timeline.entries(
            SHOWN_PAST, {name for name in _PAST if request.user.has_perm(f"stageapp.view_{name}")}
        ),
        **_people(request, ahead),
    }
    return page(request, "rollout.html", **context)


def _latch(ahead: Outlook) -> dict[str, Any] | None:
    """Return the latched downgrade and who may raise the mode, which takes two permissions."""
    if not ahead.latched:
        return None
    may_change = User.objects.with_perm("stageapp.change_mode", backend=_BACKEND)
    may_rearm = User.objects.with_perm("stageapp.rearm", backend=_BACKEND)
    people = may_rearm.filter(is_staff=True, pk__in=may_change.values("pk")).order_by("username")
    names = [user.get_username() for user in people[:SHOWN_PEOPLE]]
    return {
        "change": ModeChange.objects.filter(kind="downgrade").first(),
        "people": names,
        "count": people.count(),
        "second_person": conf.settings.two_person_rule,
    }


def _moves(request: HttpRequest, ahead: Outlook) -> dict[str, Any]:
    """Return the mode changes open to this user: the step forward, and every way back."""
    if not request.user.has_perm("stageapp.change_mode"):
        return {}
    forward, back, step = None, [], ahead.step
    if step is not None and step.mode:
        then = ModeState(step.mode, step.percent)
        forward = {
            "text": step.text,
            "url": preview_url(step.mode, step.percent),
            "ahead": judge_change(person_of(request.user), ahead.state, then),
        }
    for phase in reversed(range(ahead.phase)):
        arrow = ARROWS[Phase(phase)]
        label = f"enforce {arrow.percent} %" if arrow.mode == "enforce" else arrow.mode
        url = preview_url(arrow.mode, arrow.percent)
        back.append({"label": label, "why": arrow.back, "url": url})
    return {"forward": forward, "back": back}


def _people(request: HttpRequest, ahead: Outlook) -> dict[str, Any]:
    """Return the affected consumers, as far as this user may see them."""
    shown: dict[str, Any] = {"days": DAYS}
    if request.user.has_perm("stageapp.view_plannedstep"):
        shown["planned"] = steps.to_come()
    if request.user.has_perm("stageapp.view_modeproposal"):
        shown["waiting"] = proposals.waiting()
    if not request.user.has_perm("stageapp.view_consumersighting"):
        return shown
    may_pin_in = canary.may_pin_in(person_of(request.user))
    pin, places = address("pin"), ("in", "out", "free") if may_pin_in else ("out", "free")
    percent = share_of(ahead.state)
    members, refused = canary.members(percent), refused_if_enforced()
    share = canary.canary_share(members)
    known = {member.consumer: member for member in members}
    first = sorted(members, key=lambda member: not member.pin)  # pinned ones are always shown
    return {
        **shown,
        "percent": percent,
        "share_percent": None if share is None else 100 * share,
        "members": [
            {
                "member": member,
                "percent": 100 * member.share,
                "urls": {
                    place: f"{pin}?{urlencode({'consumer': member.consumer, 'place': place})}"
                    for place in places
                },
            }
            for member in first[:SHOWN_CONSUMERS]
        ],
        "members_total": len(members),
        "enforced_total": sum(member.enforced for member in members),
        "refused": [
            _refused(one, known.get(one.consumer), ahead) for one in refused[:SHOWN_CONSUMERS]
        ],
        "refused_total": len(refused),
        "refused_times": sum(one.times for one in refused),
    }


def _refused(one: Refused, member: canary.Member | None, ahead: Outlook) -> dict[str, Any]:
    values = [
        {
            "shown": visible_example(value.examples[0]) if value.examples else visible(value.value),
            "value": value,
        }
        for value in one.values[:SHOWN_VALUES]
    ]
    pin = member.pin if member else canary.pins().get(one.consumer, "")
    enforced = canary.is_member(one.consumer, ahead.state.percent, pin or None)
    today = ahead.state.mode if ahead.state.mode != "enforce" or enforced else "warn"
    return {
        "consumer": one.consumer,
        "times": one.times,
        "values": values,
        "more": len(one.values) - len(values),
        "today": today,
        "spared": pin == "out",
    }


site.pages.append(
    OwnPage(
        "stageapp/rollout/",
        "stageapp_rollout",
        rollout_view,
        "Rollout",
        "Rollout",
        "view_modechange",
    )
)
site.pages.extend(
    OwnPage(
        f"stageapp/rollout/{name.replace('_', '-')}/",
        f"stageapp_rollout_{name}",
        partial(action_view, name=name),
    )
    for name in ACTIONS
)
