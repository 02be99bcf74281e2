"""The distinct values of a target, within a time limit."""

import pytest
from django.db import connection

from stageapp.models import Fund, PortfolioCompany
from stageapp.targets import targets, values
from stageapp.targets.values import TooSlow, distinct_values, holds

pytestmark = pytest.mark.django_db


@pytest.fixture
def target():
    fund = Fund.objects.create(name="First")
    stages = ["seed", "Seed", "Seed", "Fondo X", "Fondo X", "Fondo X", ""]
    PortfolioCompany.objects.bulk_create(
        PortfolioCompany(fund=fund, name="a", stage=stage) for stage in stages
    )
    return targets.resolve("stageapp.PortfolioCompany.stage")


def test_the_most_frequent_come_first_besides_those_that_are_not_wanted(target):
    assert distinct_values(target, besides=["seed"], seconds=5) == [
        ("", "Fondo X", 3),
        ("", "Seed", 2),
        ("", "", 1),
    ]


def test_they_are_bounded(target, monkeypatch):
    monkeypatch.setattr(values, "MOST_VALUES", 2)
    assert len(distinct_values(target, seconds=5)) == 2


def test_a_table_that_takes_too_long_is_given_up_and_the_session_goes_on(target, monkeypatch):
    monkeypatch.setattr(values, "MOST_VALUES", "(SELECT 5 FROM pg_sleep(5))")
    with pytest.raises(TooSlow, match=r"0\.1 s"):
        distinct_values(target, seconds=0.1)
    assert PortfolioCompany.objects.count() == 7


def test_the_sessions_own_time_limit_is_as_before(target):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '77s'")
        distinct_values(target, seconds=0.5)
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("77s",)


def test_it_tells_whether_a_value_is_there(target):
    assert holds(target, "Fondo X")
    assert not holds(target, "fondo x")
