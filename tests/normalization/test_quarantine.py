"""Rows that the database refuses to change go into quarantine with their errors, and the rest of the run goes on."""

import pytest

from stageapp.models import QuarantinedRow
from stageapp.models.normalization import State
from stageapp.normalization import attempts, batches, worker
from stageapp.normalization.errors import TooManyQuarantined
from tests.normalization.evidence import assert_i1, column, sql


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(attempts, "FIRST_WAIT_SECONDS", 0.005)
    monkeypatch.setattr(batches, "LOCK_TIMEOUT_MS", 60)


@pytest.fixture
def refusing():
    """Let the database refuse rows that would become series_a."""
    sql("ALTER TABLE stageapp_portfoliocompany ADD CONSTRAINT no_series_a CHECK (stage <> 'series_a') NOT VALID")
    yield
    sql("ALTER TABLE stageapp_portfoliocompany DROP CONSTRAINT no_series_a")


def test_a_poison_row_goes_into_quarantine_and_the_rest_finishes(started, fill, refusing, retried):
    ids = fill(*["Seed"] * 300, "series-a", *["Series B"] * 300)
    run = started()
    before = column()
    worker.advance(run)
    assert (run.state, retried) == (State.DONE, [])
    apart = QuarantinedRow.objects.get()
    assert (int(apart.row_key), apart.value, apart.run_id) == (ids[300], "series-a", run.pk)
    assert "no_series_a" in apart.error
    assert_i1(run, before)
    assert column() == {key: "series-a" if key == ids[300] else column()[key] for key in ids}
    assert (run.verification["ok"], run.verification["rows_left"], run.verification["quarantined"]) == (True, 0, 1)
    assert "1 rows are in quarantine" in run.moves.last().reason


def test_too_many_poison_rows_stop_the_run_which_goes_on_once_the_cause_is_gone(started, fill, refusing):
    fill(*["series-a"] * 40, "Seed")
    run = started()
    with pytest.raises(TooManyQuarantined, match="no fault of single rows"):
        worker.advance(run)
    assert (run.state, run.quarantine.count()) == (State.FAILED, attempts.QUARANTINE_FREE + 1)
    assert "no_series_a" in run.last_error


def test_a_row_whose_trigger_never_ends_goes_into_quarantine(started, fill, monkeypatch):
    ids = fill("Seed", "SEED", "Series B")
    monkeypatch.setattr(attempts, "CAP_SECONDS", 0.1)
    monkeypatch.setattr(attempts, "LAST_CAP_SECONDS", 0.2)
    sql(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF NEW.id = {ids[1]} THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER dawdle BEFORE UPDATE ON stageapp_portfoliocompany FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    try:
        run = worker.advance(started())
        assert (run.state, list(column().values())) == (State.DONE, ["seed", "SEED", "series_b"])
        assert "statement timeout" in run.quarantine.get().error
    finally:
        sql("DROP FUNCTION dawdle CASCADE")
