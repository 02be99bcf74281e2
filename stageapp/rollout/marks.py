"""What a person states for the gates: a new warn period, and an audit of the consumers."""

from stageapp import modes
from stageapp.models.rollout import ConsumerAudit, WarnPeriod
from stageapp.modes import ModeError
from stageapp.people import Person


def begin_warn_period(person: Person, reason: str) -> WarnPeriod:
    """Begin a new warn period: its days, and the evidence for leaving it, count from now.

    Raises:
        ModeError: the mode is not `warn`, or the reason is empty.
    """
    newest = modes.latest()
    if newest.mode != "warn" or newest.version == 0:
        raise ModeError("A warn period begins in warn. Set warn first, with a reason: that begins one.")
    return WarnPeriod.objects.create(actor=person.name, reason=_stated(reason))


def record_audit(person: Person, reason: str) -> ConsumerAudit:
    """Record that a person has looked at who still sends what; `reason` says what they found.

    Raises:
        ModeError: the reason is empty.
    """
    return ConsumerAudit.objects.create(actor=person.name, reason=_stated(reason))


def _stated(reason: str) -> str:
    if not reason.strip():
        raise ModeError("A reason is needed: say what you found, for whoever reads the history.")
    return reason.strip()
