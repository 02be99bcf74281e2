"""Split money over stages, exact to the cent, by the method of largest remainders (Hamilton's method)."""

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

CENT = Decimal("0.01")
MAX_TOTAL = Decimal(10) ** 15
_SUM_ROUNDING = Fraction(1, 10**9)
_LARGEST_WEIGHT = 1 + 1e-9
_WEIGHT_PLACES = Decimal("1e-18")


class AllocationError(ValueError):
    """Money, weights or rules that cannot be used; the message names the value and what it must be."""


def allocate(total: Decimal, weights: Mapping[str, float | Decimal]) -> dict[str, Decimal]:
    """Split `total` by the weights, which are shares that make at most 1.

    What is missing to 1 stays unallocated: it is `total` less the parts. Every part is its exact quota
    rounded down or up to a cent; the cents left over go to the largest remainders, ties first to the name
    that sorts first, last to the unallocated rest. So a larger weight never gets less, and a weight of zero
    gets nothing. (As with every largest-remainder rule, a larger total can cost a part a cent.) Raises
    AllocationError.
    """
    shares = _shares(weights)
    whole = sum(shares.values(), Fraction(0))
    # The rest comes last, so that it loses ties.
    quotas = [to_cents(total) * share for share in [*shares.values(), 1 - whole]]
    parts = dict(zip(shares, round_quotas(quotas), strict=False))
    return {stage: from_cents(parts[stage]) for stage in weights}


def round_quotas(quotas: list[Fraction]) -> list[int]:
    """Round quotas that make a whole number together to whole numbers that make the same; first wins ties."""
    parts = [math.floor(quota) for quota in quotas]
    missing = int(sum(quotas, Fraction(0))) - sum(parts)
    by_remainder = sorted(range(len(quotas)), key=lambda place: parts[place] - quotas[place])
    for place in by_remainder[:missing]:
        parts[place] += 1
    return parts


def to_cents(money: Decimal) -> int:
    """Return the money in whole cents; raises AllocationError on parts of a cent and on what is no amount."""
    if not (money.is_finite() and 0 <= money <= MAX_TOTAL):
        raise AllocationError(f"An amount must lie between 0 and {MAX_TOTAL:f}.")
    rounded = money.quantize(CENT)
    if rounded != money:
        raise AllocationError("An amount must not have parts of a cent.")
    return int(rounded.scaleb(2))


def from_cents(cents: int) -> Decimal:
    """Return whole cents as money with two places."""
    return Decimal(cents).scaleb(-2).quantize(CENT)


def _shares(weights: Mapping[str, float | Decimal]) -> dict[str, Fraction]:
    """Return the weights as exact fractions, in order of name; rounding around 1 is taken out."""
    if not all(math.isfinite(weight) and 0 <= weight <= _LARGEST_WEIGHT for weight in weights.values()):
        raise AllocationError("Every weight must lie between 0 and 1.")
    shares = {stage: _exact(weights[stage]) for stage in sorted(weights)}
    whole = sum(shares.values(), Fraction(0))
    if whole > 1 + _SUM_ROUNDING:
        raise AllocationError("The weights must add up to at most 1.")
    if abs(whole - 1) <= _SUM_ROUNDING:
        return {stage: share / whole for stage, share in shares.items()}
    return shares


def _exact(weight: float | Decimal) -> Fraction:
    # A Decimal such as 1e-999999999 would become a fraction of a billion digits: 18 places are enough.
    return Fraction(weight.quantize(_WEIGHT_PLACES) if isinstance(weight, Decimal) else weight)
