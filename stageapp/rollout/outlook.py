"""Where the rollout stands: the phase, every gate, and what comes next; for command and admin
alike.
"""

import datetime
from dataclasses import dataclass

from stageapp import conf
from stageapp.mode import store
from stageapp.mode.store import ModeState
from stageapp.rollout.gates import reading
from stageapp.rollout.gates.judging import judge
from stageapp.rollout.gates.measures import Measurements
from stageapp.rollout.gates.verdicts import Gate
from stageapp.rollout.moves import NextStep, Phase, next_step, phase_of
from stageapp.traffic import windows


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
    measured = reading.read(now or windows.now())
    gates = judge(measured, conf.gates())
    state = store.latest()
    return Outlook(state, measured, gates, next_step(state, gates))
