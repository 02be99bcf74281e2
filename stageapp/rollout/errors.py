"""Errors that reject a change of mode; every text says what to do."""

from collections.abc import Sequence

from stageapp.mode.store import ModeError
from stageapp.rollout.gates.verdicts import Gate


class GatesHold(ModeError):
    """Required gates do not pass."""

    def __init__(self, gates: Sequence[Gate]) -> None:
        super().__init__(
            f"Held back by {'; '.join(str(gate) for gate in gates)}. Wait until they pass, or "
            "give a reason for moving past them (with the permission override_gate); it is kept "
            "in the history."
        )
        self.gates = tuple(gates)


class Latched(ModeError):
    """The mode was downgraded automatically, and the caller may not raise it again."""

    def __init__(self) -> None:
        super().__init__(
            "The mode was taken back automatically. Find out why; then somebody with the "
            "permission rearm raises it."
        )


class OverrideNotPermitted(ModeError):
    """The caller may not override gates."""

    def __init__(self) -> None:
        super().__init__(
            "Moving past a gate takes the permission override_gate. Ask somebody who has it."
        )


class SecondPersonNeeded(ModeError):
    """The two-person rule is on, and nobody else has approved."""

    def __init__(self, what: str = "Propose it, and let somebody else approve it") -> None:
        super().__init__(
            f"The two-person rule is on. {what}; in an emergency break the glass, with a reason "
            "and the permission override_gate."
        )
