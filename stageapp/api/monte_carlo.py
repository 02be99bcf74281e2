"""POST /api/monte-carlo/simulate: simulate a fund's outcome from its distribution over stages."""

from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.distribution import Distribution, DistributionField
from stageapp.api.endpoint import Endpoint, validated
from stageapp.api.errors import Unavailable
from stageapp.api.fields import IntegerField, NumberField, StrictSerializer
from stageapp.finance.assumptions import StageAssumptions
from stageapp.finance.monte_carlo import (
    DEFAULT_FUND_SIZE,
    DEFAULT_RUNS,
    DEFAULT_SEED,
    MAX_FUND_SIZE,
    MAX_RUNS,
    MAX_SEED,
    simulate,
)
from stageapp.finance.multiples import AssumptionError
from stageapp.vocabulary import Snapshot


class SimulationRequest(StrictSerializer):
    """What a simulation takes; all but the distribution has a default."""

    fund_size = NumberField(min_value=1, max_value=MAX_FUND_SIZE, default=DEFAULT_FUND_SIZE)
    runs = IntegerField(min_value=1, max_value=MAX_RUNS, default=DEFAULT_RUNS)
    seed = IntegerField(min_value=0, max_value=MAX_SEED, default=DEFAULT_SEED)
    stage_distribution = DistributionField()


class Simulate(Endpoint):
    """Simulate a fund; the same seed gives the same answer."""

    label = "monte_carlo"
    scopes = {"POST": "write"}
    stage_methods = frozenset({"POST"})

    def post(self, request: Request) -> Response:
        """Return multiples, probabilities, a histogram and rates of return."""
        sent = validated(SimulationRequest(data=request.data))
        distribution: Distribution = sent.pop("stage_distribution")
        met = self.judge(distribution.values)
        shares = distribution.shares(met.decision.meanings)
        result = simulate(**sent, weights=shares.stages, assumptions=assumptions_of(met.vocabulary))
        return self.answer(result.as_dict(), unallocated=shares.unallocated)


def assumptions_of(vocabulary: Snapshot) -> dict[str, StageAssumptions]:
    """Return the assumptions by stage, in rank order.

    Raises:
        Unavailable: somebody saved assumptions that make no sense.
    """
    try:
        return {slug: StageAssumptions.from_columns(vocabulary.columns[slug]) for slug in vocabulary.labels}
    except AssumptionError as error:
        raise Unavailable(f"A stage's assumptions are not usable: {error}") from error
