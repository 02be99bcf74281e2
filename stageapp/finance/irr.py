"""Annual rates of return: of one multiple over one period, and pooled over payments at different times."""

import numpy as np

from stageapp.finance.multiples import Floats

_MAX_STEPS = 100
_PRECISION = 1e-12


def annual_rate(multiple: float, years: float) -> float:
    """Return the yearly rate that turns 1 into `multiple` in `years`; a total loss is -1."""
    return float(multiple ** (1 / years) - 1)


def pooled_rates(returned: Floats, years: Floats) -> Floats:
    """Return the internal rate of return of each run.

    One unit is paid at the start; `returned[k]` (shape flows x runs) comes back after `years[k]` (shape
    flows). So the rate r solves sum(returned[k] * (1 + r) ** -years[k]) == 1, which has one root above -1.
    A run that returns nothing has the rate -1.
    """
    total = returned.sum(axis=0)
    rates = np.full(total.shape, -1.0)
    alive = total > 0
    if alive.any():
        rates[alive] = np.expm1(_log_rates(returned[:, alive], years, np.log(total[alive])))
    return rates


def _log_rates(returned: Floats, years: Floats, log_total: Floats) -> Floats:
    """Solve by Newton's method in x = log(1 + r).

    In x, the logarithm of the present value is convex and falls; begun left of the root, Newton's steps all
    go right and never pass it.
    """
    log_returned = np.full(returned.shape, -np.inf)
    np.log(returned, out=log_returned, where=returned > 0)
    x: Floats = np.where(log_total >= 0, log_total / years.max(), log_total / years.min())
    for _ in range(_MAX_STEPS):
        log_value, duration = _log_present_value(log_returned, years, x)
        step = log_value / duration
        x += step
        if np.abs(step).max() < _PRECISION:
            break
    return x


def _log_present_value(log_returned: Floats, years: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Return the logarithm of the present value, and its duration in years (its slope in x, negated)."""
    terms = log_returned - years[:, np.newaxis] * x
    largest = terms.max(axis=0)
    terms -= largest  # keeps exp within range
    np.exp(terms, out=terms)
    value = terms.sum(axis=0)
    terms *= years[:, np.newaxis]
    return largest + np.log(value), terms.sum(axis=0) / value
