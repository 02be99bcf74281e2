"""A database whose stages held their own assumptions: moved as they were typed, and back."""

from decimal import Decimal
from importlib import import_module

import psycopg
import pytest
from django.db import connection

from tests.normalization.evidence import database_url, sql
from tests.normalization.processes import manage

OLDER = "stage_with_assumptions_in_stages"
MOVING = import_module("stageapp.migrations.0018_finance").Migration
SAME = """distribution, median_multiple, sigma, holding_years, average_check,
follow_on_share, follow_on_multiple"""
STAGES = """SELECT slug, failure_rate, distribution, sigma, average_check, follow_on_share
  FROM stageapp_stage ORDER BY 1"""
BEFORE = MOVING.dependencies[0][1]
WRITTEN = """
UPDATE stageapp_stage SET failure_rate = 0.35, sigma = 0.1234567890123, average_check = 1234567.89
 WHERE slug = 'growth';
INSERT INTO stageapp_strategy
       (name, raw_allocation, allocation, unallocated, vocabulary_version, created_at)
VALUES ('s', '[{"stage": "Seed", "weight": 0.7}]', '{"seed": 0.7}', 0.3, 1, now());
"""


@pytest.fixture
def older(transactional_db):
    """Make a database as it was before; return a function that asks it, and its URL."""
    sql(f"DROP DATABASE IF EXISTS {OLDER} WITH (FORCE)")
    sql(f"CREATE DATABASE {OLDER}")
    url = f"{database_url().rpartition('/')[0]}/{OLDER}"
    for app in (["auth"], ["stageapp", BEFORE]):
        assert manage("migrate", *app, "--verbosity", "0", DATABASE_URL=url)[0] == 0
    known = connection.get_connection_params()
    at = {name: known[name] for name in ("host", "port", "user", "password")}
    with psycopg.connect(**at, dbname=OLDER, autocommit=True) as session:

        def ask(statement):
            found = session.execute(statement)
            return found.fetchall() if found.description else []

        ask(WRITTEN)
        yield ask, url
    sql(f"DROP DATABASE {OLDER} WITH (FORCE)")


def migrate(url, *to):
    return manage("migrate", *to, "--verbosity", "0", DATABASE_URL=url)


def test_assumptions_move_as_they_were_typed_and_back_without_a_vocabulary_version(older):
    ask, url = older
    before, versions = ask(STAGES), ask("SELECT count(*) FROM stageapp_vocabularyversion")

    assert migrate(url)[0] == 0

    assert ask("SELECT count(*) FROM stageapp_vocabularyversion") == versions
    moved = "failure_rate, sigma, average_check, version, actor"
    growth = "FROM stageapp_assumptionchange WHERE stage = 'growth'"
    assert ask(f"SELECT {moved} {growth}") == [
        (Decimal("0.35"), Decimal("0.1234567890123"), Decimal("1234567.89"), 1, "migration")
    ]
    assert ask(
        "SELECT stage, follow_on_share FROM stageapp_assumptionchange WHERE stage = 'pre_seed'",
    ) == [("pre_seed", Decimal("0.35"))]
    assert ask("SELECT unallocated FROM stageapp_strategy") == [(Decimal("0.3"),)]
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        ask("UPDATE stageapp_assumptionchange SET sigma = 1")
    columns = ask(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'stageapp_stage'",
    )
    assert sorted(name for (name,) in columns) == ["active", "id", "label", "rank", "slug"]

    ask(
        f"INSERT INTO stageapp_assumptionchange "
        f"(stage, version, failure_rate, {SAME}, actor, reason, created_at) "
        f"SELECT stage, 2, 0.2, {SAME}, 'ada', 'a study', now() "
        f"FROM stageapp_assumptionchange WHERE stage = 'growth'"
    )
    assert migrate(url, "stageapp", BEFORE)[0] == 0

    changed = [("growth", 0.2, *row[2:]) if row[0] == "growth" else row for row in before]
    assert ask(STAGES) == changed
    assert ask("SELECT unallocated FROM stageapp_strategy") == [(0.3,)]
    assert migrate(url)[0] == 0
    assert ask("SELECT failure_rate FROM stageapp_assumptionchange WHERE stage = 'growth'") == [
        (Decimal("0.2"),),
    ]


@pytest.mark.parametrize("value", ["'NaN'", "'Infinity'", "1e7"])
def test_a_figure_that_no_column_holds_stops_the_migration_by_name_and_changes_nothing(
    older,
    value,
):
    ask, url = older
    ask(f"UPDATE stageapp_stage SET sigma = {value} WHERE slug = 'growth'")
    code, _, problems = migrate(url)
    assert code != 0
    assert "sigma of the stage growth is" in problems
    assert "correct it in the table stageapp_stage, then migrate again" in problems
    assert len(ask("SELECT sigma FROM stageapp_stage")) == 8
    ask("UPDATE stageapp_stage SET sigma = 0.4 WHERE slug = 'growth'")
    assert migrate(url)[0] == 0
