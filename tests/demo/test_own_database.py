"""The walk's own database: its address, and one walk at a time."""

import os

import environ
import pytest
from django.db import connection

from stageapp.demo import own_database

EMBEDDED = "postgres://stage:pw@:5432//tmp/stage-1/postgres18/stage"


def test_only_the_name_of_the_database_differs(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", EMBEDDED)
    before = environ.FileAwareEnv().db("DATABASE_URL")
    monkeypatch.setenv("DATABASE_URL", own_database.variables()["DATABASE_URL"])
    after = environ.FileAwareEnv().db("DATABASE_URL")
    assert after == before | {"NAME": own_database.NAME}


@pytest.mark.parametrize("url", ["unix:///tmp/redis.sock?db=0", "unix:///tmp/redis.sock"])
def test_only_the_number_of_redis_differs(url, monkeypatch):
    monkeypatch.setenv("REDIS_URL", url)
    assert own_database.variables()["REDIS_URL"] == "unix:///tmp/redis.sock?db=63"


def test_a_process_knows_whether_it_works_there(monkeypatch):
    assert not own_database.in_use()
    monkeypatch.setitem(connection.settings_dict, "NAME", own_database.NAME)
    assert own_database.in_use()


@pytest.fixture
def _this_sessions_own(monkeypatch):
    """Take a database and a Redis number that no other test session uses."""
    monkeypatch.setattr(own_database, "NAME", f"{connection.settings_dict['NAME']}_once")
    monkeypatch.setattr(own_database, "REDIS_NUMBER", os.environ["REDIS_URL"].rpartition("db=")[2])


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_this_sessions_own")
def test_it_is_made_anew_and_dropped_and_there_is_one_at_a_time(tmp_path):
    def exists() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_database WHERE datname = %s", [own_database.NAME]
            )
            return bool(cursor.fetchone()[0])

    with connection.cursor() as cursor:  # as a killed walk leaves it
        cursor.execute(f"CREATE DATABASE {own_database.NAME}")
    with own_database.own_database(tmp_path) as variables:
        assert exists()
        assert variables["DATABASE_URL"].endswith(own_database.NAME)
        with pytest.raises(own_database.AlreadyRunning), own_database.own_database(tmp_path):
            pass
        assert exists()
    assert not exists()
