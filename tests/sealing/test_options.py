"""Targets with options: seal, guard, drift, unknown queue and manifest see their rows, in the
form that they store.
"""

import uuid

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction

from stageapp.backups import contents
from stageapp.models import Stage
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from stageapp.sealing import guard, seal, state
from stageapp.sealing import preview as seal_preview
from stageapp.targets import targets
from stageapp.targets.errors import SealRefused, TargetError
from stageapp.unknowns import decisions, drift
from stageapp.vocabulary import snapshot, versions
from tests.normalization.evidence import ME, sql

VENTURE, OTHERS = "stageapp.OptionDeal.round_name", "stageapp.OtherDeal.round_name"
IS_VENTURE = "\"kind of\" = 'venture'"


@pytest.fixture
def rows(engine, settings):
    """Make a host's table with UUID keys; labels belong into its venture rows, slugs into its
    debt rows.
    """

    class OptionDeal(models.Model):
        ident = models.UUIDField(primary_key=True, default=uuid.uuid4, db_column="Deal Id")
        round_name = models.CharField(max_length=60, db_column="order", null=True)  # noqa: DJ001  as hosts have it
        kind = models.TextField(db_column="kind of", null=True)  # noqa: DJ001
        written = models.TextField(default="")  # also the name of a variable of the guard

        class Meta:
            app_label = "stageapp"
            db_table = "option Deals"

    class OtherDeal(OptionDeal):
        class Meta:
            app_label = "stageapp"
            proxy = True

    settings.STAGE_TARGETS = [
        f"{VENTURE}?where={IS_VENTURE}&form=label",
        f"{OTHERS}?where=\"kind of\" = 'debt' AND written = ''",
    ]
    try:
        with connection.schema_editor() as editor:
            editor.create_model(OptionDeal)
        yield OptionDeal
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(OptionDeal)
        for name in ("optiondeal", "otherdeal"):
            del apps.all_models["stageapp"][name]
        apps.clear_cache()


def add(rows, *pairs):
    return [rows.objects.create(round_name=stage, kind=kind) for stage, kind in pairs]


def stored(rows):
    return sorted(rows.objects.values_list("round_name", "kind"), key=str)


def refused(rows, **columns):
    with pytest.raises(IntegrityError, match="stageapp_seal"), transaction.atomic():
        rows.objects.create(**columns)


def test_the_seal_holds_the_labels_of_its_own_rows_alone(rows):
    add(rows, ("Seed", "venture"), ("nobody knows", "debt"), ("???", None))
    assert seal.seal(VENTURE, **ME).state == "sealed"
    add(rows, ("Series A", "venture"), ("what", "debt"), ("what", None), (None, "venture"))
    for value in ("series_a", "seed", "nobody knows"):
        refused(rows, round_name=value, kind="venture")
    row = rows.objects.get(round_name="???")
    with pytest.raises(IntegrityError, match="stageapp_seal"), transaction.atomic():
        rows.objects.filter(pk=row.pk).update(kind="venture")
    assert seal.seal(VENTURE, **ME).seal.constraint_name.endswith("_1")  # nothing to do
    assert seal.unseal(VENTURE, **ME).state == "open"
    add(rows, ("series_a", "venture"))


def test_null_is_counted_in_its_own_rows_alone(rows):
    add(rows, ("Seed", "venture"), (None, "debt"), (None, None))
    found = seal_preview.preview(VENTURE, nulls=False)
    assert (found.survey.null_rows, found.survey.rows, found.obstacles) == (0, 0, [])
    assert seal.seal(VENTURE, nulls=False, **ME).state == "sealed"
    refused(rows, round_name=None, kind="venture")
    add(rows, (None, "debt"))


def test_known_and_unknown_values_are_those_of_its_own_rows(rows):
    add(rows, ("seed", "venture"), ("???", "venture"), ("???", "debt"), ("Series B", "debt"))
    found = seal_preview.preview(VENTURE).survey
    assert [(one.value, one.rows, one.stage) for one in found.held] == [
        ("???", 1, None),
        ("seed", 1, "seed"),
    ]
    with pytest.raises(SealRefused, match="known spellings: 'seed'"):
        seal.seal(VENTURE, **ME)
    run = worker.advance(runs.start(plans.make_plan(VENTURE, actor="tester").run, **ME))
    assert (run.state, run.verifications.get().ok) == (State.DONE, True)
    assert seal.seal(VENTURE, allow=["???"], **ME).state == "sealed"
    assert stored(rows) == [
        ("???", "debt"),
        ("???", "venture"),
        ("Seed", "venture"),
        ("Series B", "debt"),
    ]


