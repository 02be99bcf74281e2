"""One column under several labels, rows that come to a target from another table, and a trigger
that writes NULL.
"""

import io

import pytest
from django.db import models

from stageapp.audit import proof, rollbacks
from stageapp.models import PortfolioCompany
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import worker
from stageapp.normalization.verify import verify
from stageapp.normalization.work import KEPT
from stageapp.portfolio.imports import import_companies
from stageapp.targets import targets
from stageapp.targets.errors import TargetError
from stageapp.unknowns import drift
from tests.normalization.evidence import ME, sql
from tests.normalization.hosts import begin, finish, roll_back, tables

FIRM, BACKED = "stageapp.Firm.stage", "stageapp.Backed.stage"


@pytest.fixture
def firms(engine, settings):
    """Make six firms in three spellings, one of each spelling a backed firm."""

    class Firm(models.Model):
        stage = models.CharField(max_length=60, null=True)  # noqa: DJ001 - a host's table has such columns
        desk = models.CharField(max_length=60, null=True)  # noqa: DJ001
        kind = models.CharField(max_length=60, default="a")

        class Meta:
            app_label = "stageapp"

    class Backed(Firm):
        class Meta:
            app_label = "stageapp"

    settings.STAGE_TARGETS = [FIRM, BACKED]
    with tables(Firm, Backed):
        for stage in ("Seed ", "seed", "series-a"):
            Firm.objects.create(stage=stage)
            Backed.objects.create(stage=stage)
        yield Firm, Backed
    sql("DROP FUNCTION IF EXISTS picky CASCADE")


def stages():
    return dict(sql("SELECT id, stage FROM stageapp_firm"))


def doubts(label):
    return [doubt.text for doubt in proof.of_target(label).doubts]


def watch():
    sql("SELECT pg_stat_force_next_flush()")
    drift.watch()


def trigger(body):
    sql(
        f"CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN "
        "NEW; END $$"
    )
    sql("CREATE TRIGGER picky BEFORE UPDATE ON stageapp_firm FOR EACH ROW EXECUTE FUNCTION picky()")


def test_what_a_run_of_the_child_gives_back_withdraws_the_parents_proof(firms):
    childs = finish(BACKED)
    parents = finish(FIRM)
    watch()
    assert doubts(FIRM) == []
    roll_back(childs)
    (said,) = doubts(FIRM)
    assert said.startswith(f"Run {childs.pk} was rolled back in full or in part")
    assert said.endswith(", after the verification.")
    made, _ = verify(parents, **ME)
    assert (made.ok, made.found["rows_left"] + made.found["rows_unplanned"]) == (False, 2)


def test_a_batch_of_the_parents_run_withdraws_the_childs_proof(firms):
    finish(BACKED)
    watch()
    assert doubts(BACKED) == []
    parents = finish(FIRM)
    assert doubts(BACKED)[0].startswith(f"Run {parents.pk} changed rows ")
    verify(proof.standing_run(BACKED), **ME)
    assert doubts(BACKED) == []


def test_drift_among_the_parents_other_rows_is_not_the_childs(firms):
    firm, _ = firms
    finish(FIRM)
    finish(BACKED)
    watch()
    firm.objects.filter(backed=None, stage="series_a").update(stage="Series A")
    watch()
    assert any("found 1 row with known spellings" in text for text in doubts(FIRM))
    assert doubts(BACKED) == []


def test_a_target_that_is_taken_out_of_the_settings_leaves_words_and_no_fault(firms, settings):
    finish(FIRM)
    run = finish(BACKED)
    watch()
    assert (run.plan.rows_to_change, doubts(BACKED)) == (0, [])
    settings.STAGE_TARGETS = [BACKED]
    assert doubts(BACKED) == [
        "Another target of the same column has been removed from STAGE_TARGETS since the verification."
    ]


def test_an_import_withdraws_the_proof_of_a_proxys_column_and_outdates_its_plan(fill, settings):
    class Seen(PortfolioCompany):
        class Meta:
            app_label = "stageapp"
            proxy = True

    label = "stageapp.Seen.stage"
    settings.STAGE_TARGETS = [label]
    with tables(Seen):
        fill("Seed ", "seed")
        finish(label)
        watch()
        waiting = plans.make_plan(label, actor="tester")
        assert (doubts(label), plans.outdated(waiting)) == ([], "")
        import_companies(
            io.BytesIO(b"stage\nSEED\n"), fund="late", stage_column="stage", actor="ann"
        )
        assert doubts(label)[0].startswith("1 row was imported ")
        assert plans.outdated(waiting) == "it was made before 1 row was changed or added."


def test_a_parents_row_that_becomes_a_childs_is_seen_by_the_watch(firms):
    firm, _ = firms
    finish(BACKED)
    watch()
    assert doubts(BACKED) == []
    row = firm.objects.get(backed=None, stage="Seed ")
    sql("INSERT INTO stageapp_backed (firm_ptr_id) VALUES (%s)", row.pk)
    watch()
    assert any(
        "The drift check found 1 row with known spellings" in text for text in doubts(BACKED)
    )


