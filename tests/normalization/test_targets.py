"""A column of somebody else's model: UUID keys, its own names, words that SQL reserves."""

import uuid
from functools import partial

import pytest
from django.apps import apps
from django.db import connection, models

from stageapp.audit import log
from stageapp.models import Stage, StageAlias
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, work, worker
from stageapp.normalization.batches import Pace
from stageapp.targets import targets
from stageapp.targets.errors import Ambiguous, TargetError
from stageapp.vocabulary import snapshot
from tests.normalization.evidence import ME, sql

FOREIGN = "stageapp.ForeignDeal.round_name"
MESSY = ["Seed ", "seed", "series-a", "nobody knows", "SEED", "Series B"]


@pytest.fixture
def foreign(engine, settings):
    """Make a table and a model of its own for one test, and name it as a target."""

    class ForeignDeal(models.Model):
        ident = models.UUIDField(primary_key=True, default=uuid.uuid4, db_column="Deal Id")
        round_name = models.CharField(max_length=60, db_column="order")

        class Meta:
            app_label = "stageapp"
            db_table = "host Deals"

    settings.STAGE_TARGETS = ["stageapp.PortfolioCompany.stage", FOREIGN]
    try:
        with connection.schema_editor() as editor:
            editor.create_model(ForeignDeal)
        yield ForeignDeal
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(ForeignDeal)
        del apps.all_models["stageapp"]["foreigndeal"]
        apps.clear_cache()


def column_of(model):
    return dict(model.objects.values_list("pk", "round_name"))


