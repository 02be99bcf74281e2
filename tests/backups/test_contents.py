"""The numbers tell every change of a row, and do not depend on order."""

import datetime

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.backups import contents, postgres
from stageapp.backups.progress import silent
from stageapp.targets.targets import resolve
from tests.normalization.evidence import LABEL, sql

TABLE = "public.stageapp_portfoliocompany"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@pytest.fixture
def measured(backups):
    """Return a function that measures the live database, in a session with settings of its own."""

    def measure(*settings):
        with postgres.connect(postgres.live()) as session:
            for setting in settings:
                session.execute(setting)
            return contents.measure(session, [resolve(LABEL)], silent)

    return measure


def test_rows_written_in_another_order_give_the_same_md5(measured):
    before = measured()
    sql("CREATE TEMP TABLE copied AS SELECT * FROM stageapp_portfoliocompany")
    sql("TRUNCATE stageapp_portfoliocompany")
    sql("INSERT INTO stageapp_portfoliocompany SELECT * FROM copied ORDER BY id DESC")
    sql("DROP TABLE copied")
    assert measured() == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stageapp_portfoliocompany SET stage = stage || ' ' WHERE name = 'c 7'",
        "UPDATE stageapp_portfoliocompany SET stage = name, name = stage",
        "UPDATE stageapp_portfoliocompany SET updated_at = updated_at + interval '1 microsecond'",
        # The same values in other rows: the columns' own sums would not tell.
        "UPDATE stageapp_portfoliocompany c SET stage = d.stage FROM stageapp_portfoliocompany d "
        "WHERE d.id = c.id + 1",
    ],
)
def test_every_change_of_a_row_changes_the_md5(measured, change):
    before = measured()
    sql(change)
    assert measured().tables[TABLE].rows == before.tables[TABLE].rows
    assert measured().tables[TABLE].md5 != before.tables[TABLE].md5


def test_a_row_twice_is_not_a_row_never(session):
    def summed(*values):
        session.execute("TRUNCATE odd")
        session.cursor().executemany("INSERT INTO odd VALUES (%s)", [[value] for value in values])
        return contents.table_facts(session, psycopg.sql.Identifier("odd")).md5

    assert len({summed("a"), summed("a", "b", "b"), summed("a", "c", "c"), summed("a", "b")}) == 4


def test_the_md5_does_not_depend_on_the_sessions_settings(measured):
    odd = [
        "SET TimeZone = 'Asia/Kathmandu'",
        "SET DateStyle = 'German'",
        "SET extra_float_digits = -15",
        "SET bytea_output = 'escape'",
        "SET IntervalStyle = 'sql_standard'",
    ]
    assert measured(*odd) == measured()


def test_stages_are_counted_as_they_are(measured):
    found = measured().stages[LABEL]
    assert dict(found.counts) == dict(
        sql("SELECT stage, count(*) FROM stageapp_portfoliocompany GROUP BY 1")
    )
    assert found.distinct == 8
    sql(
        "UPDATE stageapp_portfoliocompany SET stage = repeat('x', 300) WHERE stage = 'seed'"
    )  # too long to show
    assert measured().stages[LABEL].distinct == 8
    assert measured().stages[LABEL].md5 != found.md5


def test_the_audit_log_and_the_rows_agree_until_somebody_changes_one(measured):
    assert measured().audit[LABEL] == contents.AuditFacts(100, 100)
    sql("UPDATE stageapp_portfoliocompany SET stage = 'mine' WHERE stage = 'series_b'")
    assert measured().audit[LABEL] == contents.AuditFacts(100, 80)
    assert measured().batches_off == 0
    sql(
        "INSERT INTO stageapp_normalizationlog (batch_id, keys, old, new) "
        "SELECT batch_id, keys, old, new FROM stageapp_normalizationlog LIMIT 1"
    )
    assert measured().batches_off == 1


@pytest.mark.parametrize(
    "change, undo",
    [
        (
            "ALTER TABLE stageapp_fund ADD COLUMN extra int",
            "ALTER TABLE stageapp_fund DROP COLUMN extra",
        ),
        (
            "ALTER TABLE stageapp_fund ADD CONSTRAINT short CHECK (length(name) < 999)",
            "ALTER TABLE stageapp_fund DROP CONSTRAINT short",
        ),
        ("CREATE INDEX extra ON stageapp_fund (name)", "DROP INDEX extra"),
        ("CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION extra()"),
        (
            "INSERT INTO django_migrations (app, name, applied) VALUES ('stageapp', '9999', now())",
            "DELETE FROM django_migrations WHERE name = '9999'",
        ),
    ],
)
def test_a_change_of_the_schema_changes_its_sum_and_data_does_not(measured, change, undo):
    before = measured().schema
    sql("UPDATE stageapp_portfoliocompany SET stage = 'x'")
    assert measured().schema == before
    sql(change)
    try:
        assert measured().schema != before
    finally:
        sql(undo)
    assert measured().schema == before


def test_a_column_named_like_the_alias_of_a_row_is_no_trap(measured):
    sql("CREATE TABLE odd (t text, h text, hashed int)")
    try:
        sql("INSERT INTO odd VALUES ('a', 'b', 1)")
        first = measured().tables["public.odd"]
        sql("UPDATE odd SET hashed = 2")
        assert measured().tables["public.odd"].md5 != first.md5
    finally:
        sql("DROP TABLE odd")


@given(values=st.lists(TEXT, max_size=20), chance=st.randoms())
def test_any_texts_sum_up_the_same_in_any_order(session, values, chance):
    def summed():
        session.execute("TRUNCATE odd")
        session.cursor().executemany("INSERT INTO odd VALUES (%s)", [[value] for value in values])
        return contents.table_facts(session, psycopg.sql.Identifier("odd"))

    first = summed()
    chance.shuffle(values)
    assert summed() == first
    assert first.rows == len(values)


@pytest.fixture(scope="module")
def session(django_db_setup, django_db_blocker):
    """Return a session with an empty temporary table `odd`."""
    with django_db_blocker.unblock(), postgres.connect(postgres.live()) as session:
        session.execute("CREATE TEMP TABLE odd (value text)")
        yield session


def test_connection_settings_reach_the_programs_by_the_environment_alone():
    at = {
        "HOST": "db",
        "PORT": 5433,
        "USER": "u",
        "PASSWORD": "p w",
        "NAME": "n",
        "OPTIONS": {"sslmode": "require", "connect_timeout": 5, "pool": True, "isolation_level": 2},
    }
    parameters = postgres.of_settings(at)
    assert postgres.environment(parameters) == {
        "PGHOST": "db",
        "PGPORT": "5433",
        "PGUSER": "u",
        "PGPASSWORD": "p w",
        "PGDATABASE": "n",
        "PGSSLMODE": "require",
        "PGCONNECT_TIMEOUT": "5",
    }
    assert "pool" not in parameters


def test_times_of_a_snapshot_have_a_zone(made):
    assert made.taken_at.tzinfo is datetime.UTC
    assert made.taken_at <= made.ended_at
