"""Workers are killed at random points of a run and of its rollback; nothing is lost, nothing
done twice.
"""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from stageapp.models import Checkpoint, Run
from stageapp.normalization import leases, runs
from stageapp.normalization import plan as plans
from tests.normalization.evidence import LABEL, ME, column_md5, sql
from tests.normalization.processes import begin, state_of, wait_for

SPELLINGS = [
    "Seed ",
    "seed",
    "series-a",
    "nobody knows",
    "SEED",
    "S\u00e9ries B",
    "Pre Seed",
    "growth",
    "Growth ",
]


@pytest.fixture
def original(fill):
    """Return a function that fills the table with rows of many spellings, and keeps a copy
    beside it.
    """
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


ENTRIES = (
    "SELECT l.row_key::bigint AS id, l.old, l.new FROM stageapp_auditentry l "
    "JOIN stageapp_batch b ON b.id = l.batch_id WHERE b.direction = '{}'"
)
FORWARD, BACK = ENTRIES.format("forward"), ENTRIES.format("rollback")
OF_CHECKPOINT = (
    "(b.run_id, b.direction, b.round, b.shard) = (k.run_id, k.direction, k.round, k.shard)"
)
COUNTS = {
    "checkpoint against log": (
        "SELECT count(*) FROM stageapp_checkpoint k WHERE k.direction <> 'verify' AND "
        "k.changed <> (SELECT coalesce(sum(cardinality(l.keys)), 0) FROM "
        "stageapp_normalizationlog l JOIN stageapp_batch b ON b.id = l.batch_id WHERE "
        f"{OF_CHECKPOINT})"
    ),
    "checkpoint against batches": (
        "SELECT count(*) FROM stageapp_checkpoint k WHERE k.direction <> 'verify' AND "
        f"k.batches <> (SELECT count(*) FROM stageapp_batch b WHERE {OF_CHECKPOINT})"
    ),
}
QUESTIONS = COUNTS | {
    "lost or added": (
        "SELECT count(*) FROM original o FULL JOIN stageapp_portfoliocompany c USING (id) "
        "WHERE o.id IS NULL OR c.id IS NULL"
    ),
    "twice": (
        f"SELECT count(*) FROM (SELECT id FROM ({FORWARD}) f GROUP BY id HAVING count(*) > "
        "1) AS twice"
    ),
    "undone twice": (
        f"SELECT count(*) FROM (SELECT id FROM ({BACK}) b GROUP BY id HAVING count(*) > 1) AS twice"
    ),
    "untrue old": (
        f"SELECT count(*) FROM ({FORWARD}) f JOIN original o USING (id) WHERE f.old <> o.stage"
    ),
    "untrue undo": f"SELECT count(*) FROM ({BACK}) b LEFT JOIN ({FORWARD}) f USING (id) "
    "WHERE (b.old, b.new) IS DISTINCT FROM (f.new, f.old)",
    "row against log": (
        "SELECT count(*) FROM original o JOIN stageapp_portfoliocompany c USING (id) LEFT "
        f"JOIN ({FORWARD}) f USING (id) LEFT JOIN ({BACK}) b USING (id) WHERE c.stage IS "
        "DISTINCT FROM coalesce(b.new, f.new, o.stage)"
    ),
}


def violations(questions=QUESTIONS):
    """Count what contradicts I1 or I2, each kind by a query of its own, all in one snapshot:
    others go on working.
    """
    sql("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        found = {name: sql(question)[0][0] for name, question in questions.items()}
    finally:
        sql("COMMIT")
    return {name: count for name, count in found.items() if count}


class Crew:
    """Workers in processes of their own, always `size` of them; one after the other is killed."""

    def __init__(self, run, size, chance, **pace):
        self.run, self.size, self.chance = run, size, chance
        self.nursery = begin(
            sys.executable,
            "-m",
            "tests.normalization.nursery",
            stdin=subprocess.PIPE,
            DJANGO_SETTINGS_MODULE="config.settings",
            **pace,
        )
        self.pids = set()

    def fill_up(self):
        while len(self.pids) < self.size:
            print(self.run.pk, file=self.nursery.stdin, flush=True)
            self.pids.add(int(self.nursery.stdout.readline()))

    def kill_one_at_work(self):
        """Kill a worker that holds a shard, -9; return whether there was one to kill."""
        holders = self.pids & {int(holder.rpartition(":")[2]) for holder in leases.held(self.run)}
        if not holders:
            return False
        victim = self.chance.choice(sorted(holders))
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: not psutil.pid_exists(victim), what="the end of a killed process")
        self.pids.remove(victim)
        return True

    def end(self):
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.nursery.communicate(timeout=30)


