import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.finance.outcome import annual_rate, pooled_rates


@pytest.mark.parametrize(
    "multiple, years, rate", [(2, 1, 1), (1.21, 2, 0.1), (1, 7, 0), (0, 5, -1), (0.25, 2, -0.5)]
)
def test_a_multiple_over_years_is_a_yearly_rate(multiple, years, rate):
    assert annual_rate(multiple, years) == pytest.approx(rate)


def test_pooled_payments_at_one_time_have_the_rate_of_their_sum():
    rates = pooled_rates(np.array([[1.0, 0.2], [0.44, 0.05]]), np.array([2.0, 2.0]))
    assert rates == pytest.approx([0.2, -0.5])


def test_payments_at_two_times_are_discounted_each_by_its_own():
    # 0.55 / 1.1 + 0.605 / 1.1 ** 2 is 1.
    assert pooled_rates(np.array([[0.55], [0.605]]), np.array([1.0, 2.0])) == pytest.approx([0.1])


def test_a_run_that_returns_nothing_has_lost_all_and_does_not_disturb_the_others():
    rates = pooled_rates(np.array([[0.0, 1.5, 0.0], [0.0, 0.0, 1.0]]), np.array([1.0, 5.0]))
    assert rates == pytest.approx([-1, 0.5, 0])


flows = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e4)), min_size=3, max_size=3).filter(any)
periods = st.lists(st.floats(0.25, 30), min_size=3, max_size=3)


@given(flows, periods)
def test_the_rate_discounts_the_payments_to_the_price(returned, years):
    rate = pooled_rates(np.array(returned)[:, np.newaxis], np.array(years))[0]
    assert np.isfinite(rate)
    assert rate >= -1
    if rate > -0.999:  # nearer to total loss, 1 + rate has lost its digits
        present = sum(
            money * (1 + rate) ** -after for money, after in zip(returned, years, strict=True)
        )
        assert present == pytest.approx(1, rel=1e-8)
