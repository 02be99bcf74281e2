"""The table of moves: every phase has its arrow, going back asks nothing, a jump asks for all it
passes.
"""

import itertools

import pytest

from stageapp.conf import gates
from stageapp.mode.history import ModeHistory
from stageapp.mode.store import ModeState
from stageapp.rollout.gates.judging import judge
from stageapp.rollout.gates.measures import Measurements
from stageapp.rollout.moves import ARROWS, Phase, needed, next_step, phase_of
from tests.rollout.gates.measured import NOW

ENTRY = ("run_complete", "consumers_audited", "warn_exit")
STATES = [ModeState("off"), ModeState("warn")] + [
    ModeState("enforce", p) for p in (1, 10, 11, 50, 51, 100)
]


def test_every_phase_has_an_arrow_and_every_arrow_is_explained():
    assert ARROWS.keys() == set(Phase)
    assert all(arrow.forward for phase, arrow in ARROWS.items() if phase != Phase.OFF)
    assert all(arrow.back for phase, arrow in ARROWS.items() if phase != Phase.FULL)
    assert all(phase_of(arrow.mode, arrow.percent) == phase for phase, arrow in ARROWS.items())


@pytest.mark.parametrize(
    "mode, percent, phase",
    [
        ("off", 100, 0),
        ("warn", 100, 1),
        ("enforce", 1, 2),
        ("enforce", 10, 2),
        ("enforce", 11, 3),
        ("enforce", 50, 3),
        ("enforce", 51, 4),
        ("enforce", 100, 4),
    ],
)
def test_the_phase_of_a_mode(mode, percent, phase):
    assert phase_of(mode, percent) == phase


@pytest.mark.parametrize(
    "now, then, expected",
    [
        (ModeState("off"), ModeState("warn"), ()),
        (ModeState("warn"), ModeState("enforce", 1), ENTRY),
        (ModeState("warn"), ModeState("enforce", 10), ENTRY),
        (ModeState("off"), ModeState("enforce", 10), ENTRY),
        (ModeState("enforce", 1), ModeState("enforce", 10), ENTRY),
        (ModeState("enforce", 10), ModeState("enforce", 11), ("canary_10",)),
        (ModeState("enforce", 20), ModeState("enforce", 50), ("canary_10",)),
        (ModeState("enforce", 50), ModeState("enforce", 51), ("canary_50",)),
        (ModeState("enforce", 60), ModeState("enforce", 100), ("canary_50",)),
        (ModeState("enforce", 10), ModeState("enforce", 100), ("canary_10", "canary_50")),
        (ModeState("warn"), ModeState("enforce", 100), (*ENTRY, "canary_10", "canary_50")),
    ],
)
def test_what_a_forward_move_needs(now, then, expected):
    assert needed(now, then) == expected


@pytest.mark.parametrize("now, then", list(itertools.product(STATES, STATES)))
def test_only_a_stricter_mode_asks_for_gates_and_enforcing_always_does(now, then):
    asked = needed(now, then)
    if then.strictness <= now.strictness:
        assert asked == ()
    else:
        assert bool(asked) == (then.mode == "enforce")


@pytest.mark.parametrize(
    "state, text, names",
    [
        (ModeState("off"), "warn", ()),
        (ModeState("warn"), "enforce at 10 %", ENTRY),
        (ModeState("enforce", 5), "enforce at 50 %", ("canary_10",)),
        (ModeState("enforce", 50), "enforce at 100 %", ("canary_50",)),
        (ModeState("enforce", 70), "enforce at 100 %", ("canary_50",)),
        (ModeState("enforce", 100), "keep it enforced until the rollout is done", ("done",)),
    ],
)
def test_what_comes_next(state, text, names):
    found = judge(Measurements(now=NOW, mode=ModeHistory()), gates())
    step = next_step(state, found)
    assert step.text == text
    assert tuple(gate.name for gate in step.gates) == names
    assert step.holding == step.gates