def test_two_seals_of_one_column_stand_side_by_side(rows):
    add(rows, ("Seed", "venture"), ("seed", "debt"))
    both = [seal.seal(label, **ME) for label in (VENTURE, OTHERS)]
    assert [now.state for now in both] == ["sealed", "sealed"]
    refused(rows, round_name="seed", kind="venture")
    refused(rows, round_name="Seed", kind="debt")
    seal.unseal(VENTURE, **ME)
    assert (state.look(VENTURE).state, state.look(OTHERS).state) == ("open", "sealed")
    add(rows, ("seed", "venture"))
    refused(rows, round_name="Seed", kind="debt")


def test_another_where_or_form_makes_another_seal(rows, settings):
    add(rows, ("Seed", "venture"))
    first = seal.seal(VENTURE, **ME).seal
    settings.STAGE_TARGETS = [f"{VENTURE}?where={IS_VENTURE} AND written = ''&form=label"]
    second = seal.seal(VENTURE, **ME).seal
    assert first.constraint_name != second.constraint_name
    assert list(state.look(VENTURE).constraints) == [second.constraint_name]
    rows.objects.create(round_name="anything", kind="venture", written="x")
    settings.STAGE_TARGETS = [f"{VENTURE}?where={IS_VENTURE} AND written = ''"]
    assert "seed" in state.look(VENTURE).added


@pytest.mark.parametrize(
    "where",
    [
        'EXISTS (SELECT FROM stageapp_stage WHERE slug = "order")',
        "random() < 0.5",
        "now() > '2020-01-01'",
        "no_column = 1",
        "count(*) > 1",
        '"kind of"',
        "\"kind of\" = 'venture' --",
    ],
)
def test_what_no_constraint_can_hold_is_refused_and_leaves_nothing(rows, settings, where):
    settings.STAGE_TARGETS = [f"{VENTURE}?where={where}"]
    for act in (seal_preview.preview, lambda label: seal.seal(label, **ME)):
        with pytest.raises(SealRefused, match="cannot be used in a constraint"):
            act(VENTURE)
    assert state.look(VENTURE).state == "open"
    assert sql("SELECT to_regclass('pg_temp.stageapp_seal_probe')") == [(None,)]


def test_a_where_that_fails_on_a_row_is_said(rows, settings):
    settings.STAGE_TARGETS = [f'{VENTURE}?where="kind of"::int > 1']
    add(rows, ("Seed", "venture"))
    with pytest.raises(TargetError, match="cannot be evaluated: invalid input syntax"):
        seal_preview.preview(VENTURE)


def test_a_percent_sign_is_refused_by_name(settings):
    settings.STAGE_TARGETS = ["stageapp.PortfolioCompany.stage?where=name LIKE 'a%25'"]
    with pytest.raises(TargetError, match="starts_with"):
        targets.resolve("stageapp.PortfolioCompany.stage")


def test_a_label_that_is_not_read_as_its_stage_is_refused(rows):
    with snapshot.change(**ME):
        Stage.objects.filter(slug="seed").update(label="Round nought")
    try:
        with pytest.raises(SealRefused, match=r"'Round nought' would not be read.*each label"):
            seal.seal(VENTURE, **ME)
        guard.switch_on(VENTURE, **ME)
        add(rows, ("SEED ", "venture"), ("series-a", "venture"))  # nor does the guard write it
        assert stored(rows) == [("SEED ", "venture"), ("Series A", "venture")]
        assert seal.seal(OTHERS, **ME).state == "sealed"  # by slugs, which are read
    finally:
        with snapshot.change(**ME):
            Stage.objects.filter(slug="seed").update(label="Seed")


