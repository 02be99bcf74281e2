"""The rows of a model that shares a table with others, or its key with a parent: those, and no
others.
"""

import uuid

import pytest
from django.db import models

from stageapp.models.normalization import State
from stageapp.normalization import plan, preflight, runs, trial_in_copy, verify, worker
from stageapp.normalization import plan as plans
from stageapp.sealing import guard, preview, seal
from stageapp.targets import targets
from stageapp.targets.errors import PreflightRefused, SealRefused, TargetError
from stageapp.targets.findings import Severity
from stageapp.unknowns import drift
from tests.normalization.evidence import ME, sql
from tests.normalization.hosts import begin, finish, roll_back, tables

STARTUP, UNICORN = "stageapp.Startup.stage", "stageapp.Unicorn.stage"
SPELLINGS = ["Seed ", "series-a", "seed"]


@pytest.fixture
def orgs(engine, settings):
    """Make 90 orgs in three spellings, of which 30 are startups, and of these 3 unicorns."""

    class Org(models.Model):
        stage = models.CharField(max_length=60)
        touched = models.DateTimeField(null=True)

        class Meta:
            app_label = "stageapp"
            db_table = "host orgs"

    class Startup(Org):
        round_name = models.CharField(max_length=60, default="Seed ")

        class Meta:
            app_label = "stageapp"
            db_table = "host startups"

    class Unicorn(Startup):
        class Meta:
            app_label = "stageapp"

    class Young(Startup):
        class Meta:
            app_label = "stageapp"
            proxy = True

    settings.STAGE_TARGETS = [
        STARTUP,
        UNICORN,
        "stageapp.Young.stage",
        "stageapp.Startup.round_name",
    ]
    with tables(Org, Startup, Unicorn, Young):
        for number in range(60):
            Org.objects.create(stage=SPELLINGS[number % 3])
        for number in range(30):
            kind = Unicorn if number % 10 == 0 else Startup
            kind.objects.create(stage=SPELLINGS[number % 3])
        yield Org, Startup, Unicorn


def stages(model):
    return dict(model.objects.values_list("pk", "stage"))


@pytest.mark.parametrize("label", [STARTUP, "stageapp.Young.stage"])
def test_of_an_inherited_column_the_childs_rows_alone_are_planned_run_and_rolled_back(orgs, label):
    org, startup, _ = orgs
    before, ours = stages(org), set(stages(startup))
    plan = plans.make_plan(label, actor="tester")
    assert (plan.rows_total, plan.rows_to_change, plan.estimated_seconds > 0) == (30, 20, True)
    assert worker.dry_run(plan.run)["would_change"] == 20
    run = worker.advance(runs.start(plan.run, **ME))
    made = run.verifications.first().found
    assert (run.state, made["ok"], made["rows_left"]) == (State.DONE, True, 0)
    after = stages(org)
    assert {key for key in before if before[key] != after[key]} <= ours
    assert {after[key] for key in ours} == {"seed", "series_a"}
    assert roll_back(run).state == State.ROLLED_BACK
    assert stages(org) == before


def test_of_a_grandchild_its_own_rows_alone(orgs):
    org, _, unicorn = orgs
    before, ours = stages(org), set(stages(unicorn))
    plan = plans.make_plan(UNICORN, actor="tester")
    assert plan.rows_total == 3
    finish(UNICORN)
    after = stages(org)
    assert {key for key in before if before[key] != after[key]} == {
        key for key in ours if before[key] != "seed"
    }


