"""What the confirm pages of the rollout say before anybody confirms: what is, and what would be."""

from django.http import HttpRequest
from django.utils import timezone

from stageapp import conf, mode_history, thresholds
from stageapp.consumer_audit.callers import DAYS
from stageapp.consumer_audit.refused import refused_if_enforced
from stageapp.gates.canary import CANARY_PERCENT
from stageapp.modes import ModeState
from stageapp.people import person_of
from stageapp.rollout import canary, steps

NAMED = 10  # consumers named in a sentence


def share_of(state: ModeState) -> int:
    """Return the share that places consumers: the one in force, or that of a canary to come."""
    return state.percent if state.mode == "enforce" else CANARY_PERCENT


def pin(request: HttpRequest, state: ModeState) -> str:
    """Say what the places mean; of the consumer that is asked for, where it stands and what it sent."""
    rule = (
        "Pinned in, a consumer meets enforce as soon as it holds for anybody; pinned out, it meets warn, even at 100 %."
    )
    if not canary.may_pin_in(person_of(request.user)):
        lacking = "pinning in takes the permission override_gate, which you lack."
        rule = f"{rule} With the two-person rule, {lacking}"
    name, percent = request.GET.get("consumer", ""), share_of(state)
    if not name or not request.user.has_perm("stageapp.view_consumersighting"):
        return rule
    member = next((one for one in canary.members(percent) if one.consumer == name), None)
    if member is None:
        return f"“{name}” has no token and sent nothing yesterday. {rule}"
    meets = "enforce" if member.enforced else "warn"
    held = f"pinned {member.pin}" if member.pin else f"in bucket {member.bucket} of 0 to 99, not pinned"
    return (
        f"“{name}” is {held}: while enforce holds for {percent} %, it meets {meets}. Yesterday it sent "
        f"{member.values:,} stages, {member.unknown:,} of them unknown. {rule}"
    )


def plan_steps(request: HttpRequest, state: ModeState) -> str:
    """Say when steps are taken, and by whom."""
    second = " They wait for another person's approval first." if conf.two_person_rule() else ""
    before = " The steps that are planned now are cancelled." if steps.to_come() else ""
    return (
        f"Enforce holds for {state.percent} %. Beat takes each step by itself, once its dwell is over and while its "
        f"gates pass; any other change of the mode cancels the steps.{second}{before}"
    )


def approve_steps(request: HttpRequest, state: ModeState) -> str:
    """Say what is approved."""
    return f"Beat takes each of these once its gates pass: {_steps()}"


def cancel_steps(request: HttpRequest, state: ModeState) -> str:
    """Say what is cancelled."""
    return f"The mode stays as it is. Cancelled is: {_steps()}"


def _steps() -> str:
    return "; ".join(f"enforce {step.percent} %, planned by {step.actor}: {step.reason}" for step in steps.to_come())


def audited(request: HttpRequest, state: ModeState) -> str:
    """Say what one puts one's name to; names consumers to those alone who may see what they send."""
    valid = f"The gate consumers_audited passes with it for {thresholds.gates().audit_days:g} days."
    begin = "You put your name to having looked at who still sends what; say what you found."
    if not request.user.has_perm("stageapp.view_consumersighting"):
        return f"{begin} {valid}"
    found = refused_if_enforced()
    names = ", ".join(f"“{one.consumer}” ({one.times:,} times)" for one in found[:NAMED]) or "nobody"
    more = f" and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    return f"{begin} In the last {DAYS} days, what enforce would refuse was sent by {names}{more}. {valid}"


def warn_period(request: HttpRequest, state: ModeState) -> str:
    """Say what begins anew."""
    history, wanted = mode_history.read(), thresholds.gates()
    days = history.time_in_warn(timezone.now()).days
    return (
        f"This warn period has lasted {days} of at most {wanted.warn_max_days} days. In a new one the days count from "
        f"now, and {wanted.warn_days} whole days (UTC) of it have to be good before warn may end."
    )
