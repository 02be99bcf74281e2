"""A sealed column takes its stages and nothing else, and every step of it is on record."""

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from stageapp.models import PortfolioCompany, Run, Seal, StageAlias
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from stageapp.normalization.verify import verify
from stageapp.sealing import seal
from stageapp.sealing import state as seal_state
from stageapp.targets.errors import SealRefused
from stageapp.vocabulary import snapshot
from tests.normalization.evidence import LABEL, ME, column, sql
from tests.sealing.conftest import STAGES, TABLE, constraints, retire, validated


def write(value):
    with transaction.atomic():
        sql(f"UPDATE {TABLE} SET stage = %s", value)


def state():
    return seal_state.look(LABEL).state


def actions():
    return list(Seal.objects.order_by("id").values_list("action", flat=True))


def test_a_sealed_column_takes_stages_and_refuses_the_rest(sealed):
    now = sealed("seed", "growth")
    assert (now.state, now.seal.stages, now.seal.actor, now.seal.reason) == (
        "sealed",
        STAGES,
        "tester",
        "test",
    )
    assert validated() == [True]
    for stage in STAGES:
        write(stage)
    for other in ("Seed", "seed ", "SEED", "", "nobody knows", "sèed"):
        with pytest.raises(IntegrityError, match="stageapp_seal"):
            write(other)
    assert set(column().values()) == {"growth"}
    assert actions() == ["begun", "sealed"]


def test_the_constraint_calls_no_function_of_ours(sealed):
    sealed()
    definition = seal_state.look(LABEL).seal.definition
    assert "normalize_stage" not in definition
    assert 'COLLATE "C"' in definition


def test_what_postgresql_writes_of_it_reads_back_as_the_same(sealed):
    before = sealed().seal.definition
    (name,) = constraints()
    sql(
        f"ALTER TABLE {TABLE} DROP CONSTRAINT {name}; ALTER TABLE {TABLE} ADD CONSTRAINT {name} "
        f"{before}"
    )
    assert (
        state() == "sealed"
    )  # so a restored backup is not taken for a constraint that somebody has altered


def test_unsealing_lets_everything_pass_again(sealed):
    sealed()
    now = seal.unseal(LABEL, actor="olga", reason="the importer is not ready")
    assert (now.state, constraints()) == ("open", [])
    write("Seed ")
    assert actions() == ["begun", "sealed", "unsealed"]
    assert Seal.objects.first().reason == "the importer is not ready"
    with pytest.raises(SealRefused, match="is not sealed"):
        seal.unseal(LABEL, **ME)


@pytest.mark.parametrize("act", [seal.seal, seal.unseal])
def test_without_a_reason_nothing_happens(fill, act):
    fill("seed")
    with pytest.raises(SealRefused, match="reason"):
        act(LABEL, actor="tester", reason=" ")
    assert actions() == []


def test_known_spellings_are_refused_until_the_plan_has_run(fill):
    fill("Seed ", "series-a", "seed")
    with pytest.raises(
        SealRefused,
        match=r"2 rows still contain known spellings: .*'Seed '.*Make a plan and run it",
    ):
        seal.seal(LABEL, **ME)
    assert (constraints(), actions()) == ([], [])
    worker.advance(runs.start(plans.make_plan(LABEL, actor="tester").run, **ME))
    assert seal.seal(LABEL, **ME).state == "sealed"


def test_a_known_spelling_cannot_be_allowed_instead(fill):
    fill("Seed ")
    with pytest.raises(SealRefused, match="known spellings: do not allow them"):
        seal.seal(LABEL, allow=["Seed "], **ME)


def test_unknown_values_pass_only_if_a_person_names_each(fill):
    fill("seed", "???", "???", "nobody knows")
    with pytest.raises(
        SealRefused,
        match=r"3 rows contain 2 unknown values that are not allowed: '\?\?\?', 'nobody know",
    ):
        seal.seal(LABEL, **ME)
    with pytest.raises(
        SealRefused, match=r"1 row contains 1 unknown value that is not allowed: 'nobody knows'"
    ):
        seal.seal(LABEL, allow=["???"], **ME)
    assert seal.seal(LABEL, allow=["???", "nobody knows"], **ME).state == "sealed"
    write("???")
    with pytest.raises(IntegrityError):
        write("??")


def test_a_long_list_is_kept_not_sealed(fill):
    values = [f"nobody knows {number}" for number in range(51)]
    fill(*values)
    with pytest.raises(SealRefused, match=r"51 values would have to be allowed; the limit is 50\."):
        seal.seal(LABEL, allow=values, **ME)
    with pytest.raises(SealRefused, match="more than the limit of 50 allowed values: decide them"):
        seal.seal(LABEL, **ME)


