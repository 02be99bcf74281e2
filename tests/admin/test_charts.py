"""Bars and sparklines: what is drawn is what was measured, and the words say the same."""

import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stageapp.admin.charts import HEIGHT, SPARKLINE_WIDTH, TALL, course, sparkline


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
        assert 0 <= column.x <= column.x + column.width <= SPARKLINE_WIDTH + 0.1
        assert 0 <= column.y <= column.y + column.height <= HEIGHT + 0.1


def at(minute):
    return datetime.datetime(2030, 1, 1, 0, minute, tzinfo=datetime.UTC)


def test_a_course_stands_at_its_times_under_a_round_top():
    found = course("RTO", [(at(0), 12.0), (at(10), 20.0), (at(40), 5.0)], "{:.0f} s".format)
    assert [(point.x, point.y) for point in found.points] == [(0, 80), (250, 0), (1000, 150)]
    assert found.ticks == ("20 s", "10 s", "0 s")
    assert found.grid == (0, 100, 200)  # beside the ticks
    assert found.line == "0.0,80.0 250.0,0.0 1000.0,150.0"
    assert str(found) == "RTO: 3 measured, newest 5 s at 2030-01-01 00:40 UTC, scale up to 20 s"


def test_a_single_measurement_stands_in_the_middle_and_none_says_so():
    assert [point.x for point in course("RTO", [(at(0), 0.0)]).points] == [500]
    assert str(course("RTO", [])) == "RTO: nothing measured"


@given(st.lists(st.tuples(st.integers(0, 59), st.floats(0, 1e9)), min_size=1, max_size=50))
@example([(0, 5e-324)])
def test_every_measurement_of_a_course_is_within_the_drawing(values):
    found = course("x", [(at(minute), value) for minute, value in sorted(values)])
    assert len(found.points) == len(values)
    assert all(0 <= point.x <= SPARKLINE_WIDTH and 0 <= point.y <= TALL for point in found.points)
