"""A part of a run is undone: by batches or by value, in several rounds, and at the end the rest."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from stageapp.audit import log, rollbacks
from stageapp.models import Batch, PortfolioCompany
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from stageapp.targets.errors import IllegalMove, NormalizationError
from stageapp.targets.targets import resolve
from tests.normalization.evidence import LABEL, ME, column, column_md5, log_of, sql

MESSY = ["Seed ", "SEED", "series-a", "nobody knows"]


def undo(run, **scope):
    return worker.advance(runs.request_rollback(run, scope=scope, **ME))


def left(run):
    return [
        (int(entry.row_key), entry.old) for entry in log.left_behind(run, resolve(LABEL), limit=100)
    ]


def test_parts_in_several_rounds_and_then_the_rest(started, fill, batches_of_50):
    ids = fill(*MESSY * 100)
    before, values = column_md5(), column()
    run = worker.advance(started())
    first, last = sorted(Batch.objects.filter(changed__gt=0).values_list("pk", flat=True))[1:3]
    reach = {key for key, _, _ in log_of(run) if key not in ids[:50]}
    assert undo(run, value="SEED").state == State.DONE
    assert column() == {
        key: "SEED" if values[key] == "SEED" else now for key, now in column().items()
    }
    assert len(log_of(run, "rollback")) == 100
    assert undo(run, batches=[first, last]).state == State.DONE
    undone = [key for key, _, _ in log_of(run, "rollback")]
    assert len(undone) == len(set(undone))
    assert set(undone[100:]) <= reach
    assert left(run) == []
    assert undo(run).state == State.ROLLED_BACK
    assert column_md5() == before
    assert len(log_of(run, "rollback")) == len(log_of(run)) == 300
    assert left(run) == []


def test_the_rest_of_one_large_batch_of_which_half_is_undone(fill, monkeypatch):
    fill(*["Seed ", "SEED"] * 20_000)
    before = column_md5()
    monkeypatch.setattr(worker, "SINGLE_TRANSACTION_ROWS", 40_000)
    run = worker.run_at_once(plans.make_plan(LABEL, actor="tester").run, **ME)
    assert undo(run, value="SEED").state == State.DONE
    [pair] = rollbacks.preview(run, resolve(LABEL), {}, seconds=10)
    assert (pair["old"], pair["rows"], pair["changed_since"]) == ("Seed ", 20_000, 0)
    assert left(run) == []
    assert undo(run).state == State.ROLLED_BACK
    assert (column_md5(), len(log_of(run, "rollback"))) == (before, 40_000)


def test_a_rollback_in_shards_undoes_each_row_once(fill, monkeypatch):
    fill(*MESSY * 2000)
    before = column_md5()
    run = worker.advance(runs.start(plans.make_plan(LABEL, actor="tester").run, workers=2, **ME))
    runs.request_rollback(run, **ME)
    assert run.checkpoints.filter(direction="rollback").count() == 2
    seen = []
    worker.advance(run, report=seen.append)
    assert (run.state, column_md5()) == (State.ROLLED_BACK, before)
    assert (
        len({key for key, _, _ in log_of(run, "rollback")}) == len(log_of(run, "rollback")) == 6000
    )
    assert all(
        result.scanned or result.cursor.finished or result.cursor.position for result in seen
    )


def test_a_shard_of_a_rollback_looks_at_its_own_batches_alone(fill, batches_of_50):
    fill(*MESSY * 2000)
    run = worker.advance(runs.start(plans.make_plan(LABEL, actor="tester").run, workers=2, **ME))
    runs.request_rollback(run, **ME)
    low, _ = run.checkpoints.filter(direction="rollback").order_by("shard")
    place = int(low.upper) // 2  # two neighbouring keys have one place
    worker.advance(run)
    undone = (
        "SELECT f.places FROM stageapp_batch b JOIN stageapp_batch f ON f.id = b.undoes_id "
        "WHERE b.shard = %s"
    )
    assert {found.lower <= place for (found,) in sql(undone, 0)} == {True}
    assert {found.upper > place for (found,) in sql(undone, 1)} == {True}


def test_a_row_changed_since_is_listed_only_where_it_was_to_be_undone(done, fill):
    ids = fill("SEED", "series-a")
    run = done()
    PortfolioCompany.objects.update(stage="growth")
    undo(run, value="SEED")
    assert left(run) == [(ids[0], "SEED")]
    undo(run)
    assert left(run) == [(ids[0], "SEED"), (ids[1], "series-a")]
    assert set(column().values()) == {"growth"}


def test_a_part_that_holds_nothing_is_refused(done):
    run = done("SEED")
    with pytest.raises(IllegalMove, match="nothing left to undo"):
        runs.request_rollback(run, scope={"value": "series-a"}, **ME)
    run.refresh_from_db()
    assert (run.state, rollbacks.rows_in(run, {})) == (State.DONE, 1)


def test_all_at_once_or_nothing(fill, monkeypatch):
    fill(*MESSY * 10)
    run = plans.make_plan(LABEL, actor="tester").run
    monkeypatch.setattr(worker, "SINGLE_TRANSACTION_ROWS", 39)
    with pytest.raises(NormalizationError, match="too many for one transaction"):
        worker.run_at_once(run, **ME)
    monkeypatch.setattr(worker, "SINGLE_TRANSACTION_ROWS", 40)
    before = column_md5()
    sql(
        "ALTER TABLE stageapp_portfoliocompany ADD CONSTRAINT no_series_a CHECK (stage <> "
        "'series_a') NOT VALID"
    )
    try:
        with pytest.raises(Exception, match="no_series_a"):
            worker.run_at_once(run, **ME)
    finally:
        sql("ALTER TABLE stageapp_portfoliocompany DROP CONSTRAINT no_series_a")
    run.refresh_from_db()
    assert (run.state, column_md5(), log_of(run), run.checkpoints.count()) == (
        State.PLANNED,
        before,
        [],
        0,
    )
    assert worker.run_at_once(run, **ME).state == State.DONE
    assert len(log_of(run)) == 30


def test_the_history_of_a_row_reads_a_few_pages_by_the_index(done):
    run = done(*MESSY)
    sql(
        "WITH b AS (INSERT INTO stageapp_batch (run_id, direction, round, shard, sweep, number, "
        "last_key, places, scanned, changed, seconds, committed_at) SELECT %s, 'forward', 9, 0, "
        "0, n, n * 100, int8range(stageapp_place(n * 100 - 99), stageapp_place(n * 100), '[]'), "
        "100, 100, 0, now() FROM generate_series(1::bigint, 5000) n RETURNING id, number) INSERT "
        "INTO stageapp_normalizationlog (batch_id, old, new, keys) SELECT id, 'SEED', 'seed', "
        "(SELECT array_agg(k) FROM generate_series(number::bigint * 100 - 99, number * 100) k) "
        "FROM b",
        run.pk,
    )
    sql("ANALYZE stageapp_batch, stageapp_normalizationlog, stageapp_run")
    with CaptureQueriesContext(connection) as queries:
        assert [entry.old for entry in log.entries(row_key="250250")] == ["SEED"]
    used = []
    for query in (query["sql"] for query in queries if query["sql"].startswith("SELECT")):
        ((found,),) = sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}")
        plan = found if isinstance(found, list) else json.loads(found)
        assert plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"] < 50, (
            plan
        )
        used.append(json.dumps(plan))
    assert "batch_places" in used[0]
