"""A database of a release that logged row by row: its record says the same afterwards, and what
began there goes on.
"""

import psycopg
import pytest
from django.db import connection

from tests.normalization.evidence import database_url, sql
from tests.normalization.processes import manage

OLDER = "stage_of_an_older_release"
BEFORE_BLOCKS = "0008"
UUIDS = ["0" * 8 + "-0000-4000-8000-" + "0" * 11 + digit for digit in "312"]
# What two runs of that release left: one whose rollback has come half way, one over rows with
# UUIDs.
WRITTEN = f"""
INSERT INTO stageapp_fund (id, name) VALUES (1, 'fund');
INSERT INTO stageapp_portfoliocompany (id, fund_id, name, stage, sector, updated_at)
     SELECT n, 1, 'c', (ARRAY['seed', 'seed', 'growth', 'Seed ', 'unknown'])[n], '', now()
       FROM generate_series(1, 5) AS n;
INSERT INTO stageapp_plan (id, target, vocabulary_version, hash, rows_total, rows_to_change, rows_unknown, actor,
                           created_at)
     VALUES (1, 'stageapp.PortfolioCompany.stage', 1, repeat('a', 64), 5, 4, 1, 'planner', now()),
            (2, 'other.Model.field', 1, repeat('b', 64), 3, 3, 0, 'planner', now());
INSERT INTO stageapp_planentry (plan_id, source, raw, stage, reason, rows)
     VALUES (1, '', 'Seed ', 'seed', '', 3), (1, '', 'Growth', 'growth', '', 1), (1, '', 'unknown', '', 'no_match', 1),
            (2, '', 'Seed ', 'seed', '', 3);
INSERT INTO stageapp_run (id, plan_id, target, state, actor, created_at, worker, last_error)
     VALUES (1, 1, 'stageapp.PortfolioCompany.stage', 'rolling_back', 'planner', now(), '', ''),
            (2, 2, 'other.Model.field', 'done', 'planner', now(), '', '');
INSERT INTO stageapp_runmove (run_id, old_state, new_state, actor, reason, created_at)
     VALUES (1, 'verifying', 'done', 'worker', 'all agree', now()),
            (1, 'done', 'rolling_back', 'ada', 'a mistake', now());
INSERT INTO stageapp_batch (id, run_id, direction, shard, sweep, number, last_key, scanned, changed, seconds,
                            committed_at)
     VALUES (11, 1, 'forward', 0, 0, 1, '2', 2, 2, 0.1, now()), (12, 1, 'forward', 0, 0, 2, '5', 3, 2, 0.1, now()),
            (13, 1, 'rollback', 0, 0, 1, '2', 2, 1, 0.1, now()),
            (14, 2, 'forward', 0, 0, 1, '{UUIDS[0]}', 3, 3, 0.1, now());
INSERT INTO stageapp_checkpoint (run_id, direction, shard, sweep, position, batches, scanned, changed, skipped,
                                 changed_in_sweep, finished, updated_at)
     VALUES (1, 'forward', 0, 0, '5', 2, 5, 4, 0, true, true, now()),
            (1, 'rollback', 0, 0, '2', 1, 2, 1, 1, true, false, now());
INSERT INTO stageapp_normalizationlog (batch_id, row_key, old, new)
     VALUES (11, '2', 'Seed ', 'seed'), (11, '1', 'Seed ', 'seed'), (12, '3', 'Growth', 'growth'),
            (12, '4', 'Seed ', 'seed'), (13, '4', 'seed', 'Seed '),
            (14, '{UUIDS[0]}', 'Seed ', 'seed'), (14, '{UUIDS[1]}', 'Seed ', 'seed'),
            (14, '{UUIDS[2]}', 'Seed ', 'seed');
SELECT setval(pg_get_serial_sequence('stageapp_' || t, 'id'), 100) FROM unnest(ARRAY['run', 'plan', 'batch']) AS t;
"""
RECORD = "SELECT batch_id, row_key, old, new FROM {} ORDER BY 1, 2"


@pytest.fixture
def older(transactional_db):
    """Make a database as that release left it; return a function that asks it, and its URL."""
    sql(f"DROP DATABASE IF EXISTS {OLDER} WITH (FORCE)")
    sql(f"CREATE DATABASE {OLDER}")
    url = f"{database_url().rpartition('/')[0]}/{OLDER}"
    for app in (["auth"], ["stageapp", BEFORE_BLOCKS]):
        assert manage("migrate", *app, "--verbosity", "0", DATABASE_URL=url)[0] == 0
    at = {
        name: connection.get_connection_params()[name]
        for name in ("host", "port", "user", "password")
    }
    with psycopg.connect(**at, dbname=OLDER, autocommit=True) as session:

        def ask(statement):
            found = session.execute(statement)
            return found.fetchall() if found.description else []

        ask(WRITTEN)
        yield ask, url
    sql(f"DROP DATABASE {OLDER} WITH (FORCE)")


def test_the_record_says_the_same_nobody_goes_back_and_a_rollback_goes_on(older):
    ask, url = older
    before = ask(RECORD.format("stageapp_normalizationlog"))
    assert len(before) == 8

    code, _, problems = manage("migrate", "--verbosity", "0", DATABASE_URL=url)

    assert code == 0, problems
    assert ask(RECORD.format("stageapp_auditentry")) == before
    assert ask(
        "SELECT keys, uuids::text[] FROM stageapp_normalizationlog WHERE batch_id IN (11, 14) "
        "ORDER BY 1"
    ) == [
        ([1, 2], None),
        (None, sorted(UUIDS)),
    ]
    assert ask("SELECT id, undoes_id, round FROM stageapp_batch WHERE direction = 'rollback'") == [
        (13, 12, 1)
    ]
    assert ask("SELECT run_id, round, rows, actor, reason FROM stageapp_rollbackplan") == [
        (1, 1, 4, "ada", "a mistake")
    ]
    assert ask("SELECT raw, stored FROM stageapp_planentry WHERE plan_id = 1 ORDER BY id") == [
        ("Seed ", "seed"),
        ("Growth", "growth"),
        ("unknown", ""),
    ]
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):  # as before
        ask("DELETE FROM stageapp_normalizationlog")

    code, _, problems = manage(
        "migrate", "stageapp", BEFORE_BLOCKS, "--verbosity", "0", DATABASE_URL=url
    )
    assert code != 0
    assert "Restore the backup of before the upgrade" in problems
    assert ask(RECORD.format("stageapp_auditentry")) == before
    assert manage("migrate", "--verbosity", "0", DATABASE_URL=url)[0] == 0

    code, said, problems = manage(
        "normalization", "rollback", "--foreground", "--reason", "goes on", DATABASE_URL=url
    )

    assert code == 0, said + problems
    assert ask("SELECT state FROM stageapp_run WHERE id = 1") == [("rolled_back",)]
    assert dict(ask("SELECT id, stage FROM stageapp_portfoliocompany")) == {
        1: "Seed ",
        2: "Seed ",
        3: "growth",
        4: "Seed ",
        5: "unknown",
    }
