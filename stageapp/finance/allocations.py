"""Allocation of money to stages, exact to the cent, by largest remainders (Hamilton's method).

Money is a Decimal, a share of a whole a Fraction: no share is ever a binary float, in which 0.35
is not 0.35. The arithmetic uses integers: cents, and shares over one denominator.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

CENT = Decimal("0.01")
MAX_TOTAL = Decimal(10) ** 15
# Decimals of a share that is stored or answered: a double keeps them, and so every reader.
SHARE_PLACES = 15
_MOST_PLACES = 1000


class AllocationError(ValueError):
    """Invalid money, weights or rules; the message names the value and the requirement."""


def allocate(total: Decimal, shares: Mapping[str, Fraction]) -> dict[str, Decimal]:
    """Split `total` by the shares, which sum to at most 1.

    The part missing to 1 stays unallocated: it is `total` minus the parts. Every part is its exact
    quota rounded down or up to a cent; the remaining cents go to the largest remainders, ties
    first to the name that sorts first, last to the unallocated rest. So a larger share never gets
    less, and a share of zero gets nothing. (As with every largest-remainder rule, a larger total
    can cost a part a cent.) Raises AllocationError.
    """
    return {stage: from_cents(cents) for stage, cents in _split(to_cents(total), shares).items()}


def rounded(shares: Mapping[str, Fraction]) -> dict[str, Decimal]:
    """Round shares to SHARE_PLACES decimals by the same rule: a sum of 1 stays 1.

    Raises AllocationError.
    """
    units = _split(10**SHARE_PLACES, shares)
    return {stage: Decimal(part).scaleb(-SHARE_PLACES) for stage, part in units.items()}


def apportion(units: int, weights: Sequence[int]) -> list[int]:
    """Split units by weights (not all zero) with largest remainders; the first wins ties."""
    whole = sum(weights)
    quotas = [divmod(units * weight, whole) for weight in weights]
    parts = [part for part, _ in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda place: -quotas[place][1])
    for place in by_remainder[: units - sum(parts)]:
        parts[place] += 1
    return parts


def to_cents(money: Decimal) -> int:
    """Return whole cents; raises AllocationError for fractional cents or an invalid amount."""
    if not (money.is_finite() and 0 <= money <= MAX_TOTAL):
        raise AllocationError(f"An amount must lie between 0 and {MAX_TOTAL:f}.")
    cents = money.quantize(CENT)
    if cents != money:
        raise AllocationError("An amount must not have parts of a cent.")
    return int(cents.scaleb(2))


def from_cents(cents: int) -> Decimal:
    """Return whole cents as money with two decimal places."""
    return Decimal(cents).scaleb(-2).quantize(CENT)


def exact(number: Decimal) -> Fraction:
    """Return the number as a fraction.

    Raises AllocationError if the fraction would be huge: 1e-999999999 has a billion digits.
    """
    if not number.is_finite() or abs(number.adjusted()) > _MOST_PLACES:
        raise AllocationError(f"A share or ratio may have at most {_MOST_PLACES} decimals.")
    return Fraction(number)


def _split(units: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    """Split whole units by the shares, in the order of the shares."""
    if not all(0 <= share <= 1 for share in shares.values()):
        raise AllocationError("Every share must lie between 0 and 1.")
    names = sorted(shares)
    whole = math.lcm(*(share.denominator for share in shares.values()))
    weights = [shares[name].numerator * (whole // shares[name].denominator) for name in names]
    rest = whole - sum(weights)
    if rest < 0:
        raise AllocationError("The shares must add up to at most 1.")
    # The rest comes last, so that it loses ties.
    parts = dict(zip(names, apportion(units, [*weights, rest]), strict=False))
    return {name: parts[name] for name in shares}