@pytest.mark.parametrize("value", ["a\x00b", "\ud800"])
def test_what_no_row_can_hold_is_not_allowed(fill, value):
    fill("seed")
    with pytest.raises(SealRefused, match="cannot store a NUL"):
        seal.seal(LABEL, allow=[value], **ME)


def test_hard_values_are_allowed_byte_for_byte(fill):
    hard = [
        "it's",
        'quo"te',
        "back\\slash",
        "100 % sure",
        "%s",
        "line\nend",
        "\u202etrick",
        "no\u0301 one",
        "$$",
    ]
    fill(*hard)
    assert seal.seal(LABEL, allow=hard, **ME).state == "sealed"
    for value in hard:
        write(value)
        assert set(column().values()) == {value}
    with pytest.raises(IntegrityError):
        write("back\\\\slash")


def test_a_stage_that_is_not_read_as_itself_stands_against_it(fill, new_stage):
    fill("seed")
    new_stage("bridge")
    with snapshot.change(**ME):
        StageAlias.objects.filter(stage__slug="bridge").delete()
    with pytest.raises(SealRefused, match=r"'bridge' would not be read .*add an alias"):
        seal.seal(LABEL, **ME)


def test_an_unfinished_run_stands_against_it(started):
    run = started("seed")
    with pytest.raises(SealRefused, match=f"Run {run.pk} is running"):
        seal.seal(LABEL, **ME)


def test_a_run_that_did_not_verify_stands_against_it(done):
    run = done("Seed ")
    sql(
        "INSERT INTO stageapp_normalizationlog (batch_id, keys, old, new) "
        "SELECT batch_id, keys, 'a', 'b' FROM stageapp_normalizationlog"
    )
    verify(run, **ME)
    with pytest.raises(
        SealRefused,
        match=rf"Run {run.pk} was verified .* ago, and the verification failed: The audit",
    ):
        seal.seal(LABEL, **ME)


def test_a_rollback_of_a_sealed_target_is_refused_before_it_begins(done):
    run = done("Seed ")
    seal.seal(LABEL, **ME)
    with pytest.raises(SealRefused, match="Unseal it first"):
        runs.request_rollback(run, **ME)
    assert Run.objects.get().state == State.DONE
    seal.unseal(LABEL, **ME)
    assert worker.advance(runs.request_rollback(Run.objects.get(), **ME)).state == State.ROLLED_BACK
    assert set(column().values()) == {"Seed "}


def test_sealing_twice_changes_nothing(sealed):
    first = sealed().seal
    again = seal.seal(LABEL, **ME)
    assert (again.seal.pk, actions()) == (first.pk, ["begun", "sealed"])


def test_a_constraint_that_somebody_dropped_is_missing_and_comes_back(sealed):
    sealed()
    sql(f"ALTER TABLE {TABLE} DROP CONSTRAINT {constraints()[0]}")
    assert state() == "missing"
    assert seal.seal(LABEL, **ME).state == "sealed"
    with pytest.raises(IntegrityError):
        write("Seed")


@pytest.mark.parametrize("other", ["CHECK (stage <> '')", "CHECK (true)", None])
def test_a_constraint_that_somebody_replaced_is_altered_and_is_set_right(sealed, other):
    made = sealed()
    (name,) = constraints()
    definition = other or f"{made.seal.definition} NOT VALID"
    sql(
        f"ALTER TABLE {TABLE} DROP CONSTRAINT {name}; ALTER TABLE {TABLE} ADD CONSTRAINT {name} "
        f"{definition}"
    )
    assert state() == "altered"
    assert seal.seal(LABEL, **ME).state == "sealed"
    assert (len(constraints()), validated()) == (1, [True])
    with pytest.raises(IntegrityError):
        write("Seed")


def test_a_missing_seal_can_be_taken_off_the_record(sealed):
    sealed()
    sql(f"ALTER TABLE {TABLE} DROP CONSTRAINT {constraints()[0]}")
    assert seal.unseal(LABEL, **ME).state == "open"


def test_a_stage_that_comes_later_is_refused_until_the_seal_is_renewed(sealed, new_stage):
    sealed()
    new_stage("bridge")
    now = seal_state.look(LABEL)
    assert (now.state, now.behind, now.added, now.retired) == ("sealed", True, ("bridge",), ())
    with pytest.raises(IntegrityError):
        write("bridge")
    renewed = seal.seal(LABEL, **ME)
    assert (renewed.behind, renewed.seal.vocabulary_version) == (False, renewed.newest_version)
    write("bridge")
    assert (len(constraints()), actions()) == (1, ["begun", "sealed"] * 2)


def test_a_new_version_with_the_same_stages_takes_no_lock(sealed, alias):
    before = sealed()
    alias("sd", "seed")
    assert not seal_state.look(LABEL).behind
    renewed = seal.seal(LABEL, **ME)
    assert renewed.seal.vocabulary_version > before.seal.vocabulary_version
    assert actions() == ["begun", "sealed", "sealed"]
    assert constraints() == [before.seal.constraint_name]


