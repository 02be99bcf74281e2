"""The rollout's current phase, gates and next step, for the command and the admin."""

import datetime
from dataclasses import dataclass

from stageapp import conf
from stageapp.mode import store
from stageapp.mode.store import ModeState
from stageapp.rollout.gates import judging
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
        return phase_of(self.state.mode, self.state.percent)

    @property
    def latched(self) -> bool:
        """Whether an automatic downgrade is in effect."""
        return self.measured.mode.latched

    @property
    def since(self) -> datetime.datetime | None:
        """When mode and percentage last changed."""
        return self.measured.mode.phase_since()


def outlook(now: datetime.datetime | None = None) -> Outlook:
    """Return the current state of the rollout.

    Raises:
        django.db.DatabaseError: PostgreSQL does not answer.
    """
    measured = judging.read(now or windows.now())
    gates = judge(measured, conf.gates())
    state = store.latest()
    return Outlook(state, measured, gates, next_step(state, gates))
