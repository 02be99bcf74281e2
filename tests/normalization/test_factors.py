"""The table of what holds a run: both sides of each limit, and no fluttering in between."""

import math

import pytest

from stageapp.normalization.factors import FACTORS, Reading, Standing, judge, nonsense

RISING = [name for name, factor in FACTORS.items() if not factor.falls]
LIMIT = 10.0  # goes on at 8, or at 12.5 where low is bad


def standing(name, value, held=False, limit=LIMIT, **more):
    return judge(name, Reading(value, **more), limit, held=held).standing


@pytest.mark.parametrize("name", RISING)
@pytest.mark.parametrize(
    "value, held, expected",
    [
        (9.99, False, Standing.OK),
        (10.0, False, Standing.HOLDS),
        (10.01, False, Standing.HOLDS),
        (9.0, True, Standing.HOLDS),  # between the limits: who is held stays held …
        (9.0, False, Standing.OK),  # … and who is not is not
        (8.01, True, Standing.HOLDS),
        (8.0, True, Standing.OK),
        (0.0, True, Standing.OK),
    ],
)
def test_a_high_value_holds(name, value, held, expected):
    assert standing(name, value, held) == expected


@pytest.mark.parametrize(
    "value, held, expected",
    [
        (10.01, False, Standing.OK),
        (10.0, False, Standing.HOLDS),
        (0.0, False, Standing.HOLDS),
        (11.0, True, Standing.HOLDS),
        (11.0, False, Standing.OK),
        (12.49, True, Standing.HOLDS),
        (12.5, True, Standing.OK),
        (100.0, True, Standing.OK),
    ],
)
def test_little_free_disk_holds(value, held, expected):
    assert standing("disk_free", value, held) == expected


@pytest.mark.parametrize("name", FACTORS)
def test_a_value_that_swings_around_the_limit_holds_once(name):
    held, changes = False, 0
    for value in (
        [9.9, 10.1, 9.9, 10.1] * 20 if name != "disk_free" else [10.1, 9.9, 10.1, 9.9] * 20
    ):
        now = standing(name, value, held) == Standing.HOLDS
        changes += now != held
        held = now
    assert (held, changes) == (True, 1)


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("value", [0.0, 1e6])
def test_a_limit_of_zero_turns_it_off(name, value):
    assert standing(name, value, limit=0) == Standing.OFF


@pytest.mark.parametrize("name", FACTORS)
def test_what_cannot_be_read_is_not_called_well(name):
    assert standing(name, None, note="no rights") == Standing.NOT_MEASURED
    assert standing(name, None, absent=True) == Standing.NOTHING


def test_of_a_partial_value_only_a_bad_one_says_something():
    assert standing("active_sessions", 9, partial=True) == Standing.NOT_MEASURED
    assert standing("active_sessions", 11, partial=True) == Standing.HOLDS


def test_the_sentence_says_value_limit_and_when_it_goes_on():
    judged = judge("replica_lag", Reading(12.34, "walreceiver"), 10, held=False)
    assert judged.text == "replica lag 12 s (walreceiver); the limit is 10 s, work continues at 8 s"


@pytest.mark.parametrize(
    "name, limit, said",
    [
        ("replica_lag", 0, ""),
        ("replica_lag", 3600, ""),
        ("disk_free", 100, ""),
        ("disk_free", 101, "is not a valid limit for disk_free: use 0 (off) to 100"),
        ("replica_lag", -1, "is not a valid limit for replica_lag"),
        ("replica_lag", math.inf, "is not a valid limit"),
        ("replica_lag", math.nan, "is not a valid limit"),
        ("moon", 1, "the factors are replica_lag, lock_waiters"),
    ],
)
def test_a_limit_that_makes_no_sense_is_named(name, limit, said):
    assert (nonsense(name, limit) == "") == (said == "")
    assert said in nonsense(name, limit)
