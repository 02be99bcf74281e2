import csv
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

import stageapp
from stageapp.finance.assumptions import (
    MAX_COMPANIES,
    AssumptionError,
    Lognormal,
    PowerLaw,
    StageAssumptions,
    expected_multiple,
    multiple_quantile,
    multiple_variance,
)
from stageapp.finance.outcome import annual_rate
from stageapp.finance.reserves import FollowOnRule

TABLE = Path(stageapp.__file__).parent / "vocabulary" / "assumptions_v1.tsv"
COLUMNS = {
    "slug": "seed",
    "failure_rate": "0.6",
    "distribution": "power_law",
    "alpha": "1.3",
    "minimum_multiple": "2",
    "maximum_multiple": "300",
    "median_multiple": "",
    "sigma": None,
    "holding_years": 7,
    "average_check": 1.5e6,
}


@pytest.fixture(scope="module")
def shipped():
    with TABLE.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def test_columns_of_text_or_numbers_become_assumptions():
    expected = StageAssumptions("seed", 0.6, PowerLaw(1.3, 2, 300), 7, Decimal(1_500_000))
    assert StageAssumptions.from_columns(COLUMNS) == expected


def test_a_lognormal_reads_its_own_columns():
    columns = COLUMNS | {"distribution": "lognormal", "median_multiple": 1.5, "sigma": 0.4}
    assert StageAssumptions.from_columns(columns).multiple == Lognormal(1.5, 0.4)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"distribution": "normal"}, "must be power_law or lognormal"),
        ({"distribution": "lognormal"}, "median_multiple must be a number"),
        ({"alpha": None}, "alpha must be a number"),
        ({"failure_rate": 1.2}, "failure_rate is 1.2; it must lie between 0 and 1"),
        ({"failure_rate": "nan"}, "failure_rate is nan"),
        ({"holding_years": 0}, "holding_years"),
        ({"average_check": 0}, "average_check"),
    ],
)
def test_a_senseless_column_is_refused_by_name(change, message):
    with pytest.raises(AssumptionError, match=message):
        StageAssumptions.from_columns(COLUMNS | change)


@pytest.mark.parametrize(
    "money, companies",
    [(0, 1), (1, 1), (2.2e6, 1), (2.3e6, 2), (3_750_000, 2), (1e15, MAX_COMPANIES)],
)
def test_money_is_spread_over_cheques_within_bounds(money, companies):
    assert StageAssumptions.from_columns(COLUMNS).companies(Fraction(money)) == companies


def test_failures_count_as_zero_in_mean_variance_and_quantiles():
    coin = StageAssumptions("coin", 0.5, PowerLaw(1.0, 1.0, math.e), 5, 1)
    mean = 0.5 * math.e / (math.e - 1)
    assert expected_multiple(coin) == pytest.approx(mean)
    assert multiple_variance(coin) == pytest.approx(0.5 * math.e - mean**2)
    assert [multiple_quantile(coin, q) for q in (0, 0.5)] == [0, 0]
    # Of the survivors, 1 / (1 - 1/e) x (1 - 1/x) stay below x.
    assert multiple_quantile(coin, 0.75) == pytest.approx(1 / (1 - 0.5 * (1 - 1 / math.e)))


def test_a_stage_that_always_fails_expects_nothing():
    lost = StageAssumptions("lost", 1.0, Lognormal(2, 1), 5, 1)
    assert expected_multiple(lost) == multiple_variance(lost) == multiple_quantile(lost, 0.99) == 0


def test_the_shipped_table_covers_the_default_vocabulary(shipped):
    slugs = [
        "pre_seed",
        "seed",
        "series_a",
        "series_b",
        "series_c",
        "series_d",
        "series_e_plus",
        "growth",
    ]
    assert [row["slug"] for row in shipped] == slugs


def test_shipped_stages_grow_safer_and_pay_less_the_later_they_are(shipped):
    stages = [StageAssumptions.from_columns(row) for row in shipped]
    for measure in (
        lambda a: a.failure_rate,
        expected_multiple,
        multiple_variance,
        lambda a: a.holding_years,
    ):
        values = [measure(stage) for stage in stages]
        assert values == sorted(values, reverse=True)


def test_no_shipped_stage_is_favoured_by_its_expected_rate_of_return(shipped):
    for stage in map(StageAssumptions.from_columns, shipped):
        assert 0.09 < annual_rate(expected_multiple(stage), stage.holding_years) < 0.13


def test_the_shipped_follow_on_columns_are_rules(shipped):
    for row in shipped:
        share, multiple = Decimal(row["follow_on_share"]), Decimal(row["follow_on_multiple"])
        assert FollowOnRule(share, multiple).need > 0


def test_series_a_reproduces_the_published_distribution_of_outcomes(shipped):
    # Correlation Ventures, over 21,000 US financings 2004-2013: shares that returned at least this
    # multiple.
    published = {1: 0.35, 5: 0.10, 10: 0.04, 20: 0.015, 50: 0.004}
    series_a = StageAssumptions.from_columns(shipped[2])
    for multiple, share in published.items():
        # Within a quarter of each share; the sources themselves round to one digit.
        assert multiple_quantile(series_a, 1 - 1.25 * share) <= multiple
        assert multiple_quantile(series_a, 1 - 0.75 * share) >= multiple
