"""Bars and sparklines: what is drawn is what was measured, and the words say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.admin.charts import HEIGHT, WIDTH, sparkline


def test_a_column_on_the_limit_or_above_is_bad_and_a_gap_has_none():
    spark = sparkline("Unknown, %", [0.0, None, 0.5, 2.0, 0.49], 0.5)
    assert [column.bad for column in spark.columns] == [False, True, True, False]
    assert [column.x for column in spark.columns] == [0, 400, 600, 800]
    assert str(spark) == "Unknown, %: newest 0.49, lowest 0, highest 2, limit 0.5, 4 of 5 measured"


def test_where_a_least_is_asked_for_less_is_bad():
    spark = sparkline("Requests", [10.0, 9.0, 11.0], 10, least=True)
    assert [column.bad for column in spark.columns] == [False, True, False]
    assert "at least 10" in str(spark)


@pytest.mark.parametrize("values", [[], [None, None]])
def test_without_measurements_it_says_so_and_draws_nothing(values):
    spark = sparkline("Unknown, %", values, 0.5)
    assert spark.columns == ()
    assert str(spark) == "Unknown, %: nothing measured, limit 0.5"


@given(st.lists(st.none() | st.floats(0, 1e9), max_size=200), st.floats(0, 1e9))
def test_every_measurement_has_one_column_within_the_drawing(values, limit):
    spark = sparkline("x", values, limit)
    assert len(spark.columns) == sum(value is not None for value in values)
    assert 0 <= spark.limit_y <= HEIGHT
    for column in spark.columns:
        assert 0 <= column.x <= column.x + column.width <= WIDTH + 0.1
        assert 0 <= column.y <= column.y + column.height <= HEIGHT + 0.1
