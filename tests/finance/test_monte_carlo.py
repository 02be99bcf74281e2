import json
import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from stageapp.finance import monte_carlo
from stageapp.finance.assumptions import expected_multiple, multiple_quantile, multiple_variance
from stageapp.finance.monte_carlo import MAX_RUNS, SimulationError, simulate

MIX = {"seed": "0.5", "series_a": "0.3", "growth": "0.1"}


def text(result):
    return json.dumps(result.as_dict(), allow_nan=False)


def stage(result, slug):
    return next(outcome for outcome in result.stages if outcome.stage == slug)


def run(assumptions, weights=None, fund_size=1e8, runs=4_000, seed=1):
    weights = MIX if weights is None else weights
    shares = {slug: Fraction(weight) for slug, weight in weights.items()}
    return simulate(Decimal(fund_size), runs, seed, shares, assumptions)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(assumptions):
    assert text(run(assumptions)) == text(run(assumptions))
    assert run(assumptions).mean != run(assumptions, seed=2).mean


def test_the_order_of_the_weights_changes_no_byte(assumptions):
    assert text(run(assumptions, dict(reversed(MIX.items())))) == text(run(assumptions))


@pytest.mark.parametrize("draws", [1, 7, 1000, 10**9])
def test_the_size_of_chunks_changes_no_byte(assumptions, monkeypatch, draws):
    whole = text(run(assumptions, runs=500))
    monkeypatch.setattr(monte_carlo, "CHUNK_DRAWS", draws)
    assert text(run(assumptions, runs=500)) == whole


def test_a_stages_outcomes_do_not_depend_on_the_stages_beside_it(assumptions):
    assert stage(run(assumptions, {"seed": 0.5}), "seed") == stage(run(assumptions), "seed")


def test_stages_with_the_same_assumptions_are_drawn_independently(assumptions):
    twins = [replace(assumptions["growth"], slug=slug) for slug in ("growth", "late")]
    first, second = (monte_carlo._stage_multiples(twin, 1, runs=10_000, seed=5) for twin in twins)
    # The correlation of independent samples deviates from zero by 1 / sqrt(10,000): 4 deviations.
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.04


def test_the_first_runs_of_a_longer_simulation_are_the_shorter_one(assumptions):
    short, long = (
        monte_carlo._stage_multiples(assumptions["growth"], companies=3, runs=runs, seed=5)
        for runs in (100, 30_000)
    )
    assert np.array_equal(short, long[:100])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_means_agree_with_the_closed_form_within_the_monte_carlo_error(assumptions, seed):
    result = run(assumptions, runs=20_000, seed=seed)
    # 4 standard errors, from the closed-form variance: a sound simulation fails once in 16,000.
    variance = 0.0
    for outcome in result.stages:
        known = assumptions[outcome.stage]
        of_mean = multiple_variance(known) / outcome.companies / result.runs
        assert abs(outcome.mean_multiple - expected_multiple(known)) < 4 * math.sqrt(of_mean)
        assert outcome.standard_error == pytest.approx(math.sqrt(of_mean), rel=0.2)
        variance += outcome.weight**2 * of_mean
    expected = {slug: expected_multiple(assumptions[slug]) for slug in MIX}
    invested = sum(float(weight) * expected[slug] for slug, weight in MIX.items())
    assert result.expected == pytest.approx(0.1 + invested)
    assert abs(result.mean - result.expected) < 4 * math.sqrt(variance)


@pytest.mark.parametrize("slug", ["seed", "series_a", "growth"])
def test_quantiles_of_a_single_company_agree_with_the_closed_form(assumptions, slug):
    one = replace(assumptions[slug], average_check=Decimal(10**15))
    result = run({slug: one}, {slug: 1.0}, runs=40_000)
    for name, found in result.percentiles.items():
        probability = int(name[1:]) / 100
        margin = 4 * math.sqrt(probability * (1 - probability) / result.runs)
        assert multiple_quantile(one, probability - margin) <= found
        assert found <= multiple_quantile(one, probability + margin)


def test_the_probability_of_a_multiple_agrees_with_the_closed_form(assumptions):
    one = replace(assumptions["seed"], average_check=Decimal(10**15))
    result = run({"seed": one}, {"seed": 1.0}, runs=40_000)
    # Survivors (40 %) return at least 1x; 3 ** -2.5 of them at least 3x (the cap of 100 takes 1e-5
    # off).
    for found, known in (
        (result.probability_1x, 0.4),
        (result.probability_3x, 0.4 * (3**-2.5 - 1e-5)),
    ):
        assert abs(found - known) < 4 * math.sqrt(known * (1 - known) / result.runs)


