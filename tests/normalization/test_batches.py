"""Rows, audit entries and checkpoint commit together or not at all."""

import pytest
from django.db import OperationalError, connection

from stageapp.models import Batch, Checkpoint, Run
from stageapp.models.batches import Direction
from stageapp.models.normalization import State
from stageapp.normalization import batches, leases, runs, worker
from stageapp.normalization import plan as plans
from stageapp.normalization.batches import Cursor, LeaseLost, Limits
from stageapp.targets.targets import resolve
from tests.normalization.evidence import LABEL, ME, assert_i1, column, log_of, sql

MESSY = ["Seed ", "seed", "series-a", "nobody knows", "SEED", "Series B"]
# Where the statements of a batch meet a fault, in the order of their writes; at last the commit
# itself.
FAULTS = {
    "the rows": "BEFORE UPDATE ON stageapp_portfoliocompany FOR EACH ROW",
    "the last row": (
        "AFTER UPDATE ON stageapp_portfoliocompany FOR EACH ROW WHEN (NEW.stage = '{last}')"
    ),
    "the log": "BEFORE INSERT ON stageapp_normalizationlog FOR EACH ROW",
    "the batch": "AFTER INSERT ON stageapp_batch FOR EACH ROW",
    "the checkpoint": "AFTER UPDATE OF position ON stageapp_checkpoint FOR EACH ROW",
    "the commit": "AFTER INSERT ON stageapp_batch DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
}


@pytest.fixture
def refused():
    """Return a function that lets PostgreSQL refuse one of a batch's writes."""

    def plant(where, last=""):
        kind = "CONSTRAINT TRIGGER" if "DEFERRABLE" in FAULTS[where] else "TRIGGER"
        sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no space is left' USING ERRCODE = '53100'; END $$; "
            f"CREATE {kind} refuse {FAULTS[where].format(last=last)} EXECUTE FUNCTION refuse()"
        )

    yield plant
    sql("DROP FUNCTION IF EXISTS refuse CASCADE")


def one_batch(run, size=2):
    lease = leases.take(run, Direction.FORWARD)
    if lease is None:
        raise LeaseLost
    try:
        return batches.forward(lease, resolve(LABEL), plans.changes(run.plan), Limits(size))
    finally:
        leases.release(lease)


def undo_one_batch(run):
    lease = leases.take(run, Direction.ROLLBACK, round=1)
    try:
        return batches.rollback(lease, resolve(LABEL), {}, Limits(1000), again=False)
    finally:
        leases.release(lease)


def state_of_everything():
    tables = ("portfoliocompany", "normalizationlog", "batch", "run", "runmove")
    rows = [sql(f"SELECT t::text FROM stageapp_{table} t ORDER BY 1") for table in tables]
    places = (
        "SELECT run_id, direction, sweep, position, batches, scanned, changed, finished FROM "
        "stageapp_checkpoint"
    )
    return [*rows, sql(f"{places} ORDER BY id")]  # besides the lease, which was given back


def test_a_batch_changes_its_rows_logs_them_and_moves_the_checkpoint(started, fill):
    ids = fill(*MESSY)
    run = started()
    result = one_batch(run, size=3)
    assert (result.scanned, result.changed) == (3, 2)
    assert log_of(run) == [(ids[0], "Seed ", "seed"), (ids[2], "series-a", "series_a")]
    saved = Checkpoint.objects.get()
    assert (saved.position, saved.batches, saved.scanned, saved.changed) == (str(ids[2]), 1, 3, 2)
    assert column()[ids[4]] == "SEED"


def test_each_change_has_one_true_entry(started):
    run = started(*MESSY * 50)
    before = column()
    while not (result := one_batch(run, size=7)).cursor.finished:
        assert result.scanned <= 7
    assert_i1(run, before)
    assert len(log_of(run)) == 200


@pytest.mark.parametrize("where", FAULTS)
@pytest.mark.parametrize("done_before", [0, 1], ids=["first batch", "second batch"])
def test_a_fault_at_any_write_of_a_batch_leaves_everything_as_it_was(
    started, refused, where, done_before
):
    run = started("Seed", "SEED", "SEED", "series-a")
    for _ in range(done_before):
        one_batch(run)
    before = state_of_everything()
    refused(where, last="series_a" if done_before else "seed")
    with pytest.raises(OperationalError, match="no space is left"):
        one_batch(run)
    assert state_of_everything() == before
    assert not connection.in_atomic_block


@pytest.mark.parametrize("where", FAULTS)
def test_a_fault_at_any_write_of_a_rollback_leaves_everything_as_it_was(done, refused, where):
    run = runs.request_rollback(done(*MESSY), **ME)
    before = state_of_everything()
    refused(where, last="Series B")
    with pytest.raises(OperationalError, match="no space is left"):
        undo_one_batch(run)
    assert state_of_everything() == before


@pytest.mark.parametrize("new", [State.PAUSING, State.CANCELLED])
def test_a_batch_of_a_run_that_was_stopped_writes_nothing(started, new):
    run = started(*MESSY)
    runs.move(run, new, **ME)
    before = state_of_everything()
    with pytest.raises(LeaseLost):
        one_batch(run)
    assert state_of_everything() == before
    assert not connection.in_atomic_block


