"""Suggestions: shown to a person, never a guess between near misses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.models.vocabulary import REASONS, StageAlias
from stageapp.vocabulary import defaults
from stageapp.vocabulary import snapshot as vocabulary
from stageapp.vocabulary.snapshot import Meaning, Snapshot
from stageapp.vocabulary.suggestions import suggest
from stageapp.vocabulary.text import LONGEST, reduce


def shipped():
    """Return the default vocabulary without a database."""
    labels = {stage.slug: stage.label for stage in defaults.stages()}
    spellings = [(spelling, slug) for slug, label in labels.items() for spelling in (slug, label)]
    spellings += [(alias.spelling, alias.stage) for alias in defaults.aliases()]
    return Snapshot(
        1, labels, {("", reduce(spelling).key): (slug, "") for spelling, slug in spellings}
    )


VOCABULARY = shipped()


def suggested(raw):
    return suggest(raw, VOCABULARY.normalize(raw), VOCABULARY)


@pytest.mark.parametrize(
    "raw, stage",
    [
        ("sede", "seed"),
        ("Seeed", "seed"),
        ("pre sead", "pre_seed"),
        ("preseeed", "pre_seed"),
        ("Seris A", "series_a"),
        ("seires b", "series_b"),
        ("eries C", "series_c"),
        ("Growht", "growth"),
    ],
)
def test_a_slip_of_the_keys_is_recognised(raw, stage):
    assert suggested(raw) == (stage,)


@pytest.mark.parametrize("raw", ["Seed", "seed", "Series-A", "pre seed", "SERIES E+", "growth"])
def test_a_value_that_is_accepted_gets_no_suggestion(raw):
    assert VOCABULARY.normalize(raw).stage
    assert suggested(raw) == ()


@pytest.mark.parametrize("reason", sorted(REASONS.keys() - {"unmapped", "ambiguous", "junk"}))
def test_a_value_that_is_understood_gets_no_suggestion(reason):
    assert suggest("sede", Meaning(None, "unmapped", "sede"), VOCABULARY) == ("seed",)
    assert suggest("sede", Meaning(None, reason, "sede"), VOCABULARY) == ()


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "  ",
        "n/a",
        "Series A/B",
        "Seed or Series A",
        "pre series a",
        "Acquired",
        "Seed grant",
        "debt",
    ],
)
def test_neither_do_real_ones(raw):
    assert VOCABULARY.normalize(raw).stage is None
    assert suggested(raw) == ()


@pytest.mark.parametrize(
    "raw",
    [
        "Series Z",
        "Series O",
        "Series 1",
        "Series AA",
        "seris z",
        "s eed",
        "Seed2x",
        "seris a1",
        "seris",
        "xyz",
    ],
)
def test_single_letters_and_digits_must_match_exactly(raw):
    assert VOCABULARY.normalize(raw).stage is None
    assert suggested(raw) == ()


def test_of_two_stages_about_as_near_neither_is_suggested():
    two = Snapshot(
        1, {}, {("", "venture alpha"): ("seed", ""), ("", "venture alphb"): ("growth", "")}
    )
    assert suggest("venture alphx", Meaning(None, "unmapped", "venture alphx"), two) == ()
    one = Snapshot(
        1, {}, {("", "venture alpha"): ("seed", ""), ("", "venture alphb"): ("seed", "")}
    )
    assert suggest("venture alphx", Meaning(None, "unmapped", "venture alphx"), one) == ("seed",)


@pytest.mark.parametrize(
    "raw, stage",
    [
        ("Ѕeed", "seed"),
        ("Sеed", "seed"),
        ("Ѕеrіеѕ А", "series_a"),
        ("Series В", "series_b"),
        ("Ѕeries Α", "series_a"),
    ],
)
def test_a_look_alike_stays_unknown_and_suggests_what_it_looks_like(raw, stage):
    assert VOCABULARY.normalize(raw).stage is None
    assert suggested(raw) == (stage,)


def test_what_is_too_long_is_not_compared():
    assert suggested("x" * LONGEST) == ()
    assert suggested("seed " * LONGEST) == ()
    assert suggest("a", Meaning(None, "unmapped", "sede" * 100), VOCABULARY) == ()


@given(raw=st.text(st.characters()) | st.text("SEDsed riesABab+-/ 12", max_size=12))
def test_any_text_gets_at_most_one_active_stage_and_only_if_it_is_unknown(raw):
    meaning = VOCABULARY.normalize(raw)
    found = suggest(raw, meaning, VOCABULARY)
    assert len(found) <= 1
    assert set(found) <= set(VOCABULARY.labels)
    assert not (found and meaning.stage)


@pytest.mark.django_db
def test_what_is_declared_unknown_is_never_turned_into_a_suggestion_of_itself():
    StageAlias.objects.create(spelling="Tier One", key="tier one", reason="ambiguous")
    snapshot = vocabulary.current()
    assert suggest("tier onne", snapshot.normalize("tier onne"), snapshot) == ()
