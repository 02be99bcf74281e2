"""The simulation's assumptions about a stage, and their closed-form consequences."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Self

from stageapp.finance.multiples import AssumptionError, Lognormal, PowerLaw, require

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
