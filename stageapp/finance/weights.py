"""Turn the weights a caller sent into shares of one whole.

The rules: a weight is a finite number, not negative; all weights together make 1 or 100, within 1 % of that
figure; they are then rescaled to exactly 1. Two spellings of one stage add up. The share of an unknown
spelling stays unallocated: it is reported, and never moved to a stage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

# Three times 0.33 is an honest 99 %, and in binary it lies a hair outside one per cent.
TOLERANCE = 0.01 + 1e-9

_Sums = dict[tuple[bool, str], list[float]]

WeightedEntry = tuple[str, str | None, object]
"""(raw spelling, its stage or None when unknown, the weight as the caller sent it)."""


class WeightsError(ValueError):
    """Weights that cannot be shared out; `index` is the entry at fault, None when it is the whole.

    `code` is one of: empty, not_a_number, not_finite, negative, zero_sum, wrong_sum.
    """

    def __init__(self, code: str, message: str, index: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.index = index


@dataclass(frozen=True)
class Shares:
    """Shares of one whole: `math.fsum` over stages and unknowns is exactly 1.0."""

    stages: dict[str, float]
    unknowns: dict[str, float]

    @property
    def unallocated(self) -> float:
        """Return the share that belongs to no stage, 0 to 1."""
        return math.fsum(self.unknowns.values())


def share_out(entries: Sequence[WeightedEntry]) -> Shares:
    """Rescale the weights to exactly 1 and add them up by stage, or by raw spelling where it is unknown.

    Raises WeightsError.
    """
    if not entries:
        raise WeightsError("empty", "The distribution is empty; send at least one stage with its weight.")
    sums: _Sums = {}
    for index, (raw, stage, weight) in enumerate(entries):
        # Nearly every weight is a plain positive float; this is on every request's path.
        number = weight if type(weight) is float and 0 < weight < math.inf else _number(weight, index)
        key = (True, raw) if stage is None else (False, stage)
        sums.setdefault(key, []).append(number)
    shares = _rescale(sums, _total(sums))
    return Shares(
        stages={name: share for (unknown, name), share in shares.items() if not unknown},
        unknowns={name: share for (unknown, name), share in shares.items() if unknown},
    )


def _number(weight: object, index: int) -> float:
    # bool is an int to Python, but true is no weight.
    if isinstance(weight, bool) or not isinstance(weight, int | float | Decimal):
        raise WeightsError("not_a_number", "A weight must be a number, such as 0.25 or 25.", index)
    try:
        number = float(weight)
    except (OverflowError, ValueError):  # an int beyond float; a signalling NaN
        number = math.inf
    if not math.isfinite(number):
        raise WeightsError("not_finite", "A weight must be a finite number, such as 0.25 or 25.", index)
    if number < 0:
        raise WeightsError("negative", "A weight must not be negative.", index)
    return abs(number)  # -0.0 becomes 0.0


def _total(sums: _Sums) -> float:
    try:
        total = math.fsum(chain.from_iterable(sums.values()))
    except OverflowError:
        total = math.inf
    if abs(total - 1) <= TOLERANCE or abs(total - 100) <= 100 * TOLERANCE:
        return total
    if total == 0:
        raise WeightsError("zero_sum", "All weights are zero; give at least one stage a weight.")
    raise WeightsError("wrong_sum", f"The weights add up to {total:.6g}; they must add up to 1 or to 100 (within 1 %).")


def _rescale(sums: _Sums, total: float) -> dict[tuple[bool, str], float]:
    shares = {key: math.fsum(parts) / total for key, parts in sums.items()}
    if math.fsum(shares.values()) == 1:
        return shares
    # The largest share takes up the rounding of the division; ties go by name, whatever the order sent.
    largest = max(shares, key=lambda key: (shares[key], key))
    shares[largest] = math.fsum([1.0, *(-share for key, share in shares.items() if key != largest)])
    return shares
