"""POST /api/allocations: plan initial cheques and follow-on reserves by stage, exact to the cent."""

from decimal import Decimal
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.distribution import Distribution, DistributionField
from stageapp.api.endpoint import Endpoint, validated
from stageapp.api.errors import Unavailable
from stageapp.api.fields import MoneyField, NumberField, StrictSerializer
from stageapp.finance.allocations import AllocationError
from stageapp.finance.reserves import FollowOnRule, ReservePlan, reserve_plan
from stageapp.vocabulary import Snapshot

DEFAULT_FUND_SIZE = Decimal("100000000.00")
DEFAULT_RESERVE_RATIO = 0.5
MAX_RESERVE_RATIO = 0.95


class AllocationRequest(StrictSerializer):
    """What an allocation takes; all but the distribution has a default."""

    fund_size = MoneyField(default=DEFAULT_FUND_SIZE)
    reserve_ratio = NumberField(min_value=0, max_value=MAX_RESERVE_RATIO, default=DEFAULT_RESERVE_RATIO)
    stage_distribution = DistributionField()


class Allocations(Endpoint):
    """Split a fund over stages, pro rata, and its reserves by the stages' follow-on rules."""

    label = "allocations"
    scopes = {"POST": "write"}
    stage_methods = frozenset({"POST"})

    def post(self, request: Request) -> Response:
        """Return initial cheques, needs and reserves by stage; amounts are decimal strings."""
        sent = validated(AllocationRequest(data=request.data))
        distribution: Distribution = sent["stage_distribution"]
        met = self.judge(distribution.values)
        shares = distribution.shares(met.decision.meanings)
        rules = rules_of(met.vocabulary)
        plan = reserve_plan(sent["fund_size"], sent["reserve_ratio"], shares.stages, rules)
        return self.answer(represent(plan, sent["reserve_ratio"]), unallocated=shares.unallocated)


def rules_of(vocabulary: Snapshot) -> dict[str, FollowOnRule]:
    """Return the follow-on rules by stage.

    Raises:
        Unavailable: somebody saved a rule that makes no sense.
    """
    columns = vocabulary.columns
    try:
        return {
            slug: FollowOnRule(columns[slug]["follow_on_share"], columns[slug]["follow_on_multiple"])
            for slug in vocabulary.labels
        }
    except AllocationError as error:
        raise Unavailable(f"A stage's follow-on rule is not usable: {error}") from error


def represent(plan: ReservePlan, reserve_ratio: float) -> dict[str, Any]:
    """Return the plan for a body, with money as strings."""
    return {
        "fund_size": _money(plan.total),
        "reserve_ratio": reserve_ratio,
        "stages": [
            {"stage": stage, **{name: _money(getattr(part, name)) for name in ("initial", "need", "reserve")}}
            for stage, part in plan.stages.items()
        ],
        "surplus": _money(plan.surplus),
        "unallocated_initial": _money(plan.unallocated_initial),
        "unallocated_reserve": _money(plan.unallocated_reserve),
        "coverage": plan.coverage,
    }


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"
