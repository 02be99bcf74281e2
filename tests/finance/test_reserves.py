from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.finance.allocations import CENT, AllocationError
from stageapp.finance.reserves import FollowOnRule, ReservePlan, StageReserve, reserve_plan

HALF_AT_TWICE = FollowOnRule(share=0.5, max_multiple=2)
RULES = {"seed": FollowOnRule(0.5, 2), "series_a": FollowOnRule(0.25, 1), "growth": FollowOnRule(0, 1)}


def test_equal_rules_share_the_reserve_as_the_weights_share_the_fund():
    plan = reserve_plan(
        Decimal(1_000), 0.4, {"seed": 0.25, "growth": 0.75}, dict.fromkeys(("seed", "growth"), HALF_AT_TWICE)
    )
    assert plan.stages == {
        "seed": StageReserve(initial=Decimal(150), need=Decimal(150), reserve=Decimal(100)),
        "growth": StageReserve(initial=Decimal(450), need=Decimal(450), reserve=Decimal(300)),
    }
    assert plan.coverage == pytest.approx(2 / 3)
    assert plan.surplus == plan.unallocated_initial == plan.unallocated_reserve == 0


def test_the_reserve_follows_need_and_a_stage_without_follow_ons_gets_none():
    plan = reserve_plan(Decimal(900), 1 / 3, {"seed": 0.5, "series_a": 0.25, "growth": 0.25}, RULES)
    needs = {stage: (money.need, money.reserve) for stage, money in plan.stages.items()}
    # Needs 300 x 1, 150 x 0.25 and 150 x 0; a reserve of 300 over a need of 337.50.
    assert needs == {
        "seed": (Decimal("300.00"), Decimal("266.67")),
        "series_a": (Decimal("37.50"), Decimal("33.33")),
        "growth": (0, 0),
    }


def test_what_no_rule_can_use_is_surplus():
    plan = reserve_plan(Decimal(1_000), 0.5, {"series_a": 1.0}, RULES)
    assert plan.stages["series_a"] == StageReserve(Decimal(500), Decimal(125), Decimal(125))
    assert plan.surplus == 375
    assert plan.coverage == 1


def test_the_weight_of_unknowns_stays_unallocated_in_both_pools():
    plan = reserve_plan(Decimal(1_000), 0.5, {"seed": 0.8}, RULES)
    assert (plan.unallocated_initial, plan.unallocated_reserve) == (100, 100)
    assert plan.stages["seed"] == StageReserve(Decimal(400), Decimal(400), Decimal(400))


def test_a_need_is_rounded_down_so_that_the_rule_holds_to_the_cent():
    plan = reserve_plan(Decimal("0.06"), 0.5, {"seed": 1.0}, {"seed": FollowOnRule(0.5, 1)})
    assert plan.stages["seed"] == StageReserve(Decimal("0.03"), Decimal("0.01"), Decimal("0.01"))
    assert plan.surplus == Decimal("0.02")


def test_no_need_has_no_coverage():
    plan = reserve_plan(Decimal(10), 0.5, {"growth": 1.0}, RULES)
    assert plan.coverage is None
    assert plan.surplus == 5


def test_a_stage_with_money_but_no_rule_is_refused_by_name():
    with pytest.raises(AllocationError, match="no follow-on rule for the stage series_b"):
        reserve_plan(Decimal(10), 0.5, {"series_b": 1.0}, RULES)
    assert reserve_plan(Decimal(10), 0.5, {"series_b": 0.0, "seed": 1.0}, RULES).stages["series_b"].need == 0


@pytest.mark.parametrize("ratio", [-0.1, 1, 1.5, float("nan"), Decimal("NaN")])
def test_a_reserve_ratio_outside_its_range_is_refused(ratio):
    with pytest.raises(AllocationError, match="reserve ratio"):
        reserve_plan(Decimal(10), ratio, {"seed": 1.0}, RULES)


@pytest.mark.parametrize("rule", [(-0.1, 1), (1.1, 1), (0.5, -1), (0.5, 101), (float("nan"), 1)])
def test_a_rule_outside_its_range_is_refused(rule):
    with pytest.raises(AllocationError, match="follow-on rule"):
        FollowOnRule(*rule)


rules = st.builds(FollowOnRule, share=st.floats(0, 1), max_multiple=st.floats(0, 5))
weights = st.lists(st.integers(0, 100), min_size=3, max_size=3).map(
    lambda parts: {stage: part / 300 for stage, part in zip(RULES, parts, strict=True)}
)
plans = st.builds(
    reserve_plan,
    total=st.decimals(0, 10**12, places=2),
    reserve_ratio=st.floats(0, 0.99),
    weights=weights,
    follow_on=st.fixed_dictionaries(dict.fromkeys(RULES, rules)),
)


@given(plans)
def test_every_cent_of_the_total_is_in_the_plan_once(plan: ReservePlan):
    staged = sum(money.initial + money.reserve for money in plan.stages.values())
    rest = (plan.surplus, plan.unallocated_initial, plan.unallocated_reserve)
    assert staged + sum(rest) == plan.total
    assert min(rest) >= 0


@given(plans)
def test_no_reserve_exceeds_its_need_and_there_is_surplus_only_when_all_need_is_covered(plan: ReservePlan):
    stages = plan.stages.values()
    assert all(0 <= money.reserve <= money.need for money in stages)
    assert plan.surplus == 0 or all(money.reserve == money.need for money in stages)


@given(plans)
def test_all_stages_are_covered_to_the_same_degree_to_the_cent(plan: ReservePlan):
    coverage = Decimal(plan.coverage or 0)
    for money in plan.stages.values():
        assert abs(money.reserve - money.need * coverage) <= CENT + plan.total * Decimal("1e-12")
