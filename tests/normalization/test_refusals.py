"""Which refusals belong to a row: it is named and stands apart, forward and back, and the rest
goes on.
"""

import pytest
from django.core.management import call_command
from django.db import DatabaseError

from stageapp.audit import log
from stageapp.models import QuarantinedRow
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, work, worker
from stageapp.targets.errors import NormalizationError, TooManyQuarantined
from stageapp.targets.targets import resolve
from tests.normalization.evidence import LABEL, ME, assert_i1, column, log_of, sql
from tests.normalization.hosts import roll_back

TABLE = "stageapp_portfoliocompany"


@pytest.fixture
def trigger(engine):
    """Return a function that puts a trigger of this body on the table; it goes after the test."""

    def put(body, *, kind="BEFORE UPDATE", each="ROW", when="", name="picky"):
        constraint = "CONSTRAINT " if "DEFERRABLE" in when else ""
        sql(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
        sql(
            f"CREATE {constraint}TRIGGER {name} {kind} ON {TABLE} {when} FOR EACH {each} EXECUTE "
            f"FUNCTION {name}()"
        )

    yield put
    for name in ("picky", "second"):
        sql(f"DROP FUNCTION IF EXISTS {name} CASCADE")


def raising(code, key):
    return (
        f"IF NEW.id = {key} THEN RAISE EXCEPTION 'row % is not yours', NEW.id USING ERRCODE "
        f"= '{code}'; END IF; "
    )


CODES = [
    "P0001",
    "42501",
    "55000",
    "23514",
    "22023",
    "0A000",
    "25006",
    "40001",
    "53100",
    "55P03",
    "57014",
    "58030",
]


@pytest.mark.parametrize("code", CODES)
def test_whatever_code_a_trigger_raises_its_row_alone_stays_as_it_is(
    started, fill, trigger, retried, code
):
    ids = fill(*["Seed"] * 300, "series-a", *["Series B"] * 300)
    run = started()
    trigger(raising(code, ids[300]) + "RETURN NEW;")
    before = column()
    worker.advance(run)
    assert (run.state, retried) == (State.DONE, [])
    apart = run.quarantine.get()
    assert (int(apart.row_key), apart.value, apart.direction) == (ids[300], "series-a", "forward")
    assert f"row {ids[300]} is not yours" in apart.error
    assert_i1(run, before)
    assert column() == {key: "series-a" if key == ids[300] else column()[key] for key in ids}
    assert sum(before[key] != column()[key] for key in ids) == 600
    made = run.verifications.first().found
    assert (made["ok"], made["quarantined"]) == (True, 1)


@pytest.mark.parametrize("code", CODES)
def test_the_same_of_a_rollback(done, fill, trigger, retried, code):
    ids = fill(*["Seed"] * 300, "series-a", *["Series B"] * 300)
    before = column()
    run = done()
    trigger(raising(code, ids[300]) + "RETURN NEW;")
    roll_back(run)
    assert (run.state, retried) == (State.ROLLED_BACK, [])
    apart = run.quarantine.get()
    assert (int(apart.row_key), apart.value, apart.direction) == (ids[300], "series_a", "rollback")
    assert f"row {ids[300]} is not yours" in apart.error
    assert column() == before | {ids[300]: "series_a"}
    assert len(log_of(run, "rollback")) == 600
    assert (
        "600 rows undone; 0 rows changed since and left alone; 1 row is in quarantine"
        in run.moves.last().reason
    )
    assert [entry.row_key for entry in log.left_behind(run, resolve(LABEL), limit=9)] == [
        str(ids[300])
    ]


DEFERRED = {"kind": "AFTER UPDATE", "when": "DEFERRABLE INITIALLY DEFERRED"}


@pytest.mark.parametrize("code", ["P0001", "23505", "55000"])
def test_a_row_that_is_refused_at_the_commit_stands_apart_forward_and_back(
    started, fill, trigger, code
):
    ids = fill(*["Seed"] * 50, "series-a", *["Series B"] * 50)
    run = started()
    before = column()
    trigger(raising(code, ids[50]) + "RETURN NULL;", **DEFERRED)
    worker.advance(run)
    assert (run.state, run.quarantine.get().row_key) == (State.DONE, str(ids[50]))
    assert_i1(run, before)
    sql("DROP FUNCTION picky CASCADE")
    trigger(raising(code, ids[7]) + "RETURN NULL;", **DEFERRED)
    roll_back(run)
    assert column() == before | {ids[7]: "seed"}
    assert sorted(run.quarantine.values_list("direction", "row_key")) == [
        ("forward", str(ids[50])),
        ("rollback", str(ids[7])),
    ]


@pytest.mark.parametrize("where", ["before", "commit"])
def test_a_dry_run_names_the_rows_that_would_be_refused(fill, trigger, where, capsys):
    ids = fill(*["Seed"] * 50, "series-a", *["Series B"] * 50)
    plan = plans.make_plan(LABEL, actor="tester")
    deferred = DEFERRED if where == "commit" else {}
    trigger(raising("P0001", ids[50]) + "RETURN NEW;", **deferred)
    before = column()
    found = worker.dry_run(plan.run)
    assert (found["scanned"], found["would_change"], len(found["quarantined"])) == (101, 100, 1)
    refused = found["quarantined"][0]
    assert (refused["row"], refused["value"]) == (str(ids[50]), "series-a")
    assert (column(), QuarantinedRow.objects.count()) == (before, 0)
    call_command("normalization", "run", "--plan", plan.hash, "--dry-run")
    assert f"row {ids[50]} ('series-a'): row {ids[50]} is not yours" in capsys.readouterr().out


def test_a_dry_run_in_which_every_row_is_refused_ends(fill, trigger):
    fill(*["Seed"] * 30)
    plan = plans.make_plan(LABEL, actor="tester")
    trigger("RAISE EXCEPTION 'frozen';")
    with pytest.raises(TooManyQuarantined, match=r"11 of \d+ rows could not be changed.*frozen"):
        worker.dry_run(plan.run)


PUT_BACK = {
    "returns NULL": "IF NEW.id = {} THEN RETURN NULL; END IF; RETURN NEW;",
    "puts it back": "IF NEW.id = {} THEN NEW.stage := OLD.stage; END IF; RETURN NEW;",
}


@pytest.mark.parametrize("how", PUT_BACK)
def test_a_row_whose_trigger_keeps_its_old_value_is_named_and_the_run_ends(
    started, fill, trigger, how
):
    ids = fill(*["Seed"] * 300, "series-a", *["Series B"] * 300)
    run = started()
    trigger(PUT_BACK[how].format(ids[300]))
    before = column()
    worker.advance(run)
    assert run.state == State.DONE, run.last_error
    apart = run.quarantine.get()
    assert (int(apart.row_key), apart.value) == (ids[300], "series-a")
    assert apart.error == "the table's own trigger kept its old value"
    assert_i1(run, before)
    made = run.verifications.first().found
    assert (made["quarantined"], made["rows_left"]) == (1, 0)
    assert run.checkpoints.get(direction="forward").quarantined == 1


@pytest.mark.parametrize("how", PUT_BACK)
def test_the_same_of_a_rollback_of_all_and_of_a_part(done, fill, trigger, how):
    ids = fill(*["Seed"] * 30, "series-a", "series-a")
    before = column()
    run = done()
    trigger(PUT_BACK[how].format(ids[30]))
    roll_back(run, scope={"value": "series-a"})
    assert run.state == State.DONE
    assert column() == dict.fromkeys(ids[:30], "seed") | {ids[30]: "series_a", ids[31]: "series-a"}
    apart = run.quarantine.get()
    assert (apart.row_key, apart.value, apart.direction) == (str(ids[30]), "series_a", "rollback")
    assert apart.error == work.KEPT
    assert (
        "1 row undone; 0 rows changed since and left alone; 1 row is in quarantine"
        in run.moves.last().reason
    )
    sql("DROP FUNCTION picky CASCADE")
    roll_back(run)
    assert (run.state, column()) == (State.ROLLED_BACK, before)


def test_a_trigger_that_writes_the_old_value_again_afterwards_keeps_it_too(started, fill, trigger):
    ids = fill("Seed", "series-a")
    run = started()
    again = f"UPDATE {TABLE} SET stage = 'series-a' WHERE id = NEW.id"
    condition = f"NEW.id = {ids[1]} AND NEW.stage <> 'series-a'"
    trigger(f"IF {condition} THEN {again}; END IF; RETURN NULL;", kind="AFTER UPDATE")
    worker.advance(run)
    assert (run.state, run.quarantine.get().row_key) == (State.DONE, str(ids[1]))
    assert column() == {ids[0]: "seed", ids[1]: "series-a"}


def test_rows_kept_in_several_shards_are_counted_where_they_are(fill, trigger, monkeypatch):
    monkeypatch.setattr("stageapp.normalization.shards.SMALLEST", 10)
    ids = fill(*["Seed"] * 40)
    trigger(f"IF NEW.id IN ({ids[0]}, {ids[39]}) THEN RETURN NULL; END IF; RETURN NEW;")
    run = runs.start(plans.make_plan(LABEL, actor="tester").run, **ME, workers=2)
    worker.advance(run)
    assert run.state == State.DONE, run.last_error
    counts = (
        run.checkpoints.filter(direction="forward")
        .order_by("shard")
        .values_list("shard", "quarantined")
    )
    assert list(counts) == [(0, 1), (1, 1)]


def test_a_trigger_that_keeps_every_row_stops_the_run_with_words(started, fill, trigger):
    fill(*["Seed"] * 40)
    run = started()
    trigger("RETURN NULL;")
    with pytest.raises(
        TooManyQuarantined, match=r"11 of .* the table's own trigger kept its old value"
    ):
        worker.advance(run)
    assert run.state == State.FAILED
    assert "too many for faults in single rows" in run.last_error


def test_in_a_single_transaction_a_kept_row_is_named_and_nothing_is_kept(fill, trigger):
    ids = fill("Seed", "series-a")
    plan = plans.make_plan(LABEL, actor="tester")
    before = column()
    trigger(PUT_BACK["returns NULL"].format(ids[1]))
    with pytest.raises(
        NormalizationError,
        match=f"Nothing was kept. Row {ids[1]} holds 'series-a': the table's own",
    ):
        worker.run_at_once(plan.run, **ME)
    plan.run.refresh_from_db()
    assert (column(), plan.run.state) == (before, State.PLANNED)


def test_a_sweep_for_other_rows_does_not_set_the_same_row_apart_again(started, fill, trigger):
    ids = fill(*["Seed"] * 20, "series-a")
    run = started()
    trigger(raising("P0001", ids[20]) + "RETURN NEW;")
    once = [ids[0]]

    def dirty(_):
        if once and run.quarantine.exists():
            sql(f"UPDATE {TABLE} SET stage = 'Seed' WHERE id = %s", once.pop())

    worker.advance(run, report=dirty)
    assert (run.state, once, column()[ids[0]]) == (State.DONE, [], "seed")
    assert run.checkpoints.get(direction="forward").sweep == 1
    assert (run.quarantine.count(), run.checkpoints.get(direction="forward").quarantined) == (1, 1)


def test_rows_that_a_writer_dirties_again_are_swept_and_not_put_apart(started, fill, trigger):
    ids = fill(*["Seed"] * 20)
    run = started()
    left = [3]

    def dirty(_):
        if left[0]:
            left[0] -= 1
            sql(f"UPDATE {TABLE} SET stage = 'Seed' WHERE id = %s", ids[0])

    worker.advance(run, report=dirty)
    assert (run.state, run.quarantine.count(), set(column().values())) == (State.DONE, 0, {"seed"})


def test_a_trigger_that_refuses_every_row_back_leaves_the_rollback_waiting_for_its_cause(
    done, fill, trigger
):
    fill(*["Seed"] * 40)
    before = column()
    run = done()
    trigger("RAISE EXCEPTION 'frozen';")
    with pytest.raises(TooManyQuarantined, match=r"11 of .*frozen"):
        roll_back(run)
    assert (run.state, run.quarantine.count(), "frozen" in run.last_error) == (
        State.ROLLING_BACK,
        10,
        True,
    )
    with pytest.raises(TooManyQuarantined, match=r"11 of .*frozen"):
        worker.advance(run)
    assert run.quarantine.count() == 10
    sql("DROP FUNCTION picky CASCADE")
    worker.advance(run)
    assert run.state == State.ROLLED_BACK
    apart = {int(key) for key in run.quarantine.values_list("row_key", flat=True)}
    assert column() == {key: "seed" if key in apart else stage for key, stage in before.items()}


def test_a_privilege_that_is_missing_on_the_table_is_no_fault_of_a_row(started, fill):
    fill(*["Seed"] * 30)
    run = started()
    sql(f"REVOKE UPDATE ON {TABLE} FROM CURRENT_USER")
    try:
        with pytest.raises(DatabaseError, match="permission denied for table"):
            worker.advance(run)
    finally:
        sql(f"GRANT ALL ON {TABLE} TO CURRENT_USER")
    assert (run.state, run.quarantine.count()) == (State.FAILED, 0)
    assert "permission denied" in run.last_error
    assert set(column().values()) == {"Seed"}


def test_a_trigger_of_statements_is_no_fault_of_a_row(started, fill, trigger):
    fill(*["Seed"] * 30)
    run = started()
    trigger("RAISE EXCEPTION 'closed for today';", each="STATEMENT")
    with pytest.raises(DatabaseError, match="closed for today"):
        worker.advance(run)
    assert (run.state, run.quarantine.count()) == (State.FAILED, 0)


def test_a_read_only_session_is_no_fault_of_a_row(started, fill):
    fill(*["Seed"] * 30)
    run = started()
    sql("SET default_transaction_read_only = on")
    try:
        with pytest.raises(DatabaseError, match="read-only transaction"):
            worker.advance(run)
    finally:
        sql("SET default_transaction_read_only = off")
    assert run.quarantine.count() == 0


def test_a_row_too_large_for_its_index_is_one_row(started, fill):
    """PostgreSQL says 54000, which psycopg calls an operational error."""
    ids = fill("Seed", "SEED", "Series B")
    run = started()
    sql(f"ALTER TABLE {TABLE} ADD long text")
    sql(
        "CREATE FUNCTION grown(stage text, long text) RETURNS text IMMUTABLE LANGUAGE sql AS "
        "$$ SELECT CASE stage WHEN 'series_b' THEN long END $$"
    )
    try:
        sql(
            f"UPDATE {TABLE} SET long = (SELECT string_agg(md5(n::text), '') FROM "
            "generate_series(1, 5000) n)"
        )
        sql(f"CREATE INDEX by_growth ON {TABLE} (grown(stage, long))")
        worker.advance(run)
        assert run.state == State.DONE
        apart = run.quarantine.get()
        assert (int(apart.row_key), "index row" in apart.error) == (ids[2], True)
        assert list(column().values()) == ["seed", "seed", "Series B"]
    finally:
        sql(f"DROP FUNCTION grown CASCADE; ALTER TABLE {TABLE} DROP long")