def test_the_position_is_the_databases_not_the_workers(started, fill):
    ids = fill(*MESSY)
    run = started()
    one_batch(run)
    stale = type(run).objects.get(pk=run.pk)
    one_batch(run)
    assert one_batch(stale).cursor.position == str(ids[5])


def test_a_dry_batch_leaves_no_trace(started):
    run = started(*MESSY)
    before = state_of_everything()
    result = batches.dry(run.pk, resolve(LABEL), plans.changes(run.plan), Cursor(), Limits(3))
    assert (result.scanned, result.changed) == (3, 2)
    assert state_of_everything() == before


def test_a_dry_run_leaves_no_trace_and_counts_like_the_run(started):
    run = started(*MESSY * 500)
    before = state_of_everything()
    dry = worker.dry_run(run)
    assert state_of_everything() == before
    worker.advance(run)
    saved = Checkpoint.objects.get(direction=Direction.FORWARD)
    assert dry == {"scanned": 3000, "would_change": 2000, "quarantined": []}
    assert saved.changed == 2000


def test_a_dry_run_of_an_interrupted_run_begins_at_the_start(started):
    run = started(*MESSY)
    one_batch(run)
    before = state_of_everything()
    assert worker.dry_run(run) == {"scanned": 6, "would_change": 3, "quarantined": []}
    assert state_of_everything() == before


def test_a_sweep_finds_rows_that_came_behind_the_cursor(started, fill):
    run = started(*MESSY)
    one_batch(run, size=6)
    sql(
        "UPDATE stageapp_portfoliocompany SET stage = 'SEED' WHERE id = (SELECT min(id) FROM "
        "stageapp_portfoliocompany)"
    )
    worker.advance(run)
    assert run.state == State.DONE
    assert set(column().values()) == {"seed", "series_a", "series_b", "nobody knows"}
    assert list(Batch.objects.order_by("number").values_list("sweep", "changed")) == [
        (0, 4),
        (1, 1),
    ]


def test_sweeps_end_although_a_writer_dirties_every_row_again(started, monkeypatch):
    run = started("Seed", "seed")
    monkeypatch.setattr(runs, "SWEEPS", 3)
    Run.objects.update(sweeps_left=3)
    real = batches.forward

    def dirty_again(*args):
        result = real(*args)
        sql("UPDATE stageapp_portfoliocompany SET stage = 'Seed'")
        return result

    monkeypatch.setattr(batches, "forward", dirty_again)
    worker.advance(run)
    assert run.state == State.FAILED
    assert "2 rows contain planned spellings again" in run.last_error
    assert Checkpoint.objects.get(direction=Direction.FORWARD).sweep == 3


def test_a_run_that_failed_its_verification_sweeps_the_whole_table_again(
    started, monkeypatch, fill
):
    ids = fill("Seed", "SEED", "seed")
    run = started()
    one_batch(run, size=3)
    sql("UPDATE stageapp_portfoliocompany SET stage = 'Seed' WHERE id = %s", ids[2])
    while not one_batch(run).cursor.finished:
        pass
    sql("UPDATE stageapp_portfoliocompany SET stage = 'SEED' WHERE id = %s", ids[0])
    assert Checkpoint.objects.get().position == str(
        ids[2]
    )  # behind it nothing would ever be looked at
    runs.move(run, State.VERIFYING, **ME)
    assert worker.advance(run).state == State.FAILED
    assert worker.advance(runs.start(run, **ME)).state == State.DONE
    assert set(column().values()) == {"seed"}


def test_a_trigger_of_the_table_is_logged_truly(started):
    sql(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.stage = "
        "upper(NEW.stage) || '!'; RETURN NEW; END $$; CREATE TRIGGER shout BEFORE UPDATE ON "
        "stageapp_portfoliocompany FOR EACH ROW EXECUTE FUNCTION shout()"
    )
    try:
        run = started("series-a")
        one_batch(run)
        assert [entry[1:] for entry in log_of(run)] == [("series-a", "SERIES_A!")]
        assert list(column().values()) == ["SERIES_A!"]
    finally:
        sql("DROP FUNCTION shout CASCADE")


def test_a_block_has_its_keys_in_order(started):
    run = started(*["Seed", "nobody knows", "SEED", "seed"] * 100)
    sql(
        "UPDATE stageapp_portfoliocompany SET name = 'moved' WHERE id % 3 = 0"
    )  # the heap is not in key order any more
    one_batch(run, size=400)
    blocks = [keys for (keys,) in sql("SELECT keys FROM stageapp_normalizationlog ORDER BY id")]
    assert [len(keys) for keys in blocks] == [100, 100]
    assert all(keys == sorted(keys) for keys in blocks)
    assert sql("SELECT lower(places), upper(places) - 1 FROM stageapp_batch") == [
        (min(map(min, blocks)) // 2, max(map(max, blocks)) // 2)
    ]


def test_other_columns_are_not_touched(started):
    run = started(*MESSY)
    read = "SELECT id, fund_id, name, sector, updated_at FROM stageapp_portfoliocompany ORDER BY id"
    before = sql(read)
    worker.advance(run)
    assert sql(read) == before