def test_rows_that_another_table_makes_the_targets_are_seen_by_the_watch(firms, settings):
    firm, _ = firms
    where = "id IN (SELECT firm_ptr_id FROM stageapp_backed)"
    settings.STAGE_TARGETS = [f"{FIRM}?where={where}"]
    finish(FIRM)
    watch()
    assert doubts(FIRM) == []
    row = firm.objects.get(backed=None, stage="Seed ")
    sql("INSERT INTO stageapp_backed (firm_ptr_id) VALUES (%s)", row.pk)
    watch()
    assert any("The drift check found 1 row with known spellings" in text for text in doubts(FIRM))


def test_a_null_that_a_trigger_writes_is_as_written_and_is_given_back(firms):
    before = stages()
    run = begin(FIRM)
    trigger("IF NEW.stage = 'seed' THEN NEW.stage := NULL; END IF;")
    worker.advance(run)
    assert (run.state, list(stages().values()).count(None)) == (State.DONE, 2)
    made, listed = verify(run, **ME, full=True)
    found = made.found
    assert (found["rows_as_written"], found["rows_changed_since"], found["rows_null"], listed) == (
        4,
        0,
        2,
        [],
    )
    sql("DROP FUNCTION picky CASCADE")
    previews = rollbacks.preview(run, targets.resolve(FIRM), {})
    assert sum(one["rows"] for one in previews) == 4
    assert sum(one["changed_since"] for one in previews) == 0
    assert roll_back(run).state == State.ROLLED_BACK
    assert stages() == before


def test_a_null_that_a_trigger_keeps_on_the_way_back_is_named(firms):
    run = begin(FIRM)
    trigger("IF NEW.stage = 'seed' OR OLD.stage IS NULL THEN NEW.stage := NULL; END IF;")
    worker.advance(run)
    roll_back(run)
    assert [one.error for one in run.quarantine.filter(direction="rollback")] == [KEPT, KEPT]


def test_a_deleted_row_is_not_one_as_written(firms):
    run = begin(FIRM)
    trigger("IF NEW.stage = 'seed' THEN NEW.stage := NULL; END IF;")
    worker.advance(run)
    sql("DELETE FROM stageapp_backed; DELETE FROM stageapp_firm WHERE stage IS NULL")
    found = verify(run, **ME)[0].found
    assert (found["rows_as_written"], found["rows_deleted_since"], found["rows_changed_since"]) == (
        2,
        2,
        0,
    )
    assert sum(one["rows"] for one in rollbacks.preview(run, targets.resolve(FIRM), {})) == 2


@pytest.mark.parametrize("form", ["slug", "label"])
def test_of_an_inherited_column_where_source_and_form_hold_together(firms, settings, alias, form):
    _, backed = firms
    sql(
        "UPDATE stageapp_firm SET kind = 'b' WHERE stage = 'Seed '; UPDATE stageapp_firm SET "
        "desk = NULL"
    )
    backed.objects.create(stage="A", desk="x", kind="c")
    backed.objects.create(stage="A", desk="y", kind="c")
    backed.objects.create(stage=None, desk="x", kind="c")
    alias("A", "series_a", source="x")
    settings.STAGE_TARGETS = [f"{BACKED}?source=desk&form={form}&where=kind = 'a' OR kind = 'c'"]
    before = stages()
    run = finish(BACKED)
    changed = {key: value for key, value in stages().items() if value != before[key]}
    new = "Series A" if form == "label" else "series_a"
    more = {4: "Seed"} if form == "label" else {}
    assert changed == {6: new, 7: new} | more
    assert verify(run, **ME)[0].ok
    roll_back(run)
    assert stages() == before


def test_where_two_rows_share_a_key_plan_run_and_rollback_are_refused_by_name(firms):
    """Else rows 'Seed ' and 'SEED' of one key have swapped after a run and its rollback."""
    sql("DROP TABLE stageapp_backed")
    waiting = begin(FIRM)
    sql("ALTER TABLE stageapp_firm DROP CONSTRAINT stageapp_firm_pkey")
    sql(
        "INSERT INTO stageapp_firm (id, stage, kind) SELECT id, 'SEED', 'a' FROM stageapp_firm "
        "WHERE stage = 'Seed '"
    )
    everything = "SELECT ctid, id, stage FROM stageapp_firm ORDER BY 1"
    before = sql(everything)
    for refused in (
        lambda: plans.make_plan(FIRM, actor="tester"),
        lambda: worker.advance(waiting),
        lambda: verify(waiting, **ME),
    ):
        with pytest.raises(TargetError, match="No unique index covers the primary key"):
            refused()
    assert sql(everything) == before


def test_rows_that_are_hidden_from_us_are_not_proved(firms):
    run = finish(FIRM)
    sql("CREATE POLICY few ON stageapp_firm USING (id > 2)")
    sql(
        "ALTER TABLE stageapp_firm ENABLE ROW LEVEL SECURITY; ALTER TABLE stageapp_firm FORCE "
        "ROW LEVEL SECURITY"
    )
    assert sql("SELECT row_security_active('stageapp_firm')") == [(True,)]
    for refused in (lambda: plans.make_plan(FIRM, actor="tester"), lambda: verify(run, **ME)):
        with pytest.raises(TargetError, match="Row-level security hides rows from our role"):
            refused()