def test_the_old_seal_holds_until_the_new_one_is_checked(sealed, new_stage, monkeypatch):
    sealed()
    new_stage("bridge")
    seen = []
    validate = seal._validate

    def look_on(who, begun, how):
        seen.append(("before", len(constraints()), sorted(validated())))
        validate(who, begun, how)
        seen.append(("after", len(constraints()), sorted(validated())))
        with pytest.raises(IntegrityError):
            write("nonsense")

    monkeypatch.setattr(seal, "_validate", look_on)
    seal.seal(LABEL, **ME)
    assert seen == [("before", 2, [False, True]), ("after", 2, [True, True])]
    assert validated() == [True]


def test_what_was_allowed_stays_allowed_when_a_seal_is_renewed(sealed, new_stage):
    sealed("seed", "???", allow=["???"])
    new_stage("bridge")
    assert seal.seal(LABEL, **ME).seal.allowed == ["???"]
    assert set(column().values()) == {"seed", "???"}


def test_an_allowed_value_that_gets_a_meaning_has_to_be_run_first(sealed, alias):
    sealed("seed", "sd round", allow=["sd round"])
    alias("sd round", "seed")
    with pytest.raises(SealRefused, match="known spellings"):
        seal.seal(LABEL, **ME)
    worker.advance(runs.start(plans.make_plan(LABEL, actor="tester").run, **ME))
    renewed = seal.seal(LABEL, **ME)
    assert (renewed.state, renewed.seal.allowed) == ("sealed", [])
    with pytest.raises(IntegrityError):
        write("sd round")


def test_a_retired_stage_that_rows_hold_is_named_as_such(sealed, new_stage):
    new_stage("bridge")
    sealed("bridge", "seed")
    retire("bridge")
    now = seal_state.look(LABEL)
    assert (now.state, now.retired, now.added) == ("sealed", ("bridge",), ())
    write("bridge")  # the seal is that of its version, and says so
    with pytest.raises(
        SealRefused,
        match=r"2 rows contain 'bridge', a retired stage\. Reactivate it,",
    ):
        seal.seal(LABEL, **ME)
    assert seal_state.look(LABEL).state == "sealed"
    assert seal.seal(LABEL, allow=["bridge"], **ME).seal.allowed == ["bridge"]


def test_a_retired_stage_that_no_row_holds_is_refused_from_then_on(sealed, new_stage):
    new_stage("bridge")
    sealed("seed")
    retire("bridge")
    assert seal.seal(LABEL, **ME).state == "sealed"
    with pytest.raises(IntegrityError):
        write("bridge")


@pytest.mark.parametrize("nulls", [True, False])
def test_null_passes_or_not_as_it_was_said(deals, settings, nulls):
    settings.STAGE_TARGETS = ["stageapp.SourcedDeal.stage"]
    label = "stageapp.SourcedDeal.stage"
    sql('ALTER TABLE "sourced deals" ALTER stage DROP NOT NULL')
    deals.objects.create(stage="seed")
    seal.seal(label, nulls=nulls, **ME)
    if nulls:
        sql('INSERT INTO "sourced deals" (stage) VALUES (NULL)')
        with pytest.raises(SealRefused, match="1 row contains NULL"):
            seal.seal(label, nulls=False, **ME)
    else:
        with pytest.raises(IntegrityError), transaction.atomic():
            sql('INSERT INTO "sourced deals" (stage) VALUES (NULL)')


def test_a_table_of_somebody_else_is_sealed_by_its_own_names(foreign):
    label = "stageapp.ForeignDeal.round_name"
    foreign.objects.create(round_name="seed")
    assert seal.seal(label, **ME).state == "sealed"
    with pytest.raises(IntegrityError), transaction.atomic():
        foreign.objects.create(round_name="Seed")
    assert seal_state.look(LABEL).state == "open"
    assert seal.unseal(label, **ME).state == "open"


def test_a_row_that_is_written_while_it_begins_is_found_and_nothing_stays(fill, monkeypatch):
    fill("seed")
    begin = seal._begin

    def late(who, passing, how):
        PortfolioCompany.objects.update(stage="late\u00a0one")
        return begin(who, passing, how)

    monkeypatch.setattr(seal, "_begin", late)
    with pytest.raises(SealRefused, match="1 row contains 1 unknown value that is not allowed"):
        seal.seal(LABEL, **ME)
    assert (constraints(), state()) == ([], "open")
    assert actions() == ["begun", "abandoned"]


def test_it_does_not_run_inside_a_transaction_of_somebody_else(fill):
    fill("seed")
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        seal.seal(LABEL, **ME)
    assert constraints() == []


def test_the_record_cannot_be_rewritten(sealed):
    sealed()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Seal.objects.update(reason="another")
