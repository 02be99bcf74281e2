"""The moves between modes, with the requirements of each; moving back is always allowed at once."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from stageapp.mode.store import ModeState
from stageapp.rollout.gates.canary import CANARY_PERCENT, HALF_PERCENT
from stageapp.rollout.gates.verdicts import Gate


class Phase(enum.IntEnum):
    """The phases of a rollout, in order."""

    OFF = 0
    WARN = 1
    CANARY = 2
    HALF = 3
    FULL = 4

    @property
    def label(self) -> str:
        """The name to display."""
        return _LABELS[self]


_LABELS = {
    Phase.OFF: "off",
    Phase.WARN: "warn",
    Phase.CANARY: f"enforce up to {CANARY_PERCENT} %",
    Phase.HALF: f"enforce up to {HALF_PERCENT} %",
    Phase.FULL: f"enforce above {HALF_PERCENT} %",
}


@dataclass(frozen=True)
class Arrow:
    """How a phase is entered: why and past which gates from below, and why from above."""

    mode: str
    percent: int
    forward: str
    gates: tuple[str, ...]
    back: str


ARROWS: dict[Phase, Arrow] = {
    Phase.OFF: Arrow(
        "off",
        100,
        "",
        (),
        "stop telling callers anything: the answers themselves are in doubt",
    ),
    Phase.WARN: Arrow(
        "warn",
        100,
        "callers are told what enforcement would refuse; nothing is refused, so no gate "
        "has to pass",
        (),
        "stop refusing: too much is refused, or something failed",
    ),
    Phase.CANARY: Arrow(
        "enforce",
        CANARY_PERCENT,
        "callers have had time to change, the stored rows are normalized, and someone "
        "knows who still sends what",
        ("run_complete", "consumers_audited", "warn_exit"),
        "refuse fewer callers while something is investigated",
    ),
    Phase.HALF: Arrow(
        "enforce",
        HALF_PERCENT,
        "the canary has run long enough, and recently everything was green",
        ("canary_10",),
        "refuse fewer callers while something is investigated",
    ),
    Phase.FULL: Arrow(
        "enforce",
        100,
        "half of the callers have had enforce long enough, and recently everything was green",
        ("canary_50",),
        "",
    ),
}

# These hold back no change of mode: the first two are for a run, the last says that the rollout has
# ended.
FOR_A_RUN = ("verified_backup", "rehearsal")
FOR_THE_END = ("done",)


def phase_of(mode: str, percent: int) -> Phase:
    """Return the phase of a mode and its enforce percentage."""
    if mode != "enforce":
        return Phase[mode.upper()]
    if percent <= CANARY_PERCENT:
        return Phase.CANARY
    return Phase.HALF if percent <= HALF_PERCENT else Phase.FULL


def needed(now: ModeState, then: ModeState) -> tuple[str, ...]:
    """Return the gates for a change: none to move back, else those of every phase entered.

    A larger share within one phase requires that phase's gates again.
    """
    if then.strictness <= now.strictness:
        return ()
    first, last = phase_of(now.mode, now.percent), phase_of(then.mode, then.percent)
    entered = [phase for phase in Phase if first < phase <= last] or [last]
    return tuple(name for phase in entered for name in ARROWS[phase].gates)


@dataclass(frozen=True)
class NextStep:
    """The next step of a rollout and its gates, as judged now."""

    text: str
    gates: tuple[Gate, ...]
    mode: str = ""  # empty where the next step is no change of mode
    percent: int = 100

    @property
    def holding(self) -> tuple[Gate, ...]:
        """The gates that do not pass."""
        return tuple(gate for gate in self.gates if not gate.passes)


def next_step(now: ModeState, gates: Mapping[str, Gate]) -> NextStep | None:
    """Return the next step, or None when the rollout is done."""
    phase = phase_of(now.mode, now.percent)
    if phase == Phase.FULL and now.percent == 100:
        end = NextStep(
            "keep it enforced until the rollout is done",
            tuple(gates[name] for name in FOR_THE_END),
        )
        return end if end.holding else None
    target = phase if phase == Phase.FULL else Phase(phase + 1)
    arrow = ARROWS[target]
    share = f" at {arrow.percent} %" if arrow.mode == "enforce" else ""
    return NextStep(
        f"{arrow.mode}{share}",
        tuple(gates[name] for name in arrow.gates),
        arrow.mode,
        arrow.percent,
    )
