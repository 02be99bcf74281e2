"""Simulation of a fund's outcome by stage.

In every run, each stage's money is spread in equal checks over its companies. A company fails with
the stage's failure rate and returns nothing; otherwise it returns a multiple drawn from the
stage's power law or lognormal. Companies are independent of each other. Money without a stage is
cash: it returns its own amount, and never reaches a stage. Money and shares are exact until they
weight the drawn multiples.

Every stage draws from its own streams (PCG64, seeded by the seed and the stage's slug), so its
outcomes do not depend on which other stages are present. The same seed gives the same bytes for
the same build of NumPy on the same kind of processor. The method, its limits and the sources of
the numbers are in docs/finance.md.
"""

import hashlib
import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import numpy as np

from stageapp.finance.allocations import MAX_TOTAL, AllocationError, rounded, to_cents
from stageapp.finance.assumptions import Floats, StageAssumptions, expected_multiple
from stageapp.finance.outcome import (
    SimulationResult,
    StageOutcome,
    annual_rate,
    histogram,
    percentiles,
    pooled_rates,
    rates_by_period,
    share_at_least,
    standard_error,
)

MAX_RUNS = 100_000
MAX_SEED = 2**53 - 1  # the largest integer every JSON reader keeps exact
MIN_FUND_SIZE = Decimal(1)
MAX_FUND_SIZE = MAX_TOTAL
DEFAULT_FUND_SIZE = Decimal("100000000.00")
DEFAULT_RUNS = 10_000
DEFAULT_SEED = 0
# Draws held at once (0.5 MB an array): they stay in the processor's cache, and memory does not grow
# with the runs.
CHUNK_DRAWS = 1 << 16


class SimulationError(ValueError):
    """An invalid simulation; the message names the value and its range."""


def simulate(
    fund_size: Decimal,
    runs: int,
    seed: int,
    shares: Mapping[str, Fraction],
    assumptions: Mapping[str, StageAssumptions],
) -> SimulationResult:
    """Simulate the fund `runs` times and summarize the multiples of its size.

    `shares` are by stage and sum to at most 1; the part missing to 1 is held as cash. Raises
    SimulationError.
    """
    told = _checked(fund_size, runs, seed, shares, assumptions)
    # In the order of the assumptions: the order in which the caller wrote the weights changes no
    # byte.
    held = {slug: shares[slug] for slug in assumptions if shares.get(slug)}
    size = Fraction(fund_size)
    companies = {slug: assumptions[slug].companies(size * share) for slug, share in held.items()}
    multiples = np.ones((len(held) + 1, runs))  # the last row is cash
    for row, slug in enumerate(held):
        multiples[row] = _stage_multiples(assumptions[slug], companies[slug], runs, seed)
    stages = [
        _stage_outcome(assumptions[slug], told[slug], companies[slug], mine)
        for slug, mine in zip(held, multiples, strict=False)
    ]
    cash = 1 - sum(held.values(), Fraction(0))
    weights = np.array([float(share) for share in [*held.values(), cash]])
    unallocated = 1 - sum(told.values(), Decimal(0))
    return _summary(fund_size, runs, seed, unallocated, stages, multiples * weights[:, np.newaxis])


def _checked(
    fund_size: Decimal,
    runs: int,
    seed: int,
    shares: Mapping[str, Fraction],
    assumptions: Mapping[str, StageAssumptions],
) -> dict[str, Decimal]:
    """Return the shares as reported in the result; raises SimulationError."""
    for name, value, low, high in (
        ("fund_size", fund_size, MIN_FUND_SIZE, MAX_FUND_SIZE),
        ("runs", runs, 1, MAX_RUNS),
        ("seed", seed, 0, MAX_SEED),
    ):
        if not (Decimal(value).is_finite() and low <= value <= high):
            raise SimulationError(f"{name} must lie between {low:.0f} and {high:.0f}.")
    if missing := sorted(set(shares) - set(assumptions)):
        raise SimulationError(f"There are no assumptions for the stages: {', '.join(missing)}.")
    try:
        to_cents(fund_size)
        return rounded(shares)
    except AllocationError as error:
        raise SimulationError(str(error)) from error


def _stage_multiples(assumptions: StageAssumptions, companies: int, runs: int, seed: int) -> Floats:
    """Return the stage's mean multiple over its companies for each run (shape: runs)."""
    failures, multiples = _streams(seed, assumptions.slug)
    means = []
    size = max(1, CHUNK_DRAWS // companies)
    for start in range(0, runs, size):
        rows = min(size, runs - start)
        survived = failures.random((rows, companies)) >= assumptions.failure_rate
        drawn = assumptions.multiple.draw(multiples, (rows, companies))
        drawn *= survived
        means.append(drawn.mean(axis=1))
    return np.concatenate(means)


def _streams(seed: int, slug: str) -> tuple[np.random.Generator, np.random.Generator]:
    """Return the stage's streams for failures and multiples: two, so chunking shifts neither."""
    key = np.frombuffer(hashlib.sha256(slug.encode()).digest(), dtype=">u4")
    failures, multiples = np.random.SeedSequence(seed, spawn_key=tuple(map(int, key))).spawn(2)
    return np.random.Generator(np.random.PCG64(failures)), np.random.Generator(
        np.random.PCG64(multiples)
    )


def _stage_outcome(
    assumptions: StageAssumptions,
    share: Decimal,
    companies: int,
    multiples: Floats,
) -> StageOutcome:
    expected = expected_multiple(assumptions)
    return StageOutcome(
        stage=assumptions.slug,
        weight=float(share),
        companies=companies,
        mean_multiple=float(multiples.mean()),
        standard_error=standard_error(multiples),
        expected_multiple=expected,
        holding_years=assumptions.holding_years,
        expected_irr=annual_rate(expected, assumptions.holding_years),
    )


def _summary(
    fund_size: Decimal,
    runs: int,
    seed: int,
    unallocated: Decimal,
    stages: list[StageOutcome],
    returned: Floats,
) -> SimulationResult:
    total = returned.sum(axis=0)
    expected = [stage.weight * stage.expected_multiple for stage in stages]
    values = percentiles(total)
    years = [stage.holding_years for stage in stages]
    years.append(
        max(years, default=1.0)
    )  # cash comes last; alone, it has the rate 0 over any period
    return SimulationResult(
        fund_size=fund_size,
        runs=runs,
        seed=seed,
        unallocated=float(unallocated),
        mean=float(total.mean()),
        standard_error=standard_error(total),
        expected=math.fsum([float(unallocated), *expected]),
        percentiles=values,
        probability_1x=share_at_least(total, 1),
        probability_3x=share_at_least(total, 3),
        histogram=histogram(total),
        irr=percentiles(pooled_rates(returned, np.array(years))),
        irr_by_holding_period=rates_by_period(values),
        stages=stages,
    )
