"""Distributions of a survivor's return as a multiple of the investment, in closed form.

The power law is a Pareto distribution truncated at a largest multiple, because the exponents
observed in venture capital are so small that mean or variance would not exist without a bound
(Othman, "Startup Growth and Venture Returns", 2019). The lognormal is the usual model of later
rounds (Cochrane, "The risk and return of venture capital", Journal of Financial Economics 75,
2005).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

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
