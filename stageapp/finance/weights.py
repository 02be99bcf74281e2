"""Conversion of a caller's weights into shares of one whole.

The rules: a weight is a finite, nonnegative number; all weights together sum to 1 or 100, within 1
% of that figure; they are then divided by their sum. Two spellings of one stage add up. The share
of an unknown spelling stays unallocated: it is reported, and never moved to a stage.

Weights are added as the decimals that were sent, and a share is a fraction (a Decimal cannot
represent one third): nothing is rounded, so the shares sum to exactly 1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from functools import cached_property, reduce

from stageapp.finance.allocations import rounded

# What a caller computed as 1 % off may be a hair more where it adds in binary.
TOLERANCE = Decimal("0.010000001")
# Adds exactly or not at all. Whatever numbers the API takes, their sum has fewer digits.
_EXACT = Context(prec=1000, traps=[Inexact, InvalidOperation, Overflow])
_ZERO = Decimal(0)
_SUCH_AS = "such as 0.25 or 25"

WeightedEntry = tuple[str, str | None, object]
"""(raw spelling, its stage or None when unknown, the weight as the caller sent it)."""


class WeightsError(ValueError):
    """Invalid weights; `index` is the offending entry, None if it is the whole.

    `code` is one of: empty, not_a_number, not_finite, negative, zero_sum, wrong_sum.
    """

    def __init__(self, code: str, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.index = index


@dataclass(frozen=True)
class Shares:
    """Exact shares of one whole by stage; the part missing to 1 belongs to no stage."""

    stages: dict[str, Fraction]

    @cached_property
    def rounded(self) -> dict[str, Decimal]:
        """The shares as decimals; with `unallocated` they sum to exactly 1."""
        return rounded(self.stages)

    @property
    def unallocated(self) -> Decimal:
        """The share that belongs to no stage, 0 to 1, rounded like the others."""
        return 1 - sum(self.rounded.values(), _ZERO)


def share_out(entries: Sequence[WeightedEntry]) -> Shares:
    """Divide the weights by their sum and add them up by stage; unknown ones stay unallocated.

    Raises WeightsError.
    """
    numbers = checked([weight for _, _, weight in entries])
    parts: dict[str, list[Decimal]] = {}
    for (_, stage, _), number in zip(entries, numbers, strict=True):
        if stage is not None:
            parts.setdefault(stage, []).append(number)
    whole = Fraction(_sum(numbers))
    return Shares({stage: Fraction(_sum(weights)) / whole for stage, weights in parts.items()})


def checked(weights: Sequence[object]) -> list[Decimal]:
    """Return the weights as numbers that sum to about 1 or 100; raises WeightsError."""
    if not weights:
        raise WeightsError(
            "empty", "The distribution is empty; send at least one stage with its weight."
        )
    numbers = [_number(weight, index) for index, weight in enumerate(weights)]
    total = _sum(numbers)
    if abs(total - 1) <= TOLERANCE or abs(total - 100) <= 100 * TOLERANCE:
        return numbers
    if total == 0:
        raise WeightsError("zero_sum", "All weights are zero; give at least one stage a weight.")
    told = f"The weights add up to {total:.6g}; they must add up to 1 or to 100 (within 1 %)."
    raise WeightsError("wrong_sum", told)


def _number(weight: object, index: int) -> Decimal:
    # Not isinstance: bool is an int to Python, but true is no weight. A float is not what was sent.
    if type(weight) is not Decimal:
        if type(weight) is not int:
            raise WeightsError("not_a_number", f"A weight must be a number, {_SUCH_AS}.", index)
        weight = Decimal(weight)
    if not weight.is_finite():
        raise WeightsError("not_finite", f"A weight must be a finite number, {_SUCH_AS}.", index)
    if weight < 0:
        raise WeightsError("negative", "A weight must not be negative.", index)
    return weight


def _sum(numbers: Iterable[Decimal]) -> Decimal:
    try:
        return reduce(_EXACT.add, numbers, _ZERO)
    except DecimalException:
        told = "The weights have too many digits to be added; send fewer."
        raise WeightsError("wrong_sum", told) from None
