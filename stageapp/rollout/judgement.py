"""Whether a change of mode may happen, why not, and what callers would see of it."""

import datetime
from dataclasses import dataclass

from django.utils.http import http_date

from stageapp import conf
from stageapp.mode import history
from stageapp.mode.store import ModeError, ModeState, first_moment
from stageapp.people import Person
from stageapp.rollout import moves
from stageapp.rollout.errors import GatesHold, Latched, OverrideNotPermitted, SecondPersonNeeded
from stageapp.rollout.gates.judging import judge_now
from stageapp.rollout.gates.verdicts import Gate
from stageapp.traffic import windows


@dataclass(frozen=True)
class Judgement:
    """Whether a person may change the mode, and what stands in the way.

    The one rule for preview, change and approval. Lowering the mode is never held back.
    """

    raising: bool
    gates: tuple[Gate, ...]
    latched: bool
    second_person: bool
    may_override_gates: bool

    @property
    def holding(self) -> tuple[Gate, ...]:
        """The gates that do not pass."""
        return tuple(gate for gate in self.gates if not gate.passes)

    @property
    def may_override(self) -> bool:
        """Whether a gate is closed that this person may override, or may propose to override."""
        return bool(self.holding) and (self.may_override_gates or self.second_person)

    @property
    def may_break_glass(self) -> bool:
        """Whether a second person is needed, and this one may do without."""
        return self.second_person and self.may_override_gates

    @property
    def possible(self) -> bool:
        """Whether the person can make or propose the change.

        A proposal meets latch and gates when it is approved, with the approver's permissions.
        """
        may_make = not self.latched and (not self.holding or self.may_override_gates)
        return self.second_person or may_make

    def refusal(
        self, *, override: str = "", break_glass: str = "", approved: bool = False
    ) -> ModeError | None:
        """Return why the change is refused with these reasons given, or None.

        The second person comes first: latch and gates ask for the approver's permissions.
        """
        if self.second_person and not (approved or break_glass):
            return SecondPersonNeeded()
        if self.latched:
            return Latched()
        if self.raising and break_glass and not self.may_override_gates:
            return OverrideNotPermitted()
        if not self.holding:
            return None
        if not override:
            return GatesHold(list(self.holding))
        return None if self.may_override_gates else OverrideNotPermitted()


def judge_change(
    person: Person, now: ModeState, then: ModeState, at: datetime.datetime | None = None
) -> Judgement:
    """Return whether this person may change the mode from `now` to `then`; nothing changes."""
    raising = then.strictness > now.strictness
    names = moves.needed(now, then)
    gates = judge_now(at or windows.now()) if names else {}
    return Judgement(
        raising=raising,
        gates=tuple(gates[name] for name in names),
        latched=raising and history.read().latched and "rearm" not in person.may,
        second_person=raising and then.mode == "enforce" and conf.settings.two_person_rule,
        may_override_gates="override_gate" in person.may,
    )


def consequences(now: ModeState, then: ModeState) -> tuple[str, ...]:
    """Return, in sentences, what becomes of the announced day and what callers will see of it."""
    return (_of_the_day(now, then), *_of_callers(then))


def _of_the_day(now: ModeState, then: ModeState) -> str:
    before, after = now.enforce_on, then.enforce_on
    if after is None:
        return f"The announced day, {before}, is withdrawn." if before else "No day is announced."
    if after != before:
        moved = f" The day announced before, {before}, no longer applies." if before else ""
        return f"{after} is announced as the first day of enforcement.{moved}"
    if then.day_to_come is None:
        advice = "announce another day or withdraw it"
        return f"The announced day, {after}, stays but has passed: {advice}."
    return f"The announced day, {after}, stays."


def _of_callers(then: ModeState) -> tuple[str, ...]:
    day = then.day_to_come
    if then.mode == "off":
        where = f" GET /api/deprecations still names {day}." if day else ""
        return (f"Responses tell callers nothing.{where}",)
    warned = "are warned; responses carry no Sunset, and GET /api/deprecations gives no day."
    if day:
        sunset = f"Sunset: {http_date(first_moment(day).timestamp())}"
        warned = (
            f"are warned; where enforce would refuse, responses carry {sunset}, and GET "
            f"/api/deprecations gives {day} as until."
        )
    refused = "are refused unknown stages now; they are given no day, because theirs has come."
    if then.mode == "warn":
        return (f"All callers {warned}",)
    if then.percent == 100:
        return (f"All callers {refused}",)
    return (f"Callers in the share of {then.percent} % {refused}", f"The others {warned}")
