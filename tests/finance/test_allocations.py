from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stageapp.finance.allocations import CENT, MAX_TOTAL, AllocationError, allocate
from stageapp.finance.weights import share_out

totals = st.decimals(0, MAX_TOTAL, places=2)


@st.composite
def shares(draw):
    """Return canonical weights that make 1, as the API has them, less those of some stages at times."""
    parts = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=9).filter(any))
    entries = [(f"s{place}", f"s{place}", part / sum(parts)) for place, part in enumerate(parts)]
    weights = share_out(entries).stages
    dropped = draw(st.sets(st.sampled_from(sorted(weights))))
    return {stage: weight for stage, weight in weights.items() if stage not in dropped}


def test_the_cents_left_over_go_to_the_largest_remainders():
    # Quotas of 3.3, 5 and 1.7 cents: one cent is left over, and 0.7 is the largest remainder.
    assert allocate(Decimal("0.10"), {"a": 0.33, "b": 0.5, "c": 0.17}) == {
        "a": Decimal("0.03"),
        "b": Decimal("0.05"),
        "c": Decimal("0.02"),
    }


def test_ties_go_to_the_name_that_sorts_first_whatever_the_order():
    third = 1 / 3
    expected = {"a": Decimal("33.34"), "b": Decimal("33.33"), "c": Decimal("33.33")}
    assert allocate(Decimal(100), {"c": third, "a": third, "b": third}) == expected


def test_the_parts_come_in_the_order_of_the_weights():
    assert list(allocate(Decimal(1), {"seed": 0.5, "growth": 0.5})) == ["seed", "growth"]


def test_what_is_missing_to_one_stays_unallocated_and_loses_ties():
    assert allocate(Decimal("0.01"), {"a": 0.5}) == {"a": Decimal("0.01")}
    assert allocate(Decimal("100.00"), {"a": 0.25, "b": 0.25}) == {"a": 25, "b": 25}


def test_no_weights_leave_all_unallocated():
    assert allocate(Decimal(100), {}) == {}


def test_decimal_weights_are_taken_as_they_are_written():
    assert allocate(Decimal("1.00"), {"a": Decimal("0.1"), "b": Decimal("0.9")}) == {
        "a": Decimal("0.10"),
        "b": Decimal("0.90"),
    }


@pytest.mark.parametrize("total", ["-0.01", "NaN", "Infinity", "1e16", "0.001", "1E-999999999", "1E+999999999"])
def test_what_is_no_amount_in_cents_is_refused(total):
    with pytest.raises(AllocationError, match="An amount must"):
        allocate(Decimal(total), {"a": 1.0})


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), 1.1, Decimal("1E+999999999")])
def test_a_weight_that_is_no_share_is_refused(weight):
    with pytest.raises(AllocationError, match="between 0 and 1"):
        allocate(Decimal(1), {"a": weight})


def test_weights_above_one_together_are_refused():
    with pytest.raises(AllocationError, match="add up to at most 1"):
        allocate(Decimal(1), {"a": 0.6, "b": 0.5})


def test_a_decimal_weight_with_a_giant_exponent_costs_nothing():
    assert allocate(Decimal(1), {"a": Decimal("1E-999999999")}) == {"a": 0}


@given(totals, shares())
@example(MAX_TOTAL, {"s0": 1 / 3, "s1": 1 / 3, "s2": 1 / 3})
def test_parts_are_cents_within_one_cent_of_their_quota(total, weights):
    for stage, part in allocate(total, weights).items():
        assert part >= 0
        assert part == part.quantize(CENT)
        # 1e-9 relative: what the weights themselves may be off one by.
        assert abs(part - total * Decimal(weights[stage])) <= CENT + total * Decimal("1e-9")


@given(totals, st.lists(st.integers(0, 1000), min_size=1, max_size=9).filter(any))
def test_weights_that_make_one_give_the_whole_total_away(total, parts):
    weights = share_out([(f"s{i}", f"s{i}", part / sum(parts)) for i, part in enumerate(parts)]).stages
    assert sum(allocate(total, weights).values()) == total


@given(totals, shares())
def test_the_unallocated_rest_is_never_negative_and_never_given_to_a_stage(total, weights):
    rest = total - sum(allocate(total, weights).values(), Decimal(0))
    missing = max(Decimal(0), 1 - sum(map(Decimal, weights.values()), Decimal(0)))
    assert rest >= 0
    assert abs(rest - missing * total) <= CENT + total * Decimal("1e-9")


@given(totals, shares())
def test_a_larger_weight_never_gets_less_and_zero_gets_nothing(total, weights):
    parts = allocate(total, weights)
    for stage, weight in weights.items():
        assert weight > 0 or parts[stage] == 0
        assert all(parts[stage] >= parts[other] for other in weights if weights[other] < weight)
