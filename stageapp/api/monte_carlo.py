"""POST /api/monte-carlo/simulate: simulate a fund's outcome from its distribution over stages."""

from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.distribution import Distribution, DistributionField
from stageapp.api.endpoint import Endpoint, validated
from stageapp.api.errors import usable_assumptions
from stageapp.api.fields import IntegerField, MoneyField, StrictSerializer
from stageapp.finance import assumption_store
from stageapp.finance.monte_carlo import (
    DEFAULT_FUND_SIZE,
    DEFAULT_RUNS,
    DEFAULT_SEED,
    MAX_RUNS,
    MAX_SEED,
    MIN_FUND_SIZE,
    simulate,
)


class SimulationRequest(StrictSerializer):
    """The body of a simulation; everything but the distribution has a default."""

    fund_size = MoneyField(min_value=MIN_FUND_SIZE, default=DEFAULT_FUND_SIZE)
    runs = IntegerField(min_value=1, max_value=MAX_RUNS, default=DEFAULT_RUNS)
    seed = IntegerField(min_value=0, max_value=MAX_SEED, default=DEFAULT_SEED)
    stage_distribution = DistributionField()


class Simulate(Endpoint):
    """Simulate a fund; the same seed gives the same result."""

    label = "monte_carlo"
    scopes = {"POST": "write"}
    stage_methods = frozenset({"POST"})

    def post(self, request: Request) -> Response:
        """Return multiples, probabilities, a histogram and rates of return."""
        sent = validated(SimulationRequest(data=request.data))
        distribution: Distribution = sent.pop("stage_distribution")
        met = self.judge(distribution.values)
        shares = distribution.shares(met.decision.meanings)
        in_rank_order = ((slug, shares.stages.get(slug)) for slug in met.vocabulary.labels)
        held = {slug: share for slug, share in in_rank_order if share}
        with usable_assumptions():
            assumptions = assumption_store.current().for_simulation(held)
        result = simulate(**sent, shares=held, assumptions=assumptions)
        return self.answer(result.as_dict(), unallocated=shares.unallocated)
