"""What stands before a change of mode, before anybody confirms it."""

import datetime
from dataclasses import dataclass

from stageapp import conf, mode_history, traffic
from stageapp.gates.judging import judge_now
from stageapp.gates.verdicts import Gate
from stageapp.modes import ModeState
from stageapp.people import Person
from stageapp.rollout import moves


@dataclass(frozen=True)
class Outcome:
    """The gates that a change needs, and what would hold this person back."""

    gates: tuple[Gate, ...]
    latched: bool
    second_person: bool
    may_override_gates: bool

    @property
    def holding(self) -> tuple[Gate, ...]:
        """Return the gates that do not pass."""
        return tuple(gate for gate in self.gates if not gate.passes)

    @property
    def may_override(self) -> bool:
        """Tell whether there is something to go past, and the person may."""
        return bool(self.holding) and self.may_override_gates

    @property
    def may_break_glass(self) -> bool:
        """Tell whether a second person is needed, and this one may do without."""
        return self.second_person and self.may_override_gates

    @property
    def possible(self) -> bool:
        """Tell whether the person can make or propose the change."""
        return not self.latched and (not self.holding or self.may_override_gates)


def look_ahead(person: Person, now: ModeState, then: ModeState, at: datetime.datetime | None = None) -> Outcome:
    """Return what the change from one mode to another would meet; nothing changes."""
    raising = then.strictness > now.strictness
    names = moves.needed(now, then)
    gates = judge_now(at or traffic.now()) if names else {}
    return Outcome(
        gates=tuple(gates[name] for name in names),
        latched=raising and not moves.may_raise(mode_history.read(), person.may),
        second_person=raising and then.mode == "enforce" and conf.two_person_rule(),
        may_override_gates="override_gate" in person.may,
    )
