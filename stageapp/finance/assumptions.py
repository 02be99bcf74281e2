"""The simulation's assumptions about a stage, and their consequences in closed form.

A survivor's return is a multiple of the investment. The power law is a Pareto distribution truncated
at a largest multiple, because the exponents observed in venture capital are so small that mean or
variance would not exist without a bound (Othman, "Startup Growth and Venture Returns", 2019). The
lognormal is the usual model of later rounds (Cochrane, "The risk and return of venture capital",
Journal of Financial Economics 75, 2005).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class AssumptionError(ValueError):
    """An invalid assumption about a stage; the message names the parameter and its range."""


def require(name: str, value: float, low: float, high: float) -> None:
    """Raise AssumptionError unless low <= value <= high (NaN is rejected as well)."""
    if not low <= value <= high:
        raise AssumptionError(f"{name} is {value:g}; it must lie between {low:g} and {high:g}.")


@dataclass(frozen=True)
class PowerLaw:
    """A Pareto law on [minimum, maximum] with P(X > x) falling as x ** -alpha."""

    alpha: float
    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        require("alpha", self.alpha, 0.05, 50)
        require("minimum_multiple", self.minimum, 0.01, 1_000)
        require("maximum_multiple", self.maximum, 0.01, 10_000)
        if self.minimum >= self.maximum:
            raise AssumptionError("minimum_multiple must be smaller than maximum_multiple.")

    @property
    def _span(self) -> float:
        return math.log(self.maximum / self.minimum)

    @property
    def _mass(self) -> float:
        """The part of the untruncated law that lies below the maximum."""
        return -math.expm1(-self.alpha * self._span)

    def moment(self, order: int) -> float:
        """Return E[X ** order]."""
        gap = self.alpha - order
        integral = -math.expm1(-gap * self._span) / gap if gap else self._span
        return self.alpha * self.minimum**order * integral / self._mass

    def quantile(self, probability: float) -> float:
        """Return the multiple below which a share `probability` (in [0, 1)) of survivors stays."""
        return self.minimum * math.exp(-math.log1p(-probability * self._mass) / self.alpha)

    def draw(self, stream: np.random.Generator, shape: tuple[int, int]) -> Floats:
        """Draw multiples of the given shape by inverting the distribution function."""
        drawn = stream.random(shape)
        drawn *= -self._mass
        np.log1p(drawn, out=drawn)
        drawn *= -1 / self.alpha
        np.exp(drawn, out=drawn)
        drawn *= self.minimum
        return drawn


@dataclass(frozen=True)
class Lognormal:
    """A lognormal law: log(multiple) is normal with mean log(median) and deviation sigma."""

    median: float
    sigma: float

    def __post_init__(self) -> None:
        require("median_multiple", self.median, 0.01, 1_000)
        require("sigma", self.sigma, 0.01, 3)

    def moment(self, order: int) -> float:
        """Return E[X ** order]."""
        return self.median**order * math.exp((order * self.sigma) ** 2 / 2)

    def quantile(self, probability: float) -> float:
        """Return the multiple below which a share `probability` (in [0, 1)) of survivors stays."""
        if probability <= 0:
            return 0.0
        return self.median * math.exp(self.sigma * NormalDist().inv_cdf(probability))

    def draw(self, stream: np.random.Generator, shape: tuple[int, int]) -> Floats:
        """Draw multiples of the given shape."""
        drawn = stream.standard_normal(shape)
        drawn *= self.sigma
        np.exp(drawn, out=drawn)
        drawn *= self.median
        return drawn


MAX_COMPANIES = 200


@dataclass(frozen=True)
class StageAssumptions:
    """Assumptions about one stage: a company fails with no return, or returns a drawn multiple.

    `failure_rate` is a probability, `holding_years` the mean years from check to exit,
    `average_check` the check to one company in the fund's currency. All but the check, which is
    money, feed NumPy.
    """

    slug: str
    failure_rate: float
    multiple: PowerLaw | Lognormal
    holding_years: float
    average_check: Decimal

    def __post_init__(self) -> None:
        require("failure_rate", self.failure_rate, 0, 1)
        require("holding_years", self.holding_years, 0.25, 30)
        require("average_check", float(self.average_check), 1, 1e15)

    @classmethod
    def from_columns(cls, columns: Mapping[str, object]) -> Self:
        """Build the assumptions from a stored row or a line of the shipped table.

        Raises AssumptionError when a number is missing, not a number, or out of range.
        """
        return cls(
            slug=str(columns["slug"]),
            failure_rate=_number(columns, "failure_rate"),
            multiple=_multiple(columns),
            holding_years=_number(columns, "holding_years"),
            average_check=_decimal(columns, "average_check"),
        )

    def companies(self, money: Fraction) -> int:
        """Return how many companies share this money equally: 1 to MAX_COMPANIES."""
        return max(1, min(MAX_COMPANIES, round(money / Fraction(self.average_check))))


def expected_multiple(assumptions: StageAssumptions) -> float:
    """Return the mean multiple of one company, counting failures as zero."""
    return (1 - assumptions.failure_rate) * assumptions.multiple.moment(1)


def multiple_variance(assumptions: StageAssumptions) -> float:
    """Return the variance of one company's multiple, counting failures as zero."""
    second = (1 - assumptions.failure_rate) * assumptions.multiple.moment(2)
    return max(0.0, second - expected_multiple(assumptions) ** 2)


def multiple_quantile(assumptions: StageAssumptions, probability: float) -> float:
    """Return the multiple that a share `probability` (0 to below 1) of companies stays below."""
    if probability <= assumptions.failure_rate:
        return 0.0
    survived = (probability - assumptions.failure_rate) / (1 - assumptions.failure_rate)
    return assumptions.multiple.quantile(survived)


def _multiple(columns: Mapping[str, object]) -> PowerLaw | Lognormal:
    match columns["distribution"]:
        case "power_law":
            return PowerLaw(
                *(_number(columns, n) for n in ("alpha", "minimum_multiple", "maximum_multiple"))
            )
        case "lognormal":
            return Lognormal(*(_number(columns, n) for n in ("median_multiple", "sigma")))
        case other:
            raise AssumptionError(f"distribution is {other!r}; it must be power_law or lognormal.")


def _number(columns: Mapping[str, object], name: str) -> float:
    return float(_decimal(columns, name))


def _decimal(columns: Mapping[str, object], name: str) -> Decimal:
    try:
        return Decimal(str(columns[name]))
    except InvalidOperation:
        raise AssumptionError(f"{name} must be a number.") from None
