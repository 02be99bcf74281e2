"""The one decision: verdict and outcome by mode, for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.mode.store import STRICTNESS
from stageapp.validation import Retired, Unknown, decide
from tests.vocabulary.test_suggestions import VOCABULARY


def decided(mode, *raws, source="", snapshot=VOCABULARY):
    values = [(f"/stages/{place}", raw) for place, raw in enumerate(raws)]
    return decide(values, mode=mode, vocabulary=snapshot, source=source)


@pytest.mark.parametrize(
    "raws, verdict, off, warn, enforce",
    [
        ([], "canonical", "accepted", "accepted", "accepted"),
        (["seed"], "canonical", "accepted", "accepted", "accepted"),
        (["seed", "series_e_plus"], "canonical", "accepted", "accepted", "accepted"),
        (["Seed"], "normalized", "accepted", "warned", "warned"),
        (["seed", "Series-A"], "normalized", "accepted", "warned", "warned"),
        (["nonsense"], "unknown", "accepted", "warned", "rejected"),
        (["seed", "nonsense"], "unknown", "accepted", "warned", "rejected"),
        (["Series A", ""], "unknown", "accepted", "warned", "rejected"),
    ],
)
def test_the_verdict_is_the_same_in_every_mode_and_the_outcome_is_the_modes(
    raws, verdict, off, warn, enforce
):
    for mode, outcome in (("off", off), ("warn", warn), ("enforce", enforce)):
        decision = decided(mode, *raws)
        assert (decision.mode, decision.verdict, decision.outcome) == (mode, verdict, outcome)


def test_meanings_are_in_the_order_of_the_values():
    decision = decided("warn", "Series B", "nonsense", "seed")
    assert [meaning.stage for meaning in decision.meanings] == ["series_b", None, "seed"]


def test_an_unknown_is_named_with_place_reason_and_suggestion():
    assert decided("enforce", "seed", "Seeed", "Acquired").unknowns == (
        Unknown("/stages/1", "Seeed", "unmapped", ("seed",)),
        Unknown("/stages/2", "Acquired", "exit_status", ()),
    )


def test_a_retired_spelling_is_named_with_what_to_send_instead():
    decision = decided("enforce", "Pre-Seed", "pre_seed", " seed")
    assert decision.retired == (
        Retired("/stages/0", "Pre-Seed", "pre_seed"),
        Retired("/stages/2", " seed", "seed"),
    )
    assert decision.unknowns == ()


def test_the_source_decides_first():
    known = type(VOCABULARY)(
        1, VOCABULARY.labels, VOCABULARY.aliases | {("feed", "tier one"): ("growth", "")}
    )
    assert decided("enforce", "Tier One", source="feed", snapshot=known).outcome == "warned"
    assert decided("enforce", "Tier One", source="other", snapshot=known).outcome == "rejected"


@given(
    raws=st.lists(st.text(st.characters()) | st.sampled_from(["seed", "Seed", "sede"])),
    mode=st.sampled_from(list(STRICTNESS)),
)
def test_no_text_raises_and_nothing_is_guessed_or_lost(raws, mode):
    decision = decided(mode, *raws)
    assert len(decision.meanings) == len(raws)
    assert [unknown.value for unknown in decision.unknowns] == [
        raw for raw, meaning in zip(raws, decision.meanings, strict=True) if meaning.stage is None
    ]
    assert (decision.outcome == "rejected") == (mode == "enforce" and bool(decision.unknowns))
