"""POST /api/allocations: plan initial checks and follow-on reserves by stage, exact to the cent."""

from decimal import Decimal
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.distribution import Distribution, DistributionField
from stageapp.api.endpoint import Endpoint, validated
from stageapp.api.errors import usable_assumptions
from stageapp.api.fields import MoneyField, NumberField, StrictSerializer, json_number
from stageapp.finance import assumption_store
from stageapp.finance.reserves import ReservePlan, reserve_plan

DEFAULT_FUND_SIZE = Decimal("100000000.00")
DEFAULT_RESERVE_RATIO = Decimal("0.5")
MAX_RESERVE_RATIO = Decimal("0.95")


class AllocationRequest(StrictSerializer):
    """The body of an allocation; everything but the distribution has a default."""

    fund_size = MoneyField(default=DEFAULT_FUND_SIZE)
    reserve_ratio = NumberField(
        min_value=Decimal(0),
        max_value=MAX_RESERVE_RATIO,
        default=DEFAULT_RESERVE_RATIO,
    )
    stage_distribution = DistributionField()


class Allocations(Endpoint):
    """Split a fund over stages pro rata, and its reserves by the stages' follow-on rules."""

    label = "allocations"
    scopes = {"POST": "write"}
    stage_methods = frozenset({"POST"})

    def post(self, request: Request) -> Response:
        """Return initial checks, needs and reserves by stage; amounts are decimal strings."""
        sent = validated(AllocationRequest(data=request.data))
        distribution: Distribution = sent["stage_distribution"]
        met = self.judge(distribution.values)
        shares = distribution.shares(met.decision.meanings)
        with usable_assumptions():
            assumed = assumption_store.current()
            rules = assumed.follow_on(stage for stage, share in shares.stages.items() if share)
        plan = reserve_plan(sent["fund_size"], sent["reserve_ratio"], shares.stages, rules)
        return self.answer(represent(plan, sent["reserve_ratio"]), unallocated=shares.unallocated)


def represent(plan: ReservePlan, reserve_ratio: Decimal) -> dict[str, Any]:
    """Return the plan as a response body, with money as strings."""
    return {
        "fund_size": _money(plan.total),
        "reserve_ratio": json_number(reserve_ratio),
        "stages": [
            {
                "stage": stage,
                **{name: _money(getattr(part, name)) for name in ("initial", "need", "reserve")},
            }
            for stage, part in plan.stages.items()
        ],
        "surplus": _money(plan.surplus),
        "unallocated_initial": _money(plan.unallocated_initial),
        "unallocated_reserve": _money(plan.unallocated_reserve),
        "coverage": None if plan.coverage is None else json_number(plan.coverage),
    }


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"
