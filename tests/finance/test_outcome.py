import numpy as np
import pytest

from stageapp.finance.outcome import (
    histogram,
    percentiles,
    rates_by_period,
    share_at_least,
    standard_error,
)

ODD = np.array([3.0, 1.0, 0.0, 5.0, 1.0])


def test_the_standard_error_is_the_sample_deviation_over_the_root_of_the_runs():
    assert standard_error(np.array([1.0, 3.0])) == pytest.approx(1)
    assert standard_error(np.array([1.0])) is None


def test_percentiles_are_named_and_interpolated():
    assert percentiles(ODD) == {
        "p5": pytest.approx(0.2),
        "p10": pytest.approx(0.4),
        "p25": 1,
        "p50": 1,
        "p75": 3,
        "p90": pytest.approx(4.2),
        "p95": pytest.approx(4.6),
    }


@pytest.mark.parametrize("multiple, share", [(0, 1), (1, 0.8), (3, 0.4), (5, 0.2), (5.1, 0)])
def test_a_run_that_reaches_the_multiple_exactly_counts(multiple, share):
    assert share_at_least(ODD, multiple) == share


def test_the_last_bin_begins_at_the_99th_percentile_and_ends_at_the_best_run():
    found = histogram(np.append(np.linspace(0, 1, 1000), 400.0))
    assert found.edges[0] == 0
    assert found.edges[-2:] == [pytest.approx(0.991, abs=1e-3), 400]
    assert found.counts[-1] == 11
    assert sum(found.counts) == 1001


def test_runs_that_all_came_out_the_same_make_one_bin():
    assert histogram(np.full(7, 2.5)).counts == [7]


def test_quartiles_become_yearly_rates_for_each_period():
    rates = rates_by_period({"p25": 1.0, "p50": 1.1**5, "p75": 2.0})
    assert [rate.years for rate in rates] == [3, 5, 7, 10]
    assert (rates[1].p25, rates[1].p50) == (0, pytest.approx(0.1))
    assert rates[3].p75 == pytest.approx(2**0.1 - 1)
