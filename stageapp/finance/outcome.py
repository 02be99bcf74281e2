"""The results of a simulation: the summary of many runs, ready for JSON."""

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from stageapp.finance.assumptions import Floats

# Annual rates of return: of one multiple over one period, and pooled over payments at different
# times.

_MAX_STEPS = 100
_PRECISION = 1e-12


def annual_rate(multiple: float, years: float) -> float:
    """Return the yearly rate that turns 1 into `multiple` in `years`; a total loss is -1."""
    return float(multiple ** (1 / years) - 1)


def pooled_rates(returned: Floats, years: Floats) -> Floats:
    """Return the internal rate of return of each run.

    One unit is paid at the start; `returned[k]` (shape flows x runs) comes back after `years[k]`
    (shape flows). So the rate r solves sum(returned[k] * (1 + r) ** -years[k]) == 1, which has one
    root above -1. The rate of a run that returns nothing is -1.
    """
    total = returned.sum(axis=0)
    rates = np.full(total.shape, -1.0)
    alive = total > 0
    if alive.any():
        rates[alive] = np.expm1(_log_rates(returned[:, alive], years, np.log(total[alive])))
    return rates


def _log_rates(returned: Floats, years: Floats, log_total: Floats) -> Floats:
    """Solve by Newton's method in x = log(1 + r).

    In x, the logarithm of the present value is convex and decreasing; started left of the root,
    Newton's steps all go right and never overshoot.
    """
    log_returned = np.full(returned.shape, -np.inf)
    np.log(returned, out=log_returned, where=returned > 0)
    x: Floats = np.where(log_total >= 0, log_total / years.max(), log_total / years.min())
    for _ in range(_MAX_STEPS):
        # The logarithm of the present value, and its duration in years (its slope in x, negated).
        terms = log_returned - years[:, np.newaxis] * x
        largest = terms.max(axis=0)
        terms -= largest  # keeps exp within range
        np.exp(terms, out=terms)
        value = terms.sum(axis=0)
        terms *= years[:, np.newaxis]
        log_value, duration = largest + np.log(value), terms.sum(axis=0) / value
        step = log_value / duration
        x += step
        if np.abs(step).max() < _PRECISION:
            break
    return x


PERCENTILES = (5, 10, 25, 50, 75, 90, 95)
HOLDING_PERIODS = (3, 5, 7, 10)
HISTOGRAM_BINS = 40


@dataclass(frozen=True)
class Histogram:
    """Run counts between adjacent edges (multiples); the last bin has the top 1 % of runs."""

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class PeriodRates:
    """Yearly rates if all money were invested at the start and returned after `years`."""

    years: int
    p25: float
    p50: float
    p75: float


@dataclass(frozen=True)
class StageOutcome:
    """One stage: simulated mean multiple (with standard error) and its closed-form expectation."""

    stage: str
    weight: float
    companies: int
    mean_multiple: float
    standard_error: float | None
    expected_multiple: float
    holding_years: float
    expected_irr: float


@dataclass(frozen=True)
class SimulationResult:
    """A fund's outcome: multiples of its size, before fees; rates are yearly (0.1 is 10 %).

    `percentiles` and `irr` are keyed p5 … p95. `irr` pools the stages, each paying back after its
    holding period; unallocated money comes back unchanged with the last of them.
    """

    fund_size: Decimal
    runs: int
    seed: int
    unallocated: float
    mean: float
    standard_error: float | None
    expected: float
    percentiles: dict[str, float]
    probability_1x: float
    probability_3x: float
    histogram: Histogram
    irr: dict[str, float]
    irr_by_holding_period: list[PeriodRates]
    stages: list[StageOutcome]

    def as_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists and finite numbers, with the fund's size as a string."""
        return {**asdict(self), "fund_size": f"{self.fund_size:.2f}"}


def percentiles(values: Floats) -> dict[str, float]:
    """Return the percentiles p5 … p95 of the runs."""
    cuts = np.percentile(values, PERCENTILES)
    return {f"p{percent}": float(value) for percent, value in zip(PERCENTILES, cuts, strict=True)}


def standard_error(values: Floats) -> float | None:
    """Return the standard error of the mean; None for a single run."""
    return float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else None


def share_at_least(values: Floats, multiple: float) -> float:
    """Return the share of runs that reach the multiple."""
    return float((values >= multiple).mean())


def histogram(values: Floats) -> Histogram:
    """Count the runs in equal bins up to the 99th percentile, plus one bin for the tail."""
    low, high, top = values.min(), np.percentile(values, 99), values.max()
    edges = np.unique(np.append(np.linspace(low, high, HISTOGRAM_BINS), top))
    if edges.size == 1:  # every run came out the same
        edges = np.append(edges, edges)
    counts, _ = np.histogram(values, edges)
    return Histogram(edges=edges.tolist(), counts=counts.tolist())


def rates_by_period(rates: dict[str, float]) -> list[PeriodRates]:
    """Return the annual rates of the multiple's quartiles for each holding period."""
    return [
        PeriodRates(years, *(annual_rate(rates[name], years) for name in ("p25", "p50", "p75")))
        for years in HOLDING_PERIODS
    ]