def test_the_guard_writes_labels_into_its_own_rows_alone(rows):
    assert guard.switch_on(VENTURE, **ME).state == "on"
    add(
        rows,
        ("series-a ", "venture"),
        ("series-a ", "debt"),
        ("seed", "venture"),
        ("seed", None),
        ("???", "venture"),
    )
    assert stored(rows) == [
        ("???", "venture"),
        ("Seed", "venture"),
        ("Series A", "venture"),
        ("seed", None),
        ("series-a ", "debt"),
    ]
    caught = [(one.raw, one.stage) for one in guard.caught(VENTURE, days=1, most=9)]
    assert caught == [("seed", "Seed"), ("series-a ", "Series A")]
    assert guard.totals(VENTURE, days=1) == (2, 0)


def test_two_guards_of_one_column_each_keep_to_their_rows(rows):
    for label in (VENTURE, OTHERS):
        guard.switch_on(label, **ME)
    add(rows, ("Seed ", "venture"), ("Seed ", "debt"), ("Seed ", None))
    assert stored(rows) == [("Seed ", None), ("Seed", "venture"), ("seed", "debt")]
    guard.switch_off(VENTURE, **ME)
    assert (guard.look(VENTURE).state, guard.look(OTHERS).state) == ("off", "on")


def test_a_row_that_becomes_the_targets_own_is_read_then(rows):
    loose, own = add(rows, ("Seed ", None), ("Seed ", "venture"))
    guard.switch_on(VENTURE, **ME)
    rows.objects.filter(pk=own.pk).update(written="saved without a change of its stage")
    rows.objects.filter(pk=loose.pk).update(kind="venture")
    assert dict(rows.objects.values_list("pk", "round_name")) == {loose.pk: "Seed", own.pk: "Seed "}


def test_a_where_that_fails_leaves_the_writer_alone(rows, settings):
    settings.STAGE_TARGETS = [f'{VENTURE}?where="kind of"::int > 1']
    guard.switch_on(VENTURE, **ME)
    add(rows, ("Seed ", "venture"), ("Seed ", "2"))
    assert stored(rows) == [("Seed ", "venture"), ("seed", "2")]
    assert guard.totals(VENTURE, days=1) == (1, 1)
    settings.STAGE_TARGETS = [f"{VENTURE}?where=no_column = 1"]
    with pytest.raises(TargetError, match="cannot be evaluated"):
        guard.switch_on(VENTURE, **ME)


def test_what_a_seal_would_refuse_is_said_of_a_form_and_left_to_the_row_with_a_where(
    rows, settings
):
    add(rows, ("Seed", "venture"))
    seal.seal(VENTURE, **ME)
    assert guard.why_refused(VENTURE, "???") == ""
    seal.unseal(VENTURE, **ME)
    settings.STAGE_TARGETS = [f"{VENTURE}?form=label"]
    seal.seal(VENTURE, **ME)
    assert "it accepts Pre-Seed, Seed" in guard.why_refused(VENTURE, "seed")
    guard.switch_on(VENTURE, **ME)
    assert guard.why_refused(VENTURE, "seed") == ""


def test_drift_and_the_unknown_queue_count_its_own_rows(rows):
    add(rows, ("Seed", "venture"), ("old", "venture"))
    run = worker.advance(runs.start(plans.make_plan(VENTURE, actor="tester").run, **ME))
    add(rows, ("seed", "venture"), ("old", "venture"), ("old", "debt"), ("Seed ", "debt"))
    look = drift.check(VENTURE, run)
    assert (look.known_rows, look.unknown_rows, look.problem) == (1, 1, "")
    entries = list(drift.records.UnknownEntry.objects.all())
    assert decisions.preview(entries).rows == {VENTURE: 2, OTHERS: 1}


def test_the_manifest_holds_the_values_of_its_own_rows(rows, settings):
    add(rows, ("Seed", "venture"), ("x", "venture"), ("x", "debt"), ("y", None))

    def facts():
        session = connection.connection
        return contents.measure(session, [targets.resolve(VENTURE)], lambda *_: None).stages

    connection.ensure_connection()
    name = f"{VENTURE}?where={IS_VENTURE}"
    before = facts()
    assert (before[name].distinct, dict(before[name].counts)) == (2, {"Seed": 1, "x": 1})
    add(rows, ("z", "debt"))
    assert facts() == before
    settings.STAGE_TARGETS = [VENTURE]
    assert facts()[VENTURE].distinct == 4


def test_a_stage_whose_label_is_stored_is_in_use(rows):
    add(rows, ("Growth", "venture"))
    assert versions.is_named("growth")
    assert not versions.is_named("series_d")
