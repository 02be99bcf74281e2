"""Which spellings an alias may claim."""

import pytest

from stageapp.vocabulary.text import alias_refusal


@pytest.mark.parametrize(
    "spelling", ["Late Round", "Private Equity", "Pre-Series A", "Angel", "Series C+", "Fondo X"]
)
def test_an_unknown_spelling_may_come_to_mean_a_stage(spelling):
    assert alias_refusal(spelling, names_stage=True) == ""


@pytest.mark.parametrize(
    ("spelling", "reason"),
    [
        ("Series A or B", "multiple_stages"),
        ("Seed/Series A", "multiple_stages"),
        ("n/a", "blank"),
        ("#REF!", "junk"),
    ],
)
def test_what_is_no_single_stage_can_never_mean_one(spelling, reason):
    assert reason in alias_refusal(spelling, names_stage=True)


@pytest.mark.parametrize("spelling", ["Series A or B", "n/a"])
def test_it_may_be_given_another_reason(spelling):
    assert alias_refusal(spelling, names_stage=False) == ""


@pytest.mark.parametrize("spelling", ["", "   ", "\x00", "\ud800", "x" * 300])
def test_what_is_settled_before_aliases_are_asked_takes_no_alias(spelling):
    assert "never take effect" in alias_refusal(spelling, names_stage=False)