def test_sweep_and_drift_leave_the_parents_other_rows_alone(orgs):
    org, startup, _ = orgs
    others = set(stages(org)) - set(stages(startup))
    run, once = begin(STARTUP), [startup.objects.last().pk]

    def dirty(_):
        while once:
            org.objects.filter(pk=once.pop()).update(stage="Seed ")
            org.objects.filter(pk=min(others)).update(stage="Seed ")

    worker.advance(run, report=dirty)
    assert run.state == State.DONE
    assert set(startup.objects.values_list("stage", flat=True)) == {"seed", "series_a"}
    assert run.checkpoints.get(direction="forward").sweep == 1
    assert stages(org)[min(others)] == "Seed "
    found = drift.check(STARTUP, run)
    assert (found.problem, found.known_rows, found.unknown_rows) == ("", 0, 0)
    startup.objects.filter(pk=startup.objects.last().pk).update(stage="Seed ")
    sql("SELECT pg_stat_force_next_flush()")
    assert drift.check(STARTUP, run).known_rows == 1
    assert verify.verify(run, **ME)[0].found["rows_left"] == 1


def test_a_trial_tries_the_targets_own_rows(orgs):
    _, startup, _ = orgs
    target = targets.resolve(STARTUP)
    changes = plans.changes(plans.make_plan(STARTUP, actor="tester"))
    keys = trial_in_copy.first_keys(target, changes)
    assert {int(key) for key in keys.values()} <= set(stages(startup))
    assert plan.estimated_seconds(target, changes, 20) is not None


def test_in_the_copy_of_a_trial_the_childs_rows_alone_are_changed(orgs):
    plan = plans.make_plan(STARTUP, actor="tester")
    names = ("source", "raw", "stage", "reason", "rows")
    entries = [{name: getattr(entry, name) for name in names} for entry in plan.entries.all()]
    try:
        found = trial_in_copy.carry_out(STARTUP, 100, plans.changes(plan), entries, lambda *_: None)
    finally:
        sql("DROP TABLE IF EXISTS stage_trial_before")
    assert found["passed"], found
    assert (found["rows"], sum(one["rows"] for one in found["changed"])) == (90, 20)
    assert (found["unexpected"], found["rows_left"], found["rows_restored"]) == ([], 0, True)


def test_of_an_inherited_column_seal_and_guard_are_refused_by_name(orgs):
    finish(STARTUP)
    said = r"stageapp.Startup.stage cannot be {}: its model inherits the column from the table \"host orgs\""
    with pytest.raises(SealRefused, match=said.format("sealed")):
        seal.seal(STARTUP, **ME)
    with pytest.raises(SealRefused, match=said.format("sealed")):
        preview.preview(STARTUP)
    with pytest.raises(SealRefused, match=said.format("guarded")):
        guard.switch_on(STARTUP, **ME)
    assert guard.look(STARTUP).state == "off"
    assert sql("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'stageapp_guard%'") == [(0,)]


def test_preflight_tells_of_the_inheritance_and_a_where_holds_beside_it(orgs, settings):
    org, startup, _ = orgs
    found = preflight.look(STARTUP)
    assert "stageapp.Startup inherits the column from stageapp.Org" in "\n".join(
        map(str, found.findings)
    )
    assert found.worst == Severity.TELLS
    few = min(stages(startup)) + 9
    settings.STAGE_TARGETS = [f"{STARTUP}?where=id < {few}&touch=touched"]
    plan = plans.make_plan(STARTUP, actor="tester")
    assert plan.rows_total == 9
    finish(STARTUP)
    assert org.objects.filter(touched__isnull=False).count() == 6


def test_a_field_of_the_child_itself_has_the_parents_link_as_its_key(orgs):
    _, startup, _ = orgs
    before = dict(startup.objects.values_list("pk", "round_name"))
    run = finish("stageapp.Startup.round_name")
    assert (run.plan.rows_total, set(startup.objects.values_list("round_name", flat=True))) == (
        30,
        {"seed"},
    )
    roll_back(run)
    assert dict(startup.objects.values_list("pk", "round_name")) == before
    assert "known spellings" in preview.preview("stageapp.Startup.round_name").obstacles[0]