def test_a_foreign_column_is_planned_run_and_rolled_back(foreign):
    foreign.objects.bulk_create(foreign(round_name=stage) for stage in MESSY * 100)
    before = column_of(foreign)
    plan = plans.make_plan(FOREIGN, actor="tester")
    assert (plan.rows_total, plan.rows_to_change, plan.rows_unknown) == (600, 400, 100)
    run = worker.advance(runs.start(plan.run, **ME))
    assert run.state == State.DONE, run.last_error
    after = column_of(foreign)
    assert set(after.values()) == {"seed", "series_a", "series_b", "nobody knows"}
    logged = {uuid.UUID(entry.row_key): (entry.old, entry.new) for entry in log.entries(run=run)}
    assert logged == {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    assert worker.advance(runs.request_rollback(run, **ME)).state == State.ROLLED_BACK
    assert column_of(foreign) == before


def test_small_batches_over_uuid_keys_miss_no_row(foreign, monkeypatch):
    foreign.objects.bulk_create(foreign(round_name="Seed") for _ in range(500))
    run = runs.start(plans.make_plan(FOREIGN, actor="tester").run, **ME)
    monkeypatch.setattr(work, "Pace", partial(Pace, size=7))
    monkeypatch.setattr(Pace, "after", lambda *_: None)
    worker.advance(run)
    assert set(column_of(foreign).values()) == {"seed"}
    assert run.batches.count() == 72


def test_a_value_that_does_not_fit_the_column_goes_into_quarantine(foreign):
    poison = foreign.objects.create(round_name="SeriesA")
    fine = foreign.objects.create(round_name="Seed")
    run = runs.start(plans.make_plan(FOREIGN, actor="tester").run, **ME)
    sql(
        'ALTER TABLE "host Deals" ALTER "order" TYPE varchar(7)'
    )  # the preflight would refuse to start
    assert worker.advance(run).state == State.DONE
    apart = run.quarantine.get()
    assert (apart.row_key, apart.value, run.verifications.get().found["quarantined"]) == (
        str(poison.pk),
        "SeriesA",
        1,
    )
    assert "too long" in apart.error
    assert column_of(foreign) == {poison.pk: "SeriesA", fine.pk: "seed"}


def test_two_targets_may_run_at_once(foreign, started):
    foreign.objects.create(round_name="Seed")
    other = started("Seed")
    run = runs.start(plans.make_plan(FOREIGN, actor="tester").run, **ME)
    assert {worker.advance(run).state, worker.advance(other).state} == {State.DONE}


def test_without_a_name_the_only_target_is_meant(foreign, settings):
    with pytest.raises(Ambiguous, match="--target"):
        targets.default_label()
    settings.STAGE_TARGETS = []
    with pytest.raises(TargetError, match="No target is configured"):
        targets.default_label()
    settings.STAGE_TARGETS = [FOREIGN]
    assert targets.default_label() == FOREIGN


def test_names_are_quoted(foreign):
    target = targets.resolve(FOREIGN)
    assert (target.table, target.key, target.column) == ('"host Deals"', '"Deal Id"', '"order"')
    assert target.key_type == "uuid"


@pytest.fixture
def deals(engine, settings):
    """Make a table whose column `source` says where a row came from, and declare it so."""

    class SourcedDeal(models.Model):
        stage = models.TextField()
        source = models.TextField(null=True)  # noqa: DJ001  a host's column may be NULL

        class Meta:
            app_label = "stageapp"
            db_table = "sourced deals"

    settings.STAGE_TARGETS = [f"{SOURCED}?source=source"]
    try:
        with connection.schema_editor() as editor:
            editor.create_model(SourcedDeal)
        yield SourcedDeal
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(SourcedDeal)
        del apps.all_models["stageapp"]["sourceddeal"]
        apps.clear_cache()


SOURCED = "stageapp.SourcedDeal.stage"


@pytest.fixture
def bare_a_of_desk():
    """Let a bare A mean Series A for one source alone."""
    stage = Stage.objects.get(slug="series_a")
    with snapshot.change(actor="tester", reason="the desk writes round codes"):
        alias = StageAlias.objects.create(spelling="A", key="a", source="desk", stage=stage)
    yield
    with snapshot.change(actor="tester", reason="the test is over"):
        alias.delete()


def test_an_alias_of_one_source_changes_the_rows_of_that_source_alone(deals, bare_a_of_desk):
    rows = [
        ("A", "desk"),
        ("A", "press"),
        ("A", None),
        ("Seed ", "desk"),
        ("Seed ", "press"),
        ("seed", None),
    ]
    deals.objects.bulk_create(deals(stage=stage, source=source) for stage, source in rows * 50)
    plan = plans.make_plan(SOURCED, actor="tester")
    assert plans.changes(plan) == [
        ("desk", "A", "series_a"),
        ("desk", "Seed ", "seed"),
        ("press", "Seed ", "seed"),
    ]
    assert (plan.rows_total, plan.rows_to_change, plan.rows_unknown) == (300, 150, 100)
    run = worker.advance(runs.start(plan.run, **ME))
    assert run.state == State.DONE, run.last_error
    assert set(deals.objects.values_list("stage", "source")) == {
        ("series_a", "desk"),
        ("A", "press"),
        ("A", None),
        ("seed", "desk"),
        ("seed", "press"),
        ("seed", None),
    }
    assert worker.advance(runs.request_rollback(run, **ME)).state == State.ROLLED_BACK
    assert sorted(deals.objects.values_list("stage", "source"), key=str) == sorted(
        rows * 50, key=str
    )


def test_the_sweep_looks_at_source_and_value_together(deals, bare_a_of_desk):
    deals.objects.bulk_create(deals(stage="A", source=source) for source in ("desk", "press"))
    run = runs.start(plans.make_plan(SOURCED, actor="tester").run, **ME)
    condition, parameters = targets.resolve(SOURCED).holds_any(
        [(c.source, c.old) for c in plans.changes(run.plan)]
    )
    assert sql(f'SELECT source FROM "sourced deals" WHERE {condition}', *parameters) == [("desk",)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("source=nowhere", "no such field"),
        ("source=id", "must be a text column"),
        ("filter=x", "the option filter; the options are form, source, touch, where"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused_by_name(settings, options, says):
    settings.STAGE_TARGETS = [f"stageapp.PortfolioCompany.stage?{options}"]
    with pytest.raises(TargetError, match=says):
        targets.resolve("stageapp.PortfolioCompany.stage")
