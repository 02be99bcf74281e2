import time
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stageapp.finance.weights import WeightsError, share_out

STAGES = ["pre_seed", "seed", "series_a", "growth"]
HALF = Fraction(1, 2)


def of(*weights):
    """Return entries; a weight as text is the decimal that is written."""
    weights = [Decimal(weight) if isinstance(weight, str) else weight for weight in weights]
    return [(f"raw {place}", f"stage_{place}", weight) for place, weight in enumerate(weights)]


def fault(entries):
    with pytest.raises(WeightsError) as caught:
        share_out(entries)
    return caught.value.code, caught.value.index


@pytest.mark.parametrize("weights", [("0.25", "0.75"), (25, 75), ("25.0", 75), ("2.5e1", "75.00")])
def test_weights_that_make_one_or_a_hundred_become_shares(weights):
    assert share_out(of(*weights)).stages == {"stage_0": Fraction(1, 4), "stage_1": Fraction(3, 4)}


@pytest.mark.parametrize("total", ["0.99", "1.01", "99", "101", "99.0000001"])
def test_a_sum_within_one_per_cent_is_rescaled_to_exactly_one(total):
    half = Decimal(total) / 2
    assert share_out(of(half, half)).stages == {"stage_0": HALF, "stage_1": HALF}


@pytest.mark.parametrize(
    "total",
    [
        "0.9899",
        "1.0101",
        "98.99",
        "101.01",
        "10",
        "50",
        "0.01",
        "5e-324",
        "1e308",
        "1e-999999",
        "1e999999",
    ],
)
def test_any_other_sum_is_refused(total):
    assert fault(of(total)) == ("wrong_sum", None)


def test_three_thirds_written_with_two_places_are_three_thirds():
    shares = share_out(of("0.33", "0.33", "0.33"))
    assert set(shares.stages.values()) == {Fraction(1, 3)}
    assert sorted(shares.rounded.values()) == [
        *[Decimal("0.333333333333333")] * 2,
        Decimal("0.333333333333334"),
    ]
    assert shares.unallocated == 0


def test_a_sum_that_a_program_made_in_binary_is_a_hair_more_than_one_per_cent_off():
    assert share_out(of("0.32999999999999996", "0.33", "0.33")).unallocated == 0


def test_two_spellings_of_one_stage_add_up():
    entries = [
        ("Seed", "seed", Decimal("0.25")),
        ("growth", "growth", Decimal("0.5")),
        ("seed ", "seed", Decimal("0.25")),
    ]
    assert share_out(entries).stages == {"seed": HALF, "growth": HALF}


def test_the_weight_of_unknowns_stays_unallocated():
    entries = [("Seed", "seed", 50), ("Bridge", None, 20), ("???", None, 10), ("Bridge", None, 20)]
    shares = share_out(entries)
    assert shares.stages == {"seed": HALF}
    assert shares.unallocated == Decimal("0.5")


def test_a_spelling_that_is_named_like_a_stage_but_unknown_does_not_reach_the_stage():
    shares = share_out([("seed", None, 75), ("Seed", "seed", 25)])
    assert shares.stages == {"seed": Fraction(1, 4)}


def test_a_distribution_of_unknowns_alone_is_wholly_unallocated():
    shares = share_out([("x", None, 1)])
    assert shares.stages == {}
    assert shares.unallocated == 1


@pytest.mark.parametrize("weight", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_what_is_not_finite_is_refused_with_its_place(weight):
    assert fault(of("0.5", weight)) == ("not_finite", 1)


@pytest.mark.parametrize("weight", [True, False, None, [0.5], {}, 1j, 0.5, "text"])
def test_what_is_no_number_is_refused_with_its_place_and_so_is_a_float_whose_decimal_is_lost(
    weight,
):
    entries = [*of(1, 0), ("raw 2", "stage_2", weight)]
    assert fault(entries) == ("not_a_number", 2)


@pytest.mark.parametrize("weight", ["-0.1", "-5e-324", -1])
def test_a_negative_weight_is_refused_with_its_place(weight):
    assert fault(of(weight, 1)) == ("negative", 0)


@pytest.mark.parametrize("weights", [(0, 0), ("0.0", "-0.0"), ("0e-400",)])
def test_zeros_alone_are_refused(weights):
    assert fault(of(*weights)) == ("zero_sum", None)


def test_an_empty_distribution_is_refused():
    assert fault([]) == ("empty", None)


@pytest.mark.parametrize("tiny", ["5e-324", "1e-400"])
def test_the_smallest_weight_that_the_api_takes_is_kept_exactly(tiny):
    shares = share_out(of("-0.0", tiny, "1.0")).stages
    assert shares["stage_0"] == 0
    assert shares["stage_1"] / shares["stage_2"] == Fraction(tiny)


@pytest.mark.parametrize("huge", ["1e-99999", "1e99999", "1e-999999999"])
def test_numbers_whose_exact_sum_would_be_huge_are_refused_at_once(huge):
    began = time.perf_counter()
    assert fault(of("0.5", "0.5", huge)) == ("wrong_sum", None)
    assert time.perf_counter() - began < 0.5


def test_two_hundred_numbers_as_long_as_the_api_takes_them_are_shared_out_quickly():
    long = [f"1.{place:03}{'7' * 90}e-{100 + place}" for place in range(198)]
    entries = [(raw, raw, weight) for raw, _, weight in of(*long, "0.5", "0.5")]
    began = time.perf_counter()
    shares = share_out(entries)
    assert sum(shares.stages.values()) == 1
    assert sum(shares.rounded.values()) == 1
    assert time.perf_counter() - began < 1


def test_the_message_tells_the_sum_and_what_it_must_be():
    with pytest.raises(WeightsError, match=r"add up to 0\.8; they must add up to 1 or to 100"):
        share_out(of("0.3", "0.5"))


@st.composite
def distributions(draw):
    """Return entries that make a whole, with its scale: 1 or 100, up to 0.9 % off."""
    parts = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any))
    off = draw(st.decimals("0.991", "1.009", places=4))
    scale = draw(st.sampled_from([1, 100])) * off / sum(parts)
    stages = draw(
        st.lists(st.sampled_from([*STAGES, None]), min_size=len(parts), max_size=len(parts)),
    )
    return [
        (f"raw {i % 5}", s, p * scale) for i, (p, s) in enumerate(zip(parts, stages, strict=True))
    ]


@given(distributions())
@example([("a", None, Decimal("0.1"))] * 10)
def test_shares_are_the_weights_by_their_sum_and_with_the_unknown_make_exactly_one(entries):
    shares = share_out(entries)
    whole = sum(Fraction(weight) for _, _, weight in entries)
    expected = {}
    for _, stage, weight in entries:
        if stage is not None:
            expected[stage] = expected.get(stage, 0) + Fraction(weight) / whole
    assert shares.stages == expected
    assert sum(shares.rounded.values()) + shares.unallocated == 1
    assert min([shares.unallocated, *shares.rounded.values()]) >= 0


@given(distributions(), st.randoms())
def test_the_order_of_the_entries_changes_nothing(entries, random):
    shuffled = random.sample(entries, len(entries))
    assert share_out(shuffled) == share_out(entries)
    assert share_out(shuffled).rounded == share_out(entries).rounded


@given(
    st.lists(
        st.one_of(st.floats(), st.integers(), st.booleans(), st.decimals(), st.text(max_size=3)),
    )
)
def test_whatever_comes_is_shared_out_or_refused_by_name(weights):
    with suppress(WeightsError):
        entries = [(str(place), str(place), weight) for place, weight in enumerate(weights)]
        assert sum(share_out(entries).stages.values()) == 1