KEYS = {"bigint": models.BigAutoField, "integer": models.AutoField, "uuid": models.UUIDField}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("link", [models.OneToOneField, models.ForeignKey])
@pytest.mark.filterwarnings("ignore:.*unique=True on a ForeignKey")
def test_a_key_that_refers_to_another_models_key_works(engine, settings, kind, link):
    class Owner(models.Model):
        id = KEYS[kind](primary_key=True, **({"default": uuid.uuid4} if kind == "uuid" else {}))

        class Meta:
            app_label = "stageapp"

    class Card(models.Model):
        owner = link(Owner, primary_key=True, on_delete=models.CASCADE)
        stage = models.TextField()

        class Meta:
            app_label = "stageapp"

    class Sticker(models.Model):
        card = models.OneToOneField(Card, primary_key=True, on_delete=models.CASCADE)
        stage = models.TextField()

        class Meta:
            app_label = "stageapp"

    settings.STAGE_TARGETS = ["stageapp.Card.stage", "stageapp.Sticker.stage"]
    with tables(Owner, Card, Sticker):
        for stage in ("Seed ", "seed", "nobody knows"):
            Sticker.objects.create(
                card=Card.objects.create(owner=Owner.objects.create(), stage=stage), stage=stage
            )
        for label, model in (("stageapp.Card.stage", Card), ("stageapp.Sticker.stage", Sticker)):
            assert targets.resolve(label).key_type == kind
            before = dict(model.objects.values_list("pk", "stage"))
            run = finish(label)
            assert sorted(model.objects.values_list("stage", flat=True)) == [
                "nobody knows",
                "seed",
                "seed",
            ]
            assert roll_back(run).state == State.ROLLED_BACK
            assert dict(model.objects.values_list("pk", "stage")) == before


def test_a_key_that_refers_to_a_text_is_refused_by_name(engine, settings):
    class Coded(models.Model):
        code = models.CharField(max_length=9, primary_key=True)

        class Meta:
            app_label = "stageapp"

    class Carded(models.Model):
        coded = models.OneToOneField(Coded, primary_key=True, on_delete=models.CASCADE)
        stage = models.TextField()

        class Meta:
            app_label = "stageapp"

    settings.STAGE_TARGETS = ["stageapp.Carded.stage"]
    with (
        tables(Coded, Carded),
        pytest.raises(TargetError, match=r"The primary key of stageapp\.Carded is a CharField"),
    ):
        targets.resolve("stageapp.Carded.stage")


@pytest.fixture
def deals(engine, settings):
    """Make a model with an abstract base, whose default manager hides deleted rows, and a proxy
    of it.
    """

    class Living(models.Manager):
        def get_queryset(self):
            return super().get_queryset().filter(deleted=False)

    class Staged(models.Model):
        stage = models.CharField(max_length=60)
        deleted = models.BooleanField(default=False)
        objects = Living()

        class Meta:
            app_label = "stageapp"
            abstract = True

    class SoftDeal(Staged):
        class Meta:
            app_label = "stageapp"

    class SeenDeal(SoftDeal):
        class Meta:
            app_label = "stageapp"
            proxy = True

    settings.STAGE_TARGETS = ["stageapp.SoftDeal.stage", "stageapp.SeenDeal.stage"]
    with tables(SoftDeal, SeenDeal):
        SoftDeal.objects.bulk_create(
            SoftDeal(stage=stage, deleted=deleted)
            for stage in ("Seed ", "seed")
            for deleted in (True, False)
        )
        yield SoftDeal


@pytest.mark.parametrize("label", ["stageapp.SoftDeal.stage", "stageapp.SeenDeal.stage"])
def test_a_manager_that_hides_rows_hides_none_from_a_run(deals, label):
    run = finish(label)
    assert (run.plan.rows_total, run.plan.rows_to_change) == (4, 2)
    assert sql('SELECT DISTINCT stage FROM "stageapp_softdeal"') == [("seed",)]


