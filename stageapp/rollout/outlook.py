"""Where the rollout stands: the phase, every gate, and what comes next; for command and admin alike."""

import datetime
from dataclasses import dataclass

from stageapp import modes, thresholds, traffic
from stageapp.gates import reading
from stageapp.gates.judging import judge
from stageapp.gates.measurements import Measurements
from stageapp.gates.verdicts import Gate
from stageapp.modes import ModeState
from stageapp.rollout.moves import NextStep, Phase, next_step, phase_of


@dataclass(frozen=True)
class Outlook:
    """The rollout at one moment."""

    state: ModeState
    measured: Measurements
    gates: dict[str, Gate]
    step: NextStep | None

    @property
    def phase(self) -> Phase:
        """Return the phase that the mode is in."""
        return phase_of(self.state.mode, self.state.percent)

    @property
    def latched(self) -> bool:
        """Tell whether an automatic downgrade stands."""
        return self.measured.mode.latched

    @property
    def since(self) -> datetime.datetime | None:
        """Return since when mode and percentage are what they are."""
        return self.measured.mode.phase_since()


def outlook(now: datetime.datetime | None = None) -> Outlook:
    """Return where the rollout stands.

    Raises:
        django.db.DatabaseError: PostgreSQL does not answer.
    """
    measured = reading.read(now or traffic.now())
    gates = judge(measured, thresholds.gates())
    state = modes.latest()
    return Outlook(state, measured, gates, next_step(state, gates))
