"""A row that the database refuses stands apart with its error, and the rest finishes."""

import pytest

from stageapp.models import PortfolioCompany, QuarantinedRow
from stageapp.models.batches import Direction
from stageapp.models.normalization import State
from stageapp.normalization import batches, leases, refusals, work, worker
from stageapp.targets.errors import TooManyQuarantined
from stageapp.targets.targets import resolve
from tests.normalization.evidence import LABEL, assert_i1, column, sql


@pytest.fixture
def refusing():
    """Return a function that lets the database refuse rows that would become series_a; once the
    run has started.
    """
    name = "stageapp_portfoliocompany"
    yield lambda: sql(
        f"ALTER TABLE {name} ADD CONSTRAINT no_series_a CHECK (stage <> 'series_a') NOT VALID"
    )
    sql(f"ALTER TABLE {name} DROP CONSTRAINT no_series_a")


def test_a_poison_row_goes_into_quarantine_and_the_rest_finishes(started, fill, refusing, retried):
    ids = fill(*["Seed"] * 300, "series-a", *["Series B"] * 300)
    run = started()
    refusing()
    before = column()
    worker.advance(run)
    assert (run.state, retried) == (State.DONE, [])
    apart = QuarantinedRow.objects.get()
    assert (int(apart.row_key), apart.value, apart.run_id) == (ids[300], "series-a", run.pk)
    assert "no_series_a" in apart.error
    assert_i1(run, before)
    assert column() == {key: "series-a" if key == ids[300] else column()[key] for key in ids}
    assert [run.verifications.get().found[name] for name in ("ok", "rows_left", "quarantined")] == [
        True,
        0,
        1,
    ]
    assert "1 row is in quarantine" in run.moves.last().reason


def test_too_many_poison_rows_stop_the_run_which_goes_on_once_the_cause_is_gone(
    started, fill, refusing
):
    fill(*["series-a"] * 40, "Seed")
    run = started()
    refusing()
    with pytest.raises(TooManyQuarantined, match="too many for faults in single rows"):
        worker.advance(run)
    assert (run.state, run.quarantine.count()) == (State.FAILED, refusals.QUARANTINE_FREE + 1)
    assert "no_series_a" in run.last_error


def test_a_row_whose_trigger_never_ends_goes_into_quarantine(started, fill, monkeypatch):
    ids = fill("Seed", "SEED", "Series B")
    monkeypatch.setattr(work, "CAP_SECONDS", 0.1)
    monkeypatch.setattr(work, "LAST_CAP_SECONDS", 0.2)
    sql(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = "
        f"{ids[1]} THEN PERFORM pg_sleep(60); END IF; RETURN NEW; END $$;CREATE TRIGGER dawdle "
        "BEFORE UPDATE ON stageapp_portfoliocompany FOR EACH ROW EXECUTE FUNCTION dawdle()"
    )
    try:
        run = worker.advance(started())
        assert (run.state, list(column().values())) == (State.DONE, ["seed", "SEED", "series_b"])
        assert "statement timeout" in run.quarantine.get().error
    finally:
        sql("DROP FUNCTION dawdle CASCADE")


def test_a_row_deleted_on_its_way_into_quarantine_is_no_fault(started):
    run = started("series-a")
    lease = leases.take(run, Direction.FORWARD)
    PortfolioCompany.objects.all().delete()
    result = batches.skip_row(lease, resolve(LABEL), "refused")
    assert (result.cursor.finished, result.quarantined, run.quarantine.count()) == (True, 0, 0)
