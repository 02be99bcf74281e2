"""PostgreSQL itself dies in the middle of a run and comes back; the worker goes on by itself."""

import json
import shutil
import signal
import time

import psutil
import psycopg
import pytest

from config.embedded.location import prepare
from config.embedded.postgres import Postgres
from config.embedded.processes import wait_for_end
from tests.normalization.processes import MANAGE, begin, manage, wait_for

ROWS = 20_000


@pytest.fixture
def server(tmp_path):
    """Start a PostgreSQL of its own, with the project's tables and messy rows in it."""
    postgres = Postgres(prepare(tmp_path))
    try:
        postgres.ensure()
        code, _, err = manage("migrate", "--verbosity=0", DATABASE_URL=postgres.url)
        assert code == 0, err
        with connect(postgres) as session:
            session.execute("INSERT INTO stageapp_fund (name) VALUES ('first fund')")
            session.execute(
                "INSERT INTO stageapp_portfoliocompany (fund_id, name, stage, sector, updated_at) "
                "SELECT 1, 'c', (ARRAY['Seed ', 'seed', 'series-a', 'nobody knows'])[1 + i %% 4], '', now() "
                "FROM generate_series(1, %s) AS i",
                [ROWS],
            )
            session.execute("CREATE TABLE original AS SELECT id, stage FROM stageapp_portfoliocompany")
        yield postgres
    finally:
        postgres.end()
        shutil.rmtree(postgres.home, ignore_errors=True)
        shutil.rmtree(postgres.location.sockets, ignore_errors=True)


def connect(postgres):
    return psycopg.connect(
        host=str(postgres.socket.parent), user="stage", password=postgres.location.password, dbname="stage",
        autocommit=True,
    )  # fmt: skip


def ask(postgres, question):
    with connect(postgres) as session:
        return session.execute(question).fetchone()


def batches(postgres):
    return ask(postgres, "SELECT count(*) FROM stageapp_batch")[0]


def crash(postgres):
    """End PostgreSQL as a crash would: no checkpoint, no goodbye."""
    main = psutil.Process(postgres.main_pid())
    everybody = [main, *main.children(recursive=True)]
    main.send_signal(signal.SIGQUIT)
    wait_for_end(everybody, 20)


def test_a_run_survives_two_crashes_of_postgresql(server):
    environment = {"DATABASE_URL": server.url, "STAGE_BATCH_SECONDS": "0.05", "STAGE_BATCH_PAUSE_SECONDS": "0.1"}
    code, out, err = manage("normalization", "plan", "--json", **environment)
    assert code == 0, err
    plan = json.loads(out)
    worker = begin(*MANAGE, "normalization", "run", "--plan", plan["hash"], "--foreground", "--json", **environment)
    for number in (1, 2):
        seen = batches(server)
        wait_for(lambda: batches(server) > seen, what="another batch")  # noqa: B023
        assert worker.poll() is None, f"the run was over before crash {number}"
        crash(server)
        time.sleep(0.3)
        assert server.ensure()
    out, err = worker.communicate(timeout=60)
    assert worker.returncode == 0, err
    assert json.loads(out)["state"] == "done"
    assert err.count("batch_retried") >= 2
    assert ask(server, "SELECT count(*), count(DISTINCT row_key) FROM stageapp_auditentry") == (
        plan["rows_to_change"],
        plan["rows_to_change"],
    )
    assert ask(
        server,
        "SELECT count(*) FROM original o FULL JOIN stageapp_portfoliocompany c USING (id) "
        "LEFT JOIN stageapp_auditentry l ON l.row_key = o.id::text "
        "WHERE c.stage IS DISTINCT FROM coalesce(l.new, o.stage) OR l.old <> o.stage",
    ) == (0,)
