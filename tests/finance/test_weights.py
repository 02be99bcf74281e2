import math
import sys
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stageapp.finance.weights import WeightsError, share_out

STAGES = ["pre_seed", "seed", "series_a", "growth"]


def of(*weights):
    return [(f"raw {place}", f"stage_{place}", weight) for place, weight in enumerate(weights)]


def fault(entries):
    with pytest.raises(WeightsError) as caught:
        share_out(entries)
    return caught.value.code, caught.value.index


@pytest.mark.parametrize("weights", [(0.25, 0.75), (25, 75), (25.0, 75), (Decimal("0.25"), Decimal("0.75"))])
def test_weights_that_make_one_or_a_hundred_become_shares(weights):
    assert share_out(of(*weights)).stages == {"stage_0": 0.25, "stage_1": 0.75}


@pytest.mark.parametrize("total", [0.99, 1.01, 99, 101, 99.0000001])
def test_a_sum_within_one_per_cent_is_rescaled_to_exactly_one(total):
    shares = share_out(of(total / 2, total / 2))
    assert shares.stages == {"stage_0": 0.5, "stage_1": 0.5}


@pytest.mark.parametrize("total", [0.9899, 1.0101, 98.99, 101.01, 10, 50, 0.01, 5e-324, 1e308])
def test_any_other_sum_is_refused(total):
    assert fault(of(total)) == ("wrong_sum", None)


def test_three_thirds_written_with_two_places_are_accepted():
    shares = share_out(of(0.33, 0.33, 0.33))
    assert math.fsum(shares.stages.values()) == 1
    assert len(set(shares.stages.values())) == 1


def test_two_spellings_of_one_stage_add_up():
    entries = [("Seed", "seed", 0.25), ("growth", "growth", 0.5), ("seed ", "seed", 0.25)]
    assert share_out(entries).stages == {"seed": 0.5, "growth": 0.5}


def test_the_weight_of_unknowns_stays_unallocated_and_is_told_by_spelling():
    entries = [("Seed", "seed", 50), ("Bridge", None, 20), ("???", None, 10), ("Bridge", None, 20)]
    shares = share_out(entries)
    assert shares.stages == {"seed": 0.5}
    assert shares.unknowns == {"Bridge": 0.4, "???": 0.1}
    assert shares.unallocated == 0.5


def test_a_spelling_that_is_named_like_a_stage_but_unknown_does_not_reach_the_stage():
    shares = share_out([("seed", None, 0.75), ("Seed", "seed", 0.25)])
    assert shares.stages == {"seed": 0.25}
    assert shares.unknowns == {"seed": 0.75}


def test_a_distribution_of_unknowns_alone_is_wholly_unallocated():
    shares = share_out([("x", None, 1)])
    assert shares.stages == {}
    assert shares.unallocated == 1


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, 10**400, -(10**400), Decimal("sNaN")])
def test_what_is_not_finite_is_refused_with_its_place(weight):
    assert fault(of(0.5, weight)) == ("not_finite", 1)


@pytest.mark.parametrize("weight", [True, False, "0.5", None, [0.5], {}, 1j])
def test_what_is_no_number_is_refused_with_its_place(weight):
    assert fault(of(1, 0, weight)) == ("not_a_number", 2)


@pytest.mark.parametrize("weight", [-0.1, -5e-324, -1])
def test_a_negative_weight_is_refused_with_its_place(weight):
    assert fault(of(weight, 1)) == ("negative", 0)


def test_weights_whose_sum_overflows_are_refused_by_their_sum():
    assert fault(of(sys.float_info.max, sys.float_info.max)) == ("wrong_sum", None)


@pytest.mark.parametrize("weights", [(0, 0), (0.0, -0.0)])
def test_zeros_alone_are_refused(weights):
    assert fault(of(*weights)) == ("zero_sum", None)


def test_an_empty_distribution_is_refused():
    assert fault([]) == ("empty", None)


def test_negative_zero_becomes_zero_and_a_subnormal_does_not_disturb_the_whole():
    shares = share_out(of(-0.0, 5e-324, 1.0)).stages
    assert math.copysign(1, shares["stage_0"]) == 1
    assert shares["stage_2"] == 1


def test_the_message_tells_the_sum_and_what_it_must_be():
    with pytest.raises(WeightsError, match=r"add up to 0\.8; they must add up to 1 or to 100"):
        share_out(of(0.3, 0.5))


@st.composite
def distributions(draw):
    """Return entries that make a whole, with its scale: 1 or 100, up to 0.9 % off."""
    parts = draw(st.lists(st.floats(0, 1e6), min_size=1, max_size=12).filter(lambda p: math.fsum(p) > 1e-3))
    scale = draw(st.sampled_from([1, 100])) * draw(st.floats(0.991, 1.009)) / math.fsum(parts)
    stages = draw(st.lists(st.sampled_from([*STAGES, None]), min_size=len(parts), max_size=len(parts)))
    return [(f"raw {i % 5}", s, p * scale) for i, (p, s) in enumerate(zip(parts, stages, strict=True))]


@given(distributions())
@example([("a", None, 0.1)] * 10)
@example([("a", "seed", 1 / 3), ("b", "growth", 1 / 3), ("c", "series_a", 1 / 3 - 1e-17)])
def test_shares_make_exactly_one_and_none_is_negative(entries):
    shares = share_out(entries)
    together = [*shares.stages.values(), *shares.unknowns.values()]
    assert math.fsum(together) == 1
    assert min(together) >= 0
    assert set(shares.stages) == {stage for _, stage, _ in entries if stage is not None}


@given(distributions(), st.randoms())
def test_the_order_of_the_entries_changes_nothing(entries, random):
    shuffled = random.sample(entries, len(entries))
    assert share_out(shuffled) == share_out(entries)


def test_of_two_equal_largest_shares_the_same_one_takes_up_the_rounding_in_either_order():
    rest = (0.14343838079416332, 0.10887485684391668, 0.014340646896222383, 0.22230533455211057)
    entries = of(0.2555203904567936, 0.2555203904567936, *rest)
    shares = share_out(entries).stages
    assert shares["stage_0"] != shares["stage_1"]  # else these weights need no rounding and show nothing
    assert share_out(entries[::-1]).stages == shares


@given(distributions())
def test_the_unknown_share_is_the_unknown_weight_and_no_more(entries):
    total = math.fsum(weight for _, _, weight in entries)
    unknown = math.fsum(weight for _, stage, weight in entries if stage is None)
    assert share_out(entries).unallocated == pytest.approx(unknown / total, rel=1e-12, abs=1e-15)


@given(st.lists(st.one_of(st.floats(), st.integers(), st.booleans(), st.decimals(), st.text(max_size=3))))
def test_whatever_comes_is_shared_out_or_refused_by_name(weights):
    with suppress(WeightsError):
        assert math.fsum(share_out(of(*weights)).stages.values()) == 1
