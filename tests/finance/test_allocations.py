from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stageapp.finance.allocations import (
    CENT,
    MAX_TOTAL,
    SHARE_PLACES,
    AllocationError,
    allocate,
    exact,
    rounded,
)

totals = st.decimals(0, MAX_TOTAL, places=2)


def written(**weights):
    return {stage: Fraction(weight) for stage, weight in weights.items()}


@st.composite
def shares(draw):
    """Return shares that make 1, less those of some stages at times."""
    parts = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=9).filter(any))
    weights = {f"s{place}": Fraction(part, sum(parts)) for place, part in enumerate(parts)}
    dropped = draw(st.sets(st.sampled_from(sorted(weights))))
    return {stage: weight for stage, weight in weights.items() if stage not in dropped}


def test_the_cents_left_over_go_to_the_largest_remainders():
    # Quotas of 3.3, 5 and 1.7 cents: one cent is left over, and 0.7 is the largest remainder.
    assert allocate(Decimal("0.10"), written(a="0.33", b="0.5", c="0.17")) == {
        "a": Decimal("0.03"),
        "b": Decimal("0.05"),
        "c": Decimal("0.02"),
    }


def test_ties_go_to_the_name_that_sorts_first_whatever_the_order():
    expected = {"a": Decimal("33.34"), "b": Decimal("33.33"), "c": Decimal("33.33")}
    assert allocate(Decimal(100), written(c="1/3", a="1/3", b="1/3")) == expected
    assert allocate(Decimal("0.05"), written(series_a="0.3", seed="0.7")) == {
        "seed": Decimal("0.04"),
        "series_a": Decimal("0.01"),
    }


def test_the_parts_come_in_the_order_of_the_weights():
    assert list(allocate(Decimal(1), written(seed="0.5", growth="0.5"))) == ["seed", "growth"]


def test_what_is_missing_to_one_stays_unallocated_and_loses_ties():
    assert allocate(Decimal("0.01"), written(a="0.5")) == {"a": Decimal("0.01")}
    assert allocate(Decimal("100.00"), written(a="0.25", b="0.25")) == {"a": 25, "b": 25}


def test_no_weights_leave_all_unallocated():
    assert allocate(Decimal(100), {}) == {}


@pytest.mark.parametrize(
    "total", ["-0.01", "NaN", "Infinity", "1e16", "0.001", "1E-999999999", "1E+999999999"]
)
def test_what_is_no_amount_in_cents_is_refused(total):
    with pytest.raises(AllocationError, match="An amount must"):
        allocate(Decimal(total), written(a="1"))


@pytest.mark.parametrize("share", ["-0.1", "1.1", "-1/1000000000000000000000"])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(AllocationError, match="between 0 and 1"):
        allocate(Decimal(1), written(a=share))


@pytest.mark.parametrize("other", ["0.5", "0.4000000000000000000000000001"])
def test_shares_above_one_together_are_refused(other):
    with pytest.raises(AllocationError, match="add up to at most 1"):
        allocate(Decimal(1), written(a="0.6", b=other))


@pytest.mark.parametrize("number", ["1E-999999999", "1E+999999999", "NaN", "sNaN", "Infinity"])
def test_a_number_whose_fraction_would_be_huge_is_refused(number):
    with pytest.raises(AllocationError, match="at most 1000 decimals"):
        exact(Decimal(number))


def test_an_ordinary_number_is_exactly_itself():
    assert exact(Decimal("0.35")) == Fraction(7, 20)
    assert exact(Decimal("1E-400")) == Fraction(1, 10**400)


@given(totals, shares())
@example(MAX_TOTAL, {"s0": Fraction(1, 3), "s1": Fraction(1, 3), "s2": Fraction(1, 3)})
def test_parts_are_cents_within_one_cent_of_their_quota(total, weights):
    for stage, part in allocate(total, weights).items():
        assert part >= 0
        assert part == part.quantize(CENT)
        assert abs(Fraction(part) - Fraction(total) * weights[stage]) < Fraction(CENT)


@given(totals, shares())
def test_allocated_and_unallocated_make_the_total_to_the_cent(total, weights):
    rest = total - sum(allocate(total, weights).values(), Decimal(0))
    missing = 1 - sum(weights.values(), Fraction(0))
    assert rest >= 0
    assert abs(Fraction(rest) - missing * Fraction(total)) < Fraction(CENT)
    assert missing or rest == 0


@given(totals, shares())
def test_a_larger_weight_never_gets_less_and_zero_gets_nothing(total, weights):
    parts = allocate(total, weights)
    for stage, weight in weights.items():
        assert weight > 0 or parts[stage] == 0
        assert all(parts[stage] >= parts[other] for other in weights if weights[other] < weight)


@given(shares())
def test_rounded_shares_are_decimals_that_make_one_with_what_is_missing(weights):
    told = rounded(weights)
    missing = 1 - sum(told.values(), Decimal(0))
    unit = Fraction(1, 10**SHARE_PLACES)
    assert missing >= 0
    assert missing == 0 or sum(weights.values()) < 1
    assert all(abs(Fraction(share) - weights[stage]) < unit for stage, share in told.items())
    # As JSON the double of each is printed with these very digits.
    assert all(Decimal(repr(float(share))) == share for share in told.values())
