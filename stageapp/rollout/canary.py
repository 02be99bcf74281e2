"""The canary: which consumers get `enforce` while it applies to a share of them only.

A request reads a variable; the refresher updates the pins in it.
"""

import datetime
import hashlib
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from stageapp import conf
from stageapp.infrastructure import events
from stageapp.infrastructure.refresher import refresher
from stageapp.mode import fast_copy
from stageapp.mode.store import ModeError, ModeState
from stageapp.models.consumers import Consumer, ConsumerSighting
from stageapp.models.recorded import require_reason
from stageapp.models.rollout import ConsumerPin
from stageapp.people import Person
from stageapp.rollout.errors import OverrideNotPermitted

BUCKETS = 100
_PLACES = [place for place, _ in ConsumerPin.PLACES]


class _Local:
    """The pins as this process knows them; None before the first read."""

    pins: dict[str, str] | None = None


def bucket(consumer: str) -> int:
    """Return the consumer's bucket, 0 to 99: the same in every process, permanently.

    A percentage takes the buckets below it, so a consumer that is in at 10 % is also in at 50 %.
    """
    digest = hashlib.sha256(b"stage-canary:" + consumer.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def effective_mode(state: ModeState, consumer: str) -> str:
    """Return the consumer's mode: outside the enforced share, `enforce` becomes `warn`. No I/O.

    Until the pins have been read nobody is in the share, because it is unknown who is pinned out.
    """
    if state.mode != "enforce":
        return state.mode
    pins = _Local.pins
    return (
        "enforce"
        if pins is not None and is_member(consumer, state.percent, pins.get(consumer))
        else "warn"
    )


def is_member(consumer: str, percent: int, pin: str | None) -> bool:
    """Whether a consumer is in the enforced share: by its pin, or else by its bucket."""
    return pin == "in" if pin else bucket(consumer) < percent


@refresher.register_first
def refresh() -> None:
    """Reload the pins, before the mode, so that no process enforces without the exclusions.

    Raises:
        django.db.Error: PostgreSQL does not answer; the pins known so far stay in effect.
    """
    _Local.pins = pins()


def forget() -> None:
    """Clear this process's pins; for tests."""
    _Local.pins = None


def pins() -> dict[str, str]:
    """Read each pinned consumer's place, `in` or `out`, from PostgreSQL."""
    newest = (
        ConsumerPin.objects.order_by("consumer", "-id")
        .distinct("consumer")
        .values_list("consumer", "place")
    )
    return {consumer: place for consumer, place in newest if place != "free"}


def pin(consumer: str, place: str, *, person: Person, reason: str) -> ConsumerPin:
    """Pin a consumer into the canary (`in`) or out (`out`), or let its bucket decide (`free`).

    Under the two-person rule nobody enforces alone, not even one consumer at a time: `in` requires
    the same permission as breaking the glass.

    Raises:
        OverrideNotPermitted: the two-person rule is on, and the actor may not pin consumers in.
        ModeError: there is no such place, or the consumer or the reason is empty.
    """
    if place not in _PLACES:
        raise ModeError(f"{place!r} is not a valid pin. Use in, out or free.")
    if not consumer.strip():
        raise ModeError("A pin needs a consumer: say whom.")
    why = require_reason(reason, ModeError)
    if place == "in" and not may_pin_in(person):
        raise OverrideNotPermitted
    with transaction.atomic():
        made = ConsumerPin.objects.create(
            consumer=consumer, place=place, actor=person.name, reason=why
        )

        def announce() -> None:
            events.consumer_pinned(consumer=consumer, place=place, actor=person.name, reason=why)
            refresh()
            fast_copy.hint()

        transaction.on_commit(announce)
    return made


def may_pin_in(person: Person) -> bool:
    """Whether someone may pin consumers in; the two-person rule requires `override_gate`."""
    return not conf.settings.two_person_rule or "override_gate" in person.may


@dataclass(frozen=True)
class Member:
    """A consumer, its place, and its traffic of one day: values sent and their share of all."""

    consumer: str
    bucket: int
    pin: str
    enforced: bool
    values: int
    share: float
    unknown: int


def members(percent: int, day: datetime.date | None = None) -> list[Member]:
    """Return every active or seen consumer, busiest first, placed as for `percent`.

    `day` (UTC) defaults to yesterday. Sessions that called are listed along with the consumers
    that have a token.
    """
    sent = _sent(day or timezone.now().date() - datetime.timedelta(days=1))
    everybody = (
        set(Consumer.objects.filter(revoked_at=None).values_list("name", flat=True)) | sent.keys()
    )
    total = sum(values for values, _ in sent.values())
    held = pins()
    members = [
        Member(
            name,
            bucket(name),
            held.get(name, ""),
            is_member(name, percent, held.get(name)),
            values := sent.get(name, (0, 0))[0],
            values / total if total else 0.0,
            sent.get(name, (0, 0))[1],
        )
        for name in everybody
    ]
    return sorted(members, key=lambda member: (-member.values, member.consumer))


def _sent(day: datetime.date) -> dict[str, tuple[int, int]]:
    """Return consumer → (values, unknown values) for one day."""
    sent: dict[str, tuple[int, int]] = {}
    rows = (
        ConsumerSighting.objects.filter(day=day)
        .values_list("consumer", "outcome")
        .annotate(total=Sum("count"))
    )
    for consumer, outcome, total in rows:
        values, unknown = sent.get(consumer, (0, 0))
        sent[consumer] = (values + total, unknown + (total if outcome == "unknown" else 0))
    return sent


def canary_share(members: list[Member]) -> float | None:
    """Return the enforced consumers' share of the day's values; None if there were none."""
    if not any(member.values for member in members):
        return None
    return sum(member.share for member in members if member.enforced)