def changed(direction):
    return sum(Checkpoint.objects.filter(direction=direction).values_list("changed", flat=True))


def kill_on_the_way(crew, direction, state, total, kills, check_each):
    """Kill one worker after the other at random points; assert that each was in the middle of
    its work.
    """
    for number in range(1, kills + 1):
        crew.fill_up()
        point = total * (number - crew.chance.random() * 0.8) / (kills + 1)
        wait_for(lambda: changed(direction) > point, 300, f"row {point:.0f}")  # noqa: B023
        time.sleep(crew.chance.random() * 0.02)
        wait_for(crew.kill_one_at_work, 60, "a worker at work")
        assert (state_of(crew.run), 0 < changed(direction) < total) == (state, True), (
            "the kill came too late"
        )
        assert violations(COUNTS if number % check_each else QUESTIONS) == {}
    crew.fill_up()


def killed_again_and_again(rows, kills, pace, check_each):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    print(f"seed {seed}")
    before, began = column_md5(), time.monotonic()
    plan = plans.make_plan(LABEL, actor="tester")
    run, total = plan.run, plan.rows_to_change
    runs.start(run, workers=2, **ME)
    crew = Crew(run, 3, chance, **pace)  # one more than there are shards: it takes over at once
    try:
        kill_on_the_way(crew, "forward", "running", total, kills, check_each)
        wait_for(lambda: state_of(run) == "done", 300, "the end of the run")
        assert (changed("forward"), violations()) == (total, {})
        ran = time.monotonic()
        run.refresh_from_db()
        made = run.verifications.first()
        assert (made.ok, made.found["rows_as_written"], made.found["rows"]) == (True, total, rows)
        runs.request_rollback(run, **ME)
        crew.pids.clear()  # a worker ends with its run
        kill_on_the_way(crew, "rollback", "rolling_back", total, kills, check_each)
        wait_for(lambda: state_of(run) == "rolled_back", 300, "the end of the rollback")
    finally:
        crew.end()
    assert (changed("rollback"), violations()) == (total, {})
    assert column_md5() == before
    takeovers = sum(run.checkpoints.exclude(direction="verify").values_list("token", flat=True))
    assert takeovers >= 2 * kills
    print(
        f"{rows:,} rows, {total:,} changed, 2 shards, {kills} kills in run and rollback each, "
        f"{takeovers} claims: run {ran - began:.1f} s, rollback {time.monotonic() - ran:.1f} s "
        "(with the checks)"
    )


SLOWLY = {"STAGE_BATCH_SECONDS": "0.01", "STAGE_BATCH_PAUSE_SECONDS": "0.02"}
SMALL_STEPS = {
    "STAGE_BATCH_SECONDS": "0.005",
    "STAGE_BATCH_PAUSE_SECONDS": "0.03",
}  # else it ends before 100 kills


def test_workers_killed_at_20_random_points(original):
    original(100_000)
    killed_again_and_again(100_000, 10, SLOWLY, check_each=5)


@pytest.mark.full
def test_workers_killed_five_times_over_200_000_rows(original):
    original(200_000)
    killed_again_and_again(200_000, 5, SLOWLY, check_each=1)


@pytest.mark.full
def test_workers_killed_at_200_random_points_of_a_million_rows(original):
    original(1_000_000)
    killed_again_and_again(1_000_000, 100, SMALL_STEPS, check_each=20)


def test_the_check_itself_finds_every_kind_of_violation(original, done):
    original(90)
    done()
    assert violations() == {}
    assert Run.objects.count() == 1
    sql("UPDATE stageapp_portfoliocompany SET stage = 'lost' WHERE id = 3")
    assert violations() == {"row against log": 1}
    sql("UPDATE stageapp_checkpoint SET batches = batches + 1")
    sql("DELETE FROM stageapp_portfoliocompany WHERE id = 5")
    assert violations() == {
        "row against log": 1,
        "lost or added": 1,
        "checkpoint against batches": 1,
    }
    sql(
        "INSERT INTO stageapp_normalizationlog (batch_id, keys, old, new) "
        "SELECT batch_id, ARRAY[7], 'x', new FROM stageapp_auditentry WHERE row_key = '7'"
    )
    assert {"twice", "untrue old", "checkpoint against log"} <= set(violations())
