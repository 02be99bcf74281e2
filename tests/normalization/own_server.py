"""A PostgreSQL of a test's own, which may crash, hang or fill up, with the project's tables and
messy rows in it.
"""

import json

import pytest

from stageapp.embedded.location import prepare
from stageapp.embedded.postgres import Postgres
from tests.normalization.processes import MANAGE, begin, manage
from tests.normalization.replication import ask, discard, session

ROWS = 20_000
# Every row is what the log says of it, and no row is twice in the log.
NOT_AS_LOGGED = (
    "SELECT count(*) FROM original o FULL JOIN stageapp_portfoliocompany c USING (id) "
    "LEFT JOIN stageapp_auditentry l ON l.row_key = o.id::text "
    "WHERE c.stage IS DISTINCT FROM coalesce(l.new, o.stage) OR l.old <> o.stage"
)
LOGGED = "SELECT count(*), count(DISTINCT row_key) FROM stageapp_auditentry"


@pytest.fixture
def server(tmp_path):
    """Start it; nothing of it stays."""
    postgres = Postgres(prepare(tmp_path))
    try:
        postgres.ensure()
        fill(postgres, ROWS)
        with session(postgres) as connection:
            connection.execute(
                "CREATE TABLE original AS SELECT id, stage FROM stageapp_portfoliocompany"
            )
        yield postgres
    finally:
        discard(postgres)


def fill(postgres, rows):
    """Make the project's tables, and companies of which half are to change."""
    code, _, err = manage("migrate", "--verbosity=0", DATABASE_URL=postgres.url)
    assert code == 0, err
    with session(postgres) as connection:
        connection.execute("INSERT INTO stageapp_fund (name) VALUES ('first fund')")
        connection.execute(
            "INSERT INTO stageapp_portfoliocompany (fund_id, name, stage, sector, updated_at) "
            "SELECT 1, 'c', (ARRAY['Seed ', 'seed', 'series-a', 'nobody knows'])[1 + i %% 4], "
            "'', now() FROM generate_series(1, %s) AS i",
            [rows],
        )


def batches(postgres):
    return ask(postgres, "SELECT count(*) FROM stageapp_batch")


def log(postgres):
    """Return how many entries the audit log has, and of how many rows."""
    with session(postgres) as connection:
        return connection.execute(LOGGED).fetchone()


def begin_run(**environment):
    """Plan, and begin the run in a process of its own; return the plan and the process."""
    code, out, err = manage("normalization", "plan", "--json", **environment)
    assert code == 0, err
    plan = json.loads(out)
    command = ["normalization", "run", "--plan", plan["hash"], "--foreground", "--json"]
    return plan, begin(*MANAGE, *command, **environment)


def assert_done(postgres, plan, worker):
    """Assert that the process ends with the run done, and that data and log say the same; return
    what it printed.
    """
    out, err = worker.communicate(timeout=90)
    assert worker.returncode == 0, err
    assert json.loads(out)["state"] == "done"
    assert log(postgres) == (plan["rows_to_change"], plan["rows_to_change"])
    assert ask(postgres, NOT_AS_LOGGED) == 0
    return err
