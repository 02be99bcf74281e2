from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.finance.allocations import CENT, AllocationError
from stageapp.finance.reserves import FollowOnRule, ReservePlan, StageReserve, reserve_plan


def rule(share, multiple):
    return FollowOnRule(Decimal(share), Decimal(multiple))


def written(**weights):
    return {stage: Fraction(weight) for stage, weight in weights.items()}


HALF_AT_TWICE = rule("0.5", 2)
RULES = {"seed": rule("0.5", 2), "series_a": rule("0.25", 1), "growth": rule(0, 1)}


def test_equal_rules_share_the_reserve_as_the_weights_share_the_fund():
    plan = reserve_plan(
        Decimal(1_000),
        Decimal("0.4"),
        written(seed="0.25", growth="0.75"),
        dict.fromkeys(("seed", "growth"), HALF_AT_TWICE),
    )
    assert plan.stages == {
        "seed": StageReserve(initial=Decimal(150), need=Decimal(150), reserve=Decimal(100)),
        "growth": StageReserve(initial=Decimal(450), need=Decimal(450), reserve=Decimal(300)),
    }
    assert plan.coverage == Fraction(2, 3)
    assert plan.surplus == plan.unallocated_initial == plan.unallocated_reserve == 0


def test_the_reserve_follows_need_and_a_stage_without_follow_ons_gets_none():
    plan = reserve_plan(
        Decimal(900),
        Decimal("0.333333333"),
        written(seed="0.5", series_a="0.25", growth="0.25"),
        RULES,
    )
    needs = {stage: (money.need, money.reserve) for stage, money in plan.stages.items()}
    # Needs 300 x 1, 150 x 0.25 and 150 x 0; a reserve of 300 over a need of 337.50.
    assert needs == {
        "seed": (Decimal("300.00"), Decimal("266.67")),
        "series_a": (Decimal("37.50"), Decimal("33.33")),
        "growth": (0, 0),
    }


def test_what_no_rule_can_use_is_surplus():
    plan = reserve_plan(Decimal(1_000), Decimal("0.5"), written(series_a=1), RULES)
    assert plan.stages["series_a"] == StageReserve(Decimal(500), Decimal(125), Decimal(125))
    assert plan.surplus == 375
    assert plan.coverage == 1


def test_the_weight_of_unknowns_stays_unallocated_in_both_pools():
    plan = reserve_plan(Decimal(1_000), Decimal("0.5"), written(seed="0.8"), RULES)
    assert (plan.unallocated_initial, plan.unallocated_reserve) == (100, 100)
    assert plan.stages["seed"] == StageReserve(Decimal(400), Decimal(400), Decimal(400))


def test_a_need_is_rounded_down_so_that_the_rule_holds_to_the_cent():
    plan = reserve_plan(Decimal("0.06"), Decimal("0.5"), written(seed=1), {"seed": rule("0.5", 1)})
    assert plan.stages["seed"] == StageReserve(Decimal("0.03"), Decimal("0.01"), Decimal("0.01"))
    assert plan.surplus == Decimal("0.02")


def test_no_need_has_no_coverage():
    plan = reserve_plan(Decimal(10), Decimal("0.5"), written(growth=1), RULES)
    assert plan.coverage is None
    assert plan.surplus == 5


def test_a_stage_with_money_but_no_rule_is_refused_by_name():
    with pytest.raises(AllocationError, match="no follow-on rule for the stage series_b"):
        reserve_plan(Decimal(10), Decimal("0.5"), written(series_b=1), RULES)
    plan = reserve_plan(Decimal(10), Decimal("0.5"), written(series_b=0, seed=1), RULES)
    assert plan.stages["series_b"].need == 0


@pytest.mark.parametrize("ratio", ["-0.1", "1", "1.5", "NaN", "sNaN", "Infinity"])
def test_a_reserve_ratio_outside_its_range_is_refused(ratio):
    with pytest.raises(AllocationError, match="reserve ratio"):
        reserve_plan(Decimal(10), Decimal(ratio), written(seed=1), RULES)


@pytest.mark.parametrize(
    "numbers",
    [("-0.1", 1), ("1.1", 1), ("0.5", -1), ("0.5", 101), ("NaN", 1), (0, "Infinity")],
)
def test_a_rule_outside_its_range_is_refused(numbers):
    with pytest.raises(AllocationError, match="follow-on rule"):
        rule(*numbers)


def test_a_need_is_the_product_of_the_decimals_and_not_a_cent_less():
    rules = {"pre_seed": rule("0.35", 2)}
    plan = reserve_plan(Decimal(1_000_000), Decimal("0.5"), written(pre_seed=1), rules)
    expected = StageReserve(Decimal(500_000), Decimal(350_000), Decimal(350_000))
    assert plan.stages["pre_seed"] == expected


def test_half_a_cent_of_the_reserve_ratio_goes_to_the_reserve():
    plan = reserve_plan(Decimal("0.01"), Decimal("0.5"), written(seed=1), RULES)
    assert (plan.stages["seed"].initial, plan.surplus) == (0, Decimal("0.01"))


rules = st.builds(
    FollowOnRule,
    share=st.decimals(0, 1, places=18),
    max_multiple=st.decimals(0, 5, places=18),
)
weights = st.lists(st.integers(0, 100), min_size=3, max_size=3).map(
    lambda parts: {stage: Fraction(part, 300) for stage, part in zip(RULES, parts, strict=True)}
)
plans = st.builds(
    reserve_plan,
    total=st.decimals(0, 10**15, places=2),
    reserve_ratio=st.decimals(0, "0.99", places=17),
    shares=weights,
    follow_on=st.fixed_dictionaries(dict.fromkeys(RULES, rules)),
)


@given(plans)
def test_every_cent_of_the_total_is_in_the_plan_once(plan: ReservePlan):
    staged = sum(money.initial + money.reserve for money in plan.stages.values())
    rest = (plan.surplus, plan.unallocated_initial, plan.unallocated_reserve)
    assert staged + sum(rest) == plan.total
    assert min(rest) >= 0


@given(plans)
def test_no_reserve_exceeds_its_need_and_there_is_surplus_only_when_all_need_is_covered(
    plan: ReservePlan,
):
    stages = plan.stages.values()
    assert all(0 <= money.reserve <= money.need for money in stages)
    assert plan.surplus == 0 or all(money.reserve == money.need for money in stages)


@given(plans)
def test_all_stages_are_covered_to_the_same_degree_to_the_cent(plan: ReservePlan):
    for money in plan.stages.values():
        covered = Fraction(money.need) * (plan.coverage or 0)
        assert abs(Fraction(money.reserve) - covered) < Fraction(CENT)
