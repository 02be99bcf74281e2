"""Errors that reject a change of mode; every text says what to do."""

from collections.abc import Sequence

from stageapp.mode.store import ModeError
from stageapp.rollout.gates.verdicts import Gate


class GatesHold(ModeError):
    """Required gates do not pass."""

    def __init__(self, gates: Sequence[Gate]) -> None:
        super().__init__(
            f"Blocked by {'; '.join(str(gate) for gate in gates)}. Wait until they "
            "pass, or give a reason for moving past them (requires the permission "
            "override_gate); it is kept in the history."
        )
        self.gates = tuple(gates)


class Latched(ModeError):
    """The mode was downgraded automatically, and the caller may not raise it again."""

    def __init__(self) -> None:
        super().__init__(
            "The mode was lowered automatically. Find out why; then someone with the "
            "permission rearm can raise it."
        )


class OverrideNotPermitted(ModeError):
    """The caller may not override gates."""

    def __init__(self) -> None:
        super().__init__(
            "Moving past a gate requires the permission override_gate. Ask someone who has it."
        )


class SecondPersonNeeded(ModeError):
    """The two-person rule is on, and nobody else has approved."""

    def __init__(self, what: str = "Propose it, and let another person approve it") -> None:
        super().__init__(
            f"The two-person rule is on. {what}; in an emergency break the glass, with a reason "
            "and the permission override_gate."
        )
