"""What is left of a raw value: its key, and the reason it is unknown when no alias claims the
key.
"""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.vocabulary import defaults
from stageapp.vocabulary.text import LONGEST, Reduced, reduce
from tests.vocabulary import hard_values
from tests.vocabulary.meanings import CASES

ALIASES = {reduce(alias.spelling).key: alias.stage for alias in defaults.aliases()}


def meaning(raw):
    """Return (stage, reason) by the default aliases."""
    reduced = reduce(raw)
    stage = None if reduced.final else ALIASES.get(reduced.key)
    return stage, None if stage else reduced.reason


@pytest.mark.parametrize(("raw", "stage", "reason"), CASES, ids=lambda value: ascii(value)[:40])
def test_a_value_means_what_its_writer_meant_or_is_unknown_for_a_reason(raw, stage, reason):
    assert meaning(raw) == (stage, reason)


@given(hard_values.values)
def test_a_key_reduces_to_itself(raw):
    reduced = reduce(raw)
    if not reduced.final:
        assert reduce(reduced.key) == reduced


@given(
    st.one_of(
        hard_values.values,
        st.text(st.characters(), max_size=300),
        st.text(st.characters(categories=["Cs", "Cc", "Co"])),
    )
)
def test_no_string_raises_and_every_answer_is_well_formed(raw):
    key, reason, final = reduce(raw)
    assert len(key) <= LONGEST
    assert reason
    assert final == (key == "")


@given(hard_values.joined_words, hard_values.joined_words)
def test_two_values_side_by_side_are_never_one_stage_that_neither_of_them_means(left, right):
    both, _ = meaning(f"{left} / {right}")
    assert both is None or both in {meaning(left)[0], meaning(right)[0], "series_e_plus", "seed"}


@pytest.mark.parametrize(
    "stage", ["Seed", "Pre-Seed", "Series A", "Series C", "Series E", "Growth"]
)
@pytest.mark.parametrize(
    "word",
    [
        *("debt", "note", "warrants", "bridge", "secondary", "SAFE", "grant", "crowdfunding"),
        *("acquired", "IPO", "cancelled", "rumored", "planned", "maybe", "unknown", "TBD"),
    ],
)
@pytest.mark.parametrize(
    "form",
    ["{0} {1}", "{0} - {1}", "{0} ({1})", "{1} - {0}", "{0}, {1}", "{0}/{1}", "{0} Round - {1}"],
)
def test_a_word_that_changes_the_meaning_is_never_dropped(stage, word, form):
    assert meaning(form.format(stage, word))[0] is None


@pytest.mark.parametrize("first", ["Seed", "Series A", "Series B", "Growth"])
@pytest.mark.parametrize("second", ["Series C", "Series D", "Pre-Seed"])
@pytest.mark.parametrize(
    "form",
    [
        "{}/{}",
        "{} / {}",
        "{}, {}",
        "{} - {}",
        "{} and {}",
        "{} ({})",
        "{} {}",
        "{} Round - {}",
        "{} + {}",
    ],
)
def test_two_stages_in_one_value_are_unknown(first, second, form):
    assert meaning(form.format(first, second))[0] is None


@pytest.mark.parametrize("alike", ["Series А", "Sеries A", "Ѕeed", "SERIES Β", "Sеed"])
def test_a_look_alike_is_kept_apart_from_what_it_looks_like(alike):
    assert meaning(alike) == (None, "unmapped")


def test_a_bucket_is_not_the_round_it_begins_with():
    assert reduce("Series C+").key != reduce("Series C").key
    assert reduce("series-c+") == reduce("Series C+") == Reduced("series c+", "ambiguous")
    assert meaning("C+轮")[0] == "series_c"  # in Chinese a round after C, before D


def test_every_spelling_of_a_private_equity_round_has_a_key_of_its_own_for_an_alias():
    assert (
        reduce("Private Equity").key
        == reduce("private_equity").key
        == reduce("Private Equity Round").key
    )
    assert reduce("Private Equity").key not in {
        reduce(v).key for v in ("Private", "Equity", "Private Funding")
    }


def test_the_cost_of_a_value_is_bounded_by_its_length():
    worst = [
        "(" * LONGEST,
        "- " * (LONGEST // 2),
        "<b " * 85,
        "seed " * 51,
        "a+" * 128,
        "1.1." * 64,
        "series a - " + "x " * 120,
    ]
    for raw in [*worst, "x" * 10_000_000]:
        started = time.perf_counter()
        reduce(raw)
        assert time.perf_counter() - started < 0.1, raw[:20]


# Pieces that a rule repeats, or reads in more than one way; each is repeated up to the longest value.
COSTLY = """
seed - |early stage vc |- |(|-|_|.|pre-|pre |series |0,|$1|5m |jan 2021 |2021-|q1 2021 |; |a-|a b |the |seed round |seed/
|round |funding |close |first close |convertible cumulative |new last latest |轮|轮-|series-- -- |late stage venture |(series
|seed |seedseed|a |an |de |ii |preferred |preferred pa1 |between |bridge |not |<b>|&nbsp;|\\n|%20|+|&|x|あ|סבב |vong hat giong
""".replace("\n", "").split("|")


@pytest.mark.parametrize("piece", [piece for piece in COSTLY if piece])
@pytest.mark.parametrize("head", ["", "seed ", "series a - ", "("])
def test_no_value_costs_much(piece, head):
    value = (head + piece * 256)[:256]
    began = time.process_time()
    reduce(value)
    # About 1 ms on an idle core; a pattern that backtracks takes from 10 ms to minutes.
    assert time.process_time() - began < 0.02, value