def test_more_companies_spread_the_risk_and_keep_the_mean(assumptions):
    few, many = (
        run(assumptions, {"seed": 1.0}, fund_size=size, runs=20_000) for size in (4e6, 1e8)
    )
    assert (stage(few, "seed").companies, stage(many, "seed").companies) == (4, 100)
    assert few.standard_error == pytest.approx(5 * many.standard_error, rel=0.2)


def test_unallocated_money_is_cash_and_reaches_no_stage(assumptions):
    half, whole = run(assumptions, {"growth": 0.5}, 1e8), run(assumptions, {"growth": 1.0}, 5e7)
    assert half.unallocated == 0.5
    assert [outcome.stage for outcome in half.stages] == ["growth"]
    assert stage(half, "growth").mean_multiple == stage(whole, "growth").mean_multiple
    assert half.mean == pytest.approx(0.5 + 0.5 * whole.mean)


@pytest.mark.parametrize("weights", [{}, {"seed": 0.0}])
def test_a_fund_of_cash_alone_returns_itself(assumptions, weights):
    result = run(assumptions, weights)
    assert (result.unallocated, result.mean, result.standard_error) == (1, 1, 0)
    assert set(result.percentiles.values()) == {1.0}
    assert set(result.irr.values()) == {0.0}
    assert (result.probability_1x, result.probability_3x) == (1, 0)
    assert result.histogram.counts == [result.runs]


def test_three_thirds_leave_no_cash_and_are_told_as_decimals_that_make_one(assumptions):
    result = run(assumptions, dict.fromkeys(assumptions, "1/3"))
    told = [Decimal(repr(outcome.weight)) for outcome in result.stages]
    assert result.unallocated == 0
    assert sum(told) == 1


def test_the_histogram_counts_every_run_once_in_few_bins(assumptions):
    result = run(assumptions)
    assert sum(result.histogram.counts) == result.runs
    assert len(result.histogram.counts) == 40
    assert result.histogram.edges == sorted(result.histogram.edges)
    assert result.histogram.counts[-1] == pytest.approx(result.runs / 100, abs=1)


def test_rates_of_one_stage_are_the_rates_of_its_multiples(assumptions):
    result = run(assumptions, {"growth": 1.0})
    years = assumptions["growth"].holding_years
    # The rate rises with the multiple, so their percentiles correspond, but for interpolation
    # between runs.
    for name, multiple in result.percentiles.items():
        assert result.irr[name] == pytest.approx(multiple ** (1 / years) - 1, abs=1e-3)
    five = next(rates for rates in result.irr_by_holding_period if rates.years == 5)
    assert five.p50 == pytest.approx(result.percentiles["p50"] ** 0.2 - 1)


def test_a_single_run_is_reported_without_an_error_and_as_json(assumptions):
    result = run(assumptions, runs=1)
    assert result.standard_error is None
    assert json.loads(text(result))["runs"] == 1


def test_the_extremes_of_every_bound_stay_finite(assumptions):
    lost = {slug: replace(known, failure_rate=1.0) for slug, known in assumptions.items()}
    assert run(lost, {"seed": 1.0}).irr["p95"] == -1
    largest = json.loads(text(run(assumptions, fund_size=1e15, runs=300)))
    assert largest["fund_size"] == "1000000000000000.00"
    assert json.loads(text(run(assumptions, fund_size=1, runs=300)))["stages"][0]["companies"] == 1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"runs": 0}, "runs must lie between 1 and 100000"),
        ({"runs": MAX_RUNS + 1}, "runs must lie"),
        ({"seed": -1}, "seed must lie"),
        ({"seed": 2**53}, "seed must lie"),
        ({"fund_size": 0}, "fund_size must lie"),
        ({"fund_size": math.nan}, "fund_size must lie"),
        ({"fund_size": math.inf}, "fund_size must lie"),
        ({"weights": {"bridge": 1.0}}, "no assumptions for the stages: bridge"),
        ({"fund_size": "1.001"}, "parts of a cent"),
        ({"weights": {"seed": -0.1}}, "Every share"),
        ({"weights": {"seed": "0.6", "growth": "0.6"}}, "at most 1"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(assumptions, change, message):
    with pytest.raises(SimulationError, match=message):
        run(assumptions, **change)
