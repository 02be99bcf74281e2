"""A worker process is killed at random points of a run and of its rollback; nothing is lost, nothing done twice."""

import json
import os
import random
import signal
import time

import pytest

from stageapp.models import Checkpoint, Run
from stageapp.normalization import plan as plans
from tests.normalization.evidence import LABEL, column_md5, sql
from tests.normalization.processes import MANAGE, begin, manage, state_of, wait_for, wait_until_free

SPELLINGS = ["Seed ", "seed", "series-a", "nobody knows", "SEED", "S\u00e9ries B", "Pre Seed", "growth", "Growth "]


@pytest.fixture
def original(fill):
    """Return a function that fills the table with rows of many spellings, and keeps a copy beside it."""
    fill("Seed ")

    def make(rows):
        sql(
            "INSERT INTO stageapp_portfoliocompany (fund_id, name, stage, sector, updated_at) "
            "SELECT f.id, 'c', (%s::text[])[1 + (i::bigint * 7919) %% %s], '', now() "
            "FROM stageapp_fund f, generate_series(2, %s) AS i",
            SPELLINGS,
            len(SPELLINGS),
            rows,
        )
        sql("CREATE TABLE original AS SELECT id, stage FROM stageapp_portfoliocompany")
        sql("ANALYZE")

    yield make
    sql("DROP TABLE IF EXISTS original")


def violations():
    """Count the rows that contradict I1 or I2, each kind by a query of its own."""
    entries = (
        "SELECT l.row_key::bigint AS id, l.old, l.new FROM stageapp_auditentry l "
        "JOIN stageapp_batch b ON b.id = l.batch_id WHERE b.direction = '{}'"
    )
    forward, back = entries.format("forward"), entries.format("rollback")
    questions = {
        "lost or added": "SELECT count(*) FROM original o FULL JOIN stageapp_portfoliocompany c USING (id) "
        "WHERE o.id IS NULL OR c.id IS NULL",
        "twice": f"SELECT count(*) FROM (SELECT id FROM ({forward}) f GROUP BY id HAVING count(*) > 1) AS twice",
        "undone twice": f"SELECT count(*) FROM (SELECT id FROM ({back}) b GROUP BY id HAVING count(*) > 1) AS twice",
        "untrue old": f"SELECT count(*) FROM ({forward}) f JOIN original o USING (id) WHERE f.old <> o.stage",
        "untrue undo": f"SELECT count(*) FROM ({back}) b LEFT JOIN ({forward}) f USING (id) "
        "WHERE (b.old, b.new) IS DISTINCT FROM (f.new, f.old)",
        "row against log": "SELECT count(*) FROM original o JOIN stageapp_portfoliocompany c USING (id) "
        f"LEFT JOIN ({forward}) f USING (id) LEFT JOIN ({back}) b USING (id) "
        "WHERE c.stage IS DISTINCT FROM coalesce(b.new, f.new, o.stage)",
        "checkpoint against log": "SELECT count(*) FROM stageapp_checkpoint k WHERE k.direction <> 'verify' AND "
        "k.changed <> (SELECT count(*) "
        "FROM stageapp_auditentry l JOIN stageapp_batch b ON b.id = l.batch_id WHERE b.direction = k.direction)",
        "checkpoint against batches": "SELECT count(*) FROM stageapp_checkpoint k WHERE k.direction <> 'verify' AND "
        "k.batches <> "
        "(SELECT count(*) FROM stageapp_batch b WHERE b.direction = k.direction)",
    }
    found = {name: sql(question)[0][0] for name, question in questions.items()}
    return {name: count for name, count in found.items() if count}


def changed(direction):
    return sum(Checkpoint.objects.filter(direction=direction).values_list("changed", flat=True))


def kill_on_the_way(run, direction, state, command, total, kills, chance, pace):
    """Kill the command -9 at `kills` random points; assert that each landed in the middle."""
    for number in range(1, kills + 1):
        target = total * (number - chance.random() * 0.8) / (kills + 1)
        worker = begin(*MANAGE, *command, **pace)
        wait_for(lambda: changed(direction) > target or worker.poll() is not None, 300)  # noqa: B023
        time.sleep(chance.random() * 0.02)
        assert worker.poll() is None, worker.communicate()
        os.killpg(worker.pid, signal.SIGKILL)
        worker.communicate()
        assert worker.returncode == -signal.SIGKILL
        wait_until_free(run)
        assert (state_of(run), 0 < changed(direction) < total) == (state, True), "the kill came too late"
        assert violations() == {}


def killed_again_and_again(rows, kills, pace):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    print(f"seed {seed}")
    before = column_md5()
    began = time.monotonic()
    plan = plans.make_plan(LABEL, actor="tester")
    run, total = plan.run, plan.rows_to_change
    planned = time.monotonic()
    forward = ["normalization", "run", "--plan", plan.hash, "--foreground", "--json"]
    kill_on_the_way(run, "forward", "running", forward, total, kills, chance, pace)
    code, out, err = manage(*forward)
    assert (code, json.loads(out)["state"]) == (0, "done"), err
    ran = time.monotonic()
    assert changed("forward") == total
    assert violations() == {}
    back = ["normalization", "rollback", "--foreground", "--json"]
    kill_on_the_way(run, "rollback", "rolling_back", back, total, kills, chance, pace)
    code, out, err = manage(*back)
    assert (code, json.loads(out)["state"]) == (0, "rolled_back"), err
    assert changed("rollback") == total
    assert violations() == {}
    assert column_md5() == before
    print(
        f"{rows:,} rows, {total:,} changed, {kills} kills in run and rollback each: plan {planned - began:.1f} s, "
        f"run {ran - planned:.1f} s, rollback {time.monotonic() - ran:.1f} s (with starts of processes and checks)"
    )


def test_a_worker_killed_at_random_points(original):
    original(30_000)
    killed_again_and_again(30_000, kills=3, pace={"STAGE_BATCH_SECONDS": "0.01", "STAGE_BATCH_PAUSE_SECONDS": "0.004"})


@pytest.mark.full
def test_a_worker_killed_at_random_points_of_a_million_rows(original):
    original(1_000_000)
    killed_again_and_again(1_000_000, kills=5, pace={})


def test_the_check_itself_finds_every_kind_of_violation(original, done):
    original(90)
    done()
    assert violations() == {}
    assert Run.objects.count() == 1
    sql("UPDATE stageapp_portfoliocompany SET stage = 'lost' WHERE id = 3")
    assert violations() == {"row against log": 1}
    sql("UPDATE stageapp_checkpoint SET batches = batches + 1")
    sql("DELETE FROM stageapp_portfoliocompany WHERE id = 5")
    assert violations() == {"row against log": 1, "lost or added": 1, "checkpoint against batches": 1}
    sql(
        "INSERT INTO stageapp_normalizationlog (batch_id, keys, old, new) "
        "SELECT batch_id, ARRAY[7], 'x', new FROM stageapp_auditentry WHERE row_key = '7'"
    )
    assert {"twice", "untrue old", "checkpoint against log"} <= set(violations())
