"""Plan of a fund's initial checks and follow-on reserves by stage, exact to the cent.

The model has four steps:

1. The reserve ratio divides the total into an initial pool and a reserve pool.
2. Each stage's initial money is its weight of the initial pool. Weight without a stage stays
   unallocated in both pools.
3. A stage's need is the most that its follow-on rule can use: initial x share of companies that
   get a follow-on x largest follow-on as a multiple of the initial check.
4. The reserve pool is shared pro rata to need, never above it, so that all stages are covered to
   the same degree. What no stage needs is the surplus, reported separately.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from stageapp.finance.allocations import (
    AllocationError,
    allocate,
    apportion,
    exact,
    from_cents,
    to_cents,
)


@dataclass(frozen=True)
class FollowOnRule:
    """A stage's follow-ons: share of companies, and largest multiple of the initial check."""

    share: Decimal
    max_multiple: Decimal

    def __post_init__(self) -> None:
        given = (self.share, self.max_multiple)
        finite = all(number.is_finite() for number in given)
        if not finite or not (0 <= self.share <= 1 and 0 <= self.max_multiple <= 100):
            raise AllocationError(
                "A follow-on rule needs a share from 0 to 1 and a multiple from 0 to 100."
            )

    @property
    def need(self) -> Fraction:
        """The most reserve that the rule can use, per unit of initial money."""
        return exact(self.share) * exact(self.max_multiple)


@dataclass(frozen=True)
class StageReserve:
    """One stage: initial checks, the most that its follow-ons can use, and their reserve."""

    initial: Decimal
    need: Decimal
    reserve: Decimal


@dataclass(frozen=True)
class ReservePlan:
    """A plan whose initials, reserves, surplus and unallocated amounts sum exactly to the total.

    `coverage` is reserve divided by need over all stages, 0 to 1; None if nothing is needed.
    """

    total: Decimal
    stages: dict[str, StageReserve]
    surplus: Decimal
    unallocated_initial: Decimal
    unallocated_reserve: Decimal
    coverage: Fraction | None


def reserve_plan(
    total: Decimal,
    reserve_ratio: Decimal,
    shares: Mapping[str, Fraction],
    follow_on: Mapping[str, FollowOnRule],
) -> ReservePlan:
    """Plan checks and reserves; `reserve_ratio` is the reserves' part of the total, in [0, 1).

    Raises AllocationError, also if a stage with a share has no follow-on rule.
    """
    if not (reserve_ratio.is_finite() and 0 <= reserve_ratio < 1):
        raise AllocationError("The reserve ratio must be at least 0 and below 1.")
    reserve = allocate(total, {"reserve": exact(reserve_ratio)})["reserve"]
    initial_pool, reserve_pool = total - reserve, reserve
    initial = allocate(initial_pool, shares)
    # The stages' own share of the reserve pool: the unallocated weight's part of it is not theirs
    # to use.
    available = sum(allocate(reserve_pool, shares).values(), Decimal(0))
    needs = {stage: _need(stage, money, follow_on) for stage, money in initial.items()}
    reserves = _cover(to_cents(available), needs)
    needed, reserved = sum(needs.values()), sum(reserves.values())
    return ReservePlan(
        total=total,
        stages={
            stage: StageReserve(money, from_cents(needs[stage]), from_cents(reserves[stage]))
            for stage, money in initial.items()
        },
        surplus=available - from_cents(reserved),
        unallocated_initial=initial_pool - sum(initial.values(), Decimal(0)),
        unallocated_reserve=reserve_pool - available,
        coverage=Fraction(reserved, needed) if needed else None,
    )


def _need(stage: str, initial: Decimal, follow_on: Mapping[str, FollowOnRule]) -> int:
    """Return the need in cents, rounded down so that a rule's bound holds to the cent."""
    if not initial:
        return 0
    if stage not in follow_on:
        raise AllocationError(f"There is no follow-on rule for the stage {stage}.")
    return math.floor(to_cents(initial) * follow_on[stage].need)


def _cover(available: int, needs: Mapping[str, int]) -> dict[str, int]:
    """Share the cents pro rata to need, capped at need; ties go to the name that sorts first."""
    needed = sum(needs.values())
    if needed <= available:
        return dict(needs)
    stages = sorted(needs)
    covered = apportion(available, [needs[stage] for stage in stages])
    return dict(zip(stages, covered, strict=True))