def test_a_table_that_others_inherit_from_is_refused_by_name(deals):
    label = "stageapp.SoftDeal.stage"
    waiting = begin(label)
    planned = plans.make_plan("stageapp.SeenDeal.stage", actor="tester").run
    sql("CREATE TABLE heirs () INHERITS (stageapp_softdeal)")
    sql("INSERT INTO heirs SELECT id, ' SEED ', false FROM stageapp_softdeal")
    said = 'Tables inherit from "stageapp_softdeal": heirs'
    everything = "SELECT tableoid::regclass::text, id, stage FROM stageapp_softdeal ORDER BY 1, 2"
    before = sql(everything)
    assert said in str(preflight.look(label).findings[0])
    for refused in (
        lambda: plans.make_plan(label, actor="tester"),
        lambda: worker.dry_run(planned),
        lambda: worker.advance(waiting),
        lambda: seal.seal(label, **ME),
        lambda: guard.switch_on(label, **ME),
    ):
        with pytest.raises(TargetError, match=said):
            refused()
    with pytest.raises(PreflightRefused, match=said):
        runs.start(planned, **ME)
    assert sql(everything) == before
    assert (waiting.state, said in waiting.last_error) == (State.FAILED, True)


def test_a_table_that_inherits_has_rows_of_its_own(deals, settings):
    """The child's rows are the target's; the parent's, with the same key, are not touched."""
    sql("CREATE TABLE above (id bigint, stage varchar(60), deleted bool)")
    sql("ALTER TABLE stageapp_softdeal INHERIT above")
    sql("INSERT INTO above SELECT id, 'Seed ', false FROM ONLY stageapp_softdeal")
    try:
        finish("stageapp.SoftDeal.stage")
        assert sql("SELECT DISTINCT stage FROM ONLY above") == [("Seed ",)]
        assert sql("SELECT DISTINCT stage FROM stageapp_softdeal") == [("seed",)]
    finally:
        sql("ALTER TABLE stageapp_softdeal NO INHERIT above; DROP TABLE above")


def test_a_partitioned_table_is_run_rolled_back_watched_guarded_and_sealed(deals):
    label = "stageapp.SoftDeal.stage"
    sql(
        "DROP TABLE stageapp_softdeal; CREATE TABLE stageapp_softdeal (id bigint PRIMARY KEY, "
        "stage varchar(60) NOT NULL, deleted bool NOT NULL) PARTITION BY HASH (id); CREATE TABLE "
        "deals_0 PARTITION OF stageapp_softdeal FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE "
        "TABLE deals_1 PARTITION OF stageapp_softdeal FOR VALUES WITH (MODULUS 2, REMAINDER 1); "
        "INSERT INTO stageapp_softdeal SELECT n, CASE n % 3 WHEN 0 THEN 'Seed ' WHEN 1 THEN "
        "'seed' ELSE 'SEED' END, false FROM generate_series(1, 300) n"
    )
    everything = "SELECT id, stage FROM stageapp_softdeal ORDER BY id"
    before = sql(everything)
    run = finish(label)
    made = run.verifications.first().found
    assert (run.plan.rows_to_change, made["ok"]) == (200, True)
    assert sql("SELECT DISTINCT stage FROM stageapp_softdeal") == [("seed",)]
    first = drift.check(label, run)
    assert (first.problem, first.known_rows) == ("", 0)
    sql("UPDATE deals_0 SET stage = 'SEED' WHERE id = (SELECT min(id) FROM deals_0)")
    sql("SELECT pg_stat_force_next_flush()")
    assert drift.check(label, run).known_rows == 1
    sql("UPDATE stageapp_softdeal SET stage = 'seed' WHERE stage = 'SEED'")
    assert roll_back(run).state == State.ROLLED_BACK
    assert len(set(before) ^ set(sql(everything))) in (0, 2)  # but the row that was changed since
    finish(label)
    guard.switch_on(label, **ME)
    sql(
        "INSERT INTO deals_1 SELECT n, ' Seed', false FROM generate_series(1000, 1100) n "
        "WHERE satisfies_hash_partition('stageapp_softdeal'::regclass, 2, 1, n::bigint)"
    )
    assert sql("SELECT DISTINCT stage FROM stageapp_softdeal") == [("seed",)]
    assert seal.seal(label, **ME).state == "sealed"
