import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.finance.assumptions import AssumptionError, Lognormal, PowerLaw

POWER_LAWS = [
    PowerLaw(1.4, 2, 100),
    PowerLaw(1.0, 1, 20),
    PowerLaw(2.0, 0.5, 50),
    PowerLaw(0.05, 1, 3),
]
LAWS = [*POWER_LAWS, Lognormal(1.5, 0.4), Lognormal(0.8, 1.2)]


def integrated_moment(law, order, steps=400_000):
    """Integrate quantile ** order over the probabilities: the moment by another way (midpoint
    rule).
    """
    return math.fsum(law.quantile((step + 0.5) / steps) ** order for step in range(steps)) / steps


def quantile_bounds(law, probability, draws, z=5):
    """Return the quantiles that bracket a sample quantile, z deviations of its binomial rank
    either side.
    """
    margin = z * math.sqrt(probability * (1 - probability) / draws)
    return law.quantile(probability - margin), law.quantile(probability + margin)


@pytest.mark.parametrize("law", POWER_LAWS)
@pytest.mark.parametrize("order", [1, 2])
def test_a_power_laws_moments_are_the_integral_of_its_quantiles(law, order):
    assert law.moment(order) == pytest.approx(integrated_moment(law, order), rel=2e-3)


@pytest.mark.parametrize("order", [1, 2])
def test_a_lognormals_moments_are_the_integral_of_its_quantiles(order):
    law = Lognormal(1.5, 0.4)
    assert law.moment(order) == pytest.approx(integrated_moment(law, order), rel=1e-3)


def test_the_moment_where_alpha_is_the_order_is_the_limit_of_its_neighbours():
    below, at, above = (PowerLaw(1 + shift, 1, 20).moment(1) for shift in (-1e-9, 0, 1e-9))
    assert at == pytest.approx(20 / 19 * math.log(20))
    assert below == pytest.approx(at, rel=1e-8)
    assert above == pytest.approx(at, rel=1e-8)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("probability", [0.05, 0.25, 0.5, 0.75, 0.95, 0.99])
def test_drawn_quantiles_agree_with_the_closed_form(law, probability):
    drawn = law.draw(np.random.Generator(np.random.PCG64(11)), (1000, 100))
    low, high = quantile_bounds(law, probability, drawn.size)
    assert low <= np.quantile(drawn, probability) <= high


@pytest.mark.parametrize("law", LAWS)
def test_the_drawn_mean_agrees_with_the_closed_form(law):
    drawn = law.draw(np.random.Generator(np.random.PCG64(12)), (1000, 400))
    deviation = math.sqrt((law.moment(2) - law.moment(1) ** 2) / drawn.size)
    assert abs(drawn.mean() - law.moment(1)) < 4 * deviation


@given(
    alpha=st.floats(0.05, 50),
    bounds=st.lists(st.floats(0.01, 1000), min_size=2, max_size=2, unique=True).map(sorted),
    probability=st.floats(0, 1, exclude_max=True),
)
def test_a_power_law_never_leaves_its_bounds(alpha, bounds, probability):
    low, high = bounds
    law = PowerLaw(alpha, low, high)
    assert low * (1 - 1e-9) <= law.quantile(probability) <= high * (1 + 1e-9)
    assert low * (1 - 1e-9) <= law.moment(1) <= high * (1 + 1e-9)


@pytest.mark.parametrize(
    "law, arguments, name",
    [
        (PowerLaw, (0, 1, 2), "alpha"),
        (PowerLaw, (math.nan, 1, 2), "alpha"),
        (PowerLaw, (1, 0, 2), "minimum_multiple"),
        (PowerLaw, (1, 1, math.inf), "maximum_multiple"),
        (PowerLaw, (1, 2, 2), "smaller than maximum_multiple"),
        (Lognormal, (0, 1), "median_multiple"),
        (Lognormal, (1, 0), "sigma"),
        (Lognormal, (1, 4), "sigma"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(law, arguments, name):
    with pytest.raises(AssumptionError, match=name):
        law(*arguments)
