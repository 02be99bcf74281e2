"""The guard: whoever writes a known spelling, its stage is stored; nothing else is touched, and
nobody fails by it.
"""

import io

import pytest
from django.db import IntegrityError, connection, transaction

from stageapp.models import Fund, GuardChange, GuardConversion, GuardCount, PortfolioCompany
from stageapp.models.normalization import State
from stageapp.normalization import runs, worker
from stageapp.portfolio import imports
from stageapp.sealing import guard, seal
from stageapp.targets.errors import SealRefused
from tests.normalization.evidence import LABEL, ME, column, sql
from tests.sealing.conftest import TABLE


@pytest.fixture
def guarded(fill):
    fill("seed")
    return guard.switch_on(LABEL, **ME)


def insert(*stages):
    fund = Fund.objects.get()
    PortfolioCompany.objects.bulk_create(
        PortfolioCompany(fund=fund, name="c", stage=stage) for stage in stages
    )


def stored():
    return [stage for _, stage in sorted(column().items())]


def caught():
    return [(one.raw, one.stage, one.count) for one in guard.caught(LABEL, days=1, most=50)]


def test_known_spellings_of_any_writer_are_stored_as_stages(guarded):
    assert (guarded.state, guarded.change.actor, guarded.change.reason) == ("on", "tester", "test")
    insert("Seed ", "S\u00e9ries B", "growth")
    assert stored() == ["seed", "seed", "series_b", "growth"]
    sql(f"UPDATE {TABLE} SET stage = 'Pre Seed' WHERE stage = 'growth'")
    assert stored() == ["seed", "seed", "series_b", "pre_seed"]
    assert caught() == [
        ("Pre Seed", "pre_seed", 1),
        ("Seed ", "seed", 1),
        ("S\u00e9ries B", "series_b", 1),
    ]


def test_copy_and_upsert_are_writers_too(guarded):
    fund = Fund.objects.get()
    imports.copy_companies(fund, [("a", "Series-A ", ""), ("b", "???", "")])
    assert stored() == ["seed", "series_a", "???"]
    key = max(column())
    sql(
        f"INSERT INTO {TABLE} (id, fund_id, name, stage, sector, updated_at) VALUES (%s, %s, "
        "'c', 'Growth ', '', now()) ON CONFLICT (id) DO UPDATE SET stage = EXCLUDED.stage",
        key,
        fund.pk,
    )
    assert stored() == ["seed", "series_a", "growth"]
    assert caught() == [("Growth ", "growth", 1), ("Series-A ", "series_a", 1)]


@pytest.mark.parametrize(
    "value", ["nobody knows", "", " ", "Seed / Series A", "se\u0435d", "x" * 5000, "Acquired"]
)
def test_an_unknown_value_stays_byte_for_byte(guarded, value):
    insert(value)
    assert stored() == ["seed", value]
    assert caught() == []


def test_a_writer_of_stages_is_not_read_at_all(guarded):
    sql("ALTER FUNCTION normalize_stage(text, text) RENAME TO normalize_stage_gone")
    try:
        insert("growth", "series_a")
    finally:
        sql("ALTER FUNCTION normalize_stage_gone(text, text) RENAME TO normalize_stage")
    assert stored() == ["seed", "growth", "series_a"]
    assert GuardConversion.objects.count() == 0


def test_a_row_that_is_saved_without_a_change_of_its_stage_stays(fill):
    (key,) = fill("Seed ")
    guard.switch_on(LABEL, **ME)
    PortfolioCompany.objects.get(pk=key).save()
    assert column() == {key: "Seed "}
    assert caught() == []


def test_an_alias_counts_from_the_moment_it_is_made(guarded, alias):
    insert("sd round")
    alias("sd round", "seed")
    insert("sd round")
    assert stored() == ["seed", "sd round", "seed"]


def test_a_rollback_brings_old_spellings_back_past_the_guard(done):
    run = done("Seed ", "series-a")
    guard.switch_on(LABEL, **ME)
    assert worker.advance(runs.request_rollback(run, **ME)).state == State.ROLLED_BACK
    assert stored() == ["Seed ", "series-a"]
    assert caught() == []
    insert("Seed ")  # the engine's word held for its own transactions alone
    assert stored() == ["Seed ", "series-a", "seed"]


def test_a_run_under_the_guard_is_as_it_is_without(started):
    run = started("Seed ", "series-a", "???")
    guard.switch_on(LABEL, **ME)
    assert worker.advance(run).state == State.DONE
    assert stored() == ["seed", "series_a", "???"]
    assert run.verifications.get().ok
    assert caught() == []


def test_what_a_transaction_takes_back_is_not_counted(guarded):
    with transaction.atomic():
        insert("Seed ")
        transaction.set_rollback(True)
    assert (stored(), caught()) == (["seed"], [])


@pytest.mark.parametrize(
    "break_it, mend_it",
    [
        (
            "ALTER FUNCTION normalize_stage(text, text) RENAME TO gone",
            "ALTER FUNCTION gone RENAME TO normalize_stage",
        ),
        (
            "ALTER TABLE stageapp_guardconversion RENAME TO gone",
            "ALTER TABLE gone RENAME TO stageapp_guardconversion",
        ),
        (
            "ALTER TABLE stageapp_guardconversion RENAME writer TO gone",
            "ALTER TABLE stageapp_guardconversion RENAME gone TO writer",
        ),
        (
            "ALTER TABLE stageapp_stagealias RENAME TO gone",
            "ALTER TABLE gone RENAME TO stageapp_stagealias",
        ),
    ],
)
def test_a_guard_with_trouble_leaves_the_value_and_the_writer_alone(guarded, break_it, mend_it):
    sql(break_it)
    try:
        insert("Seed ", "growth")
    finally:
        sql(mend_it)
    assert stored() == ["seed", "Seed ", "growth"]
    insert("Seed ")
    assert stored()[-1] == "seed"


def test_its_trouble_is_counted_and_told(guarded):
    sql("ALTER FUNCTION normalize_stage(text, text) RENAME TO gone")
    try:
        insert("Seed ")
    finally:
        sql("ALTER FUNCTION gone RENAME TO normalize_stage")
    (one,) = guard.caught(LABEL, days=1, most=50)
    assert (one.raw, one.stage, one.count) == ("Seed ", "", 1)
    assert "normalize_stage" in one.problem
    assert guard.totals(LABEL, days=1) == (0, 1)


def test_a_stage_that_does_not_fit_the_column_leaves_what_was_written(foreign):
    label = "stageapp.ForeignDeal.round_name"
    sql('ALTER TABLE "host Deals" ALTER "order" TYPE varchar(7)')
    assert guard.switch_on(label, **ME).state == "on"
    foreign.objects.create(round_name="SeriesA")
    foreign.objects.create(round_name="Seed ")
    assert sorted(foreign.objects.values_list("round_name", flat=True)) == ["SeriesA", "seed"]
    assert guard.totals(label, days=1) == (1, 1)


def test_an_alias_of_one_source_holds_for_its_rows(deals, bare_a_of_desk):
    label = "stageapp.SourcedDeal.stage"
    guard.switch_on(label, **ME)
    deals.objects.bulk_create(deals(stage="A", source=source) for source in ("desk", "press", None))
    assert list(deals.objects.order_by("id").values_list("stage", flat=True)) == [
        "series_a",
        "A",
        "A",
    ]


def test_a_writer_that_has_no_right_on_our_tables_is_guarded_and_named(guarded, stranger):
    stranger.execute(f"UPDATE {TABLE} SET stage = 'Series-A '")
    assert stored() == ["series_a"]
    (one,) = guard.caught(LABEL, days=1, most=50)
    assert one.writer == stranger.info.user
    with pytest.raises(Exception, match="permission denied for function stageapp_guard_count_v1"):
        stranger.execute("SELECT stageapp_guard_count_v1('x', 'x', 'x', 'x')")


def test_a_writer_that_hides_our_tables_behind_its_own_is_guarded_all_the_same(guarded, stranger):
    stranger.execute(
        "CREATE TEMP TABLE stageapp_stagealias (key text, source text, stage_id int, reason text)"
    )
    stranger.execute(
        "CREATE FUNCTION pg_temp.normalize_stage(text, text) RETURNS text RETURN 'growth'"
    )
    stranger.execute(f"SET search_path = pg_temp, public; UPDATE {TABLE} SET stage = 'Series-A '")
    assert stored() == ["series_a"]


def test_under_a_seal_known_spellings_still_pass_and_unknown_ones_fail(guarded):
    seal.seal(LABEL, **ME)
    insert("Seed ")
    with pytest.raises(IntegrityError, match="stageapp_seal"), transaction.atomic():
        insert("nobody knows")
    guard.switch_off(LABEL, **ME)
    with pytest.raises(IntegrityError, match="stageapp_seal"), transaction.atomic():
        insert("Seed ")
    assert stored() == ["seed", "seed"]


def test_what_a_seal_allows_stays_until_the_seal_knows_its_new_stage(fill, new_stage, alias):
    fill("seed", "mezz round")
    seal.seal(LABEL, allow=["mezz round"], **ME)
    guard.switch_on(LABEL, **ME)
    new_stage("mezzanine")
    alias("mezz round", "mezzanine")
    insert("mezz round")
    assert stored() == ["seed", "mezz round", "mezz round"]
    seal.unseal(LABEL, **ME)
    seal_rows = sql(
        f"UPDATE {TABLE} SET stage = 'mezzanine' WHERE stage = 'mezz round' RETURNING 1"
    )
    assert len(seal_rows) == 2
    seal.seal(LABEL, **ME)
    insert("mezz round")
    assert stored() == ["seed", "mezzanine", "mezzanine", "mezzanine"]


def test_off_is_off_and_on_record(guarded):
    assert guard.switch_off(LABEL, actor="olga", reason="writers are updated").state == "off"
    insert("Seed ")
    assert stored() == ["seed", "Seed "]
    assert sql("SELECT count(*) FROM pg_proc WHERE proname ~ '^stageapp_guard_[0-9a-f]{8}$'") == [
        (0,)
    ]
    changes = list(GuardChange.objects.order_by("id").values_list("on", "actor", "reason"))
    assert changes == [(True, "tester", "test"), (False, "olga", "writers are updated")]
    with pytest.raises(SealRefused, match="has no guard"):
        guard.switch_off(LABEL, **ME)


@pytest.mark.parametrize("act", [guard.switch_on, guard.switch_off])
def test_without_a_reason_nothing_happens(guarded, act):
    with pytest.raises(SealRefused, match="reason"):
        act(LABEL, actor="tester", reason="")
    assert GuardChange.objects.count() == 1


@pytest.mark.parametrize("how", ["DISABLE TRIGGER {name}_insert", "DISABLE TRIGGER USER", "drop"])
def test_triggers_that_somebody_took_away_are_missing_and_come_back(guarded, how):
    (name,) = {
        row[0].rpartition("_")[0]
        for row in sql("SELECT tgname FROM pg_trigger WHERE tgname ~ 'stageapp_guard'")
    }
    sql(
        f"DROP TRIGGER {name}_update ON {TABLE}"
        if how == "drop"
        else f"ALTER TABLE {TABLE} {how.format(name=name)}"
    )
    assert guard.look(LABEL).state == "missing"
    assert guard.switch_on(LABEL, **ME).state == "on"


def test_conversions_become_counts_and_none_is_lost_or_doubled(guarded):
    insert(*["Seed "] * 3, "series-a")
    before = caught()
    assert guard.roll_up() == 4
    assert caught() == before == [("Seed ", "seed", 3), ("series-a", "series_a", 1)]
    insert("Seed ")
    assert caught()[0] == ("Seed ", "seed", 4)  # some counted, some not yet
    assert guard.roll_up() == 1
    assert (GuardConversion.objects.count(), GuardCount.objects.get(raw="Seed ").count) == (0, 4)
    assert guard.totals(LABEL, days=1) == (5, 0)
    assert guard.roll_up() == 0


def test_two_that_count_at_once_count_each_conversion_once(guarded, elsewhere, monkeypatch):
    monkeypatch.setattr(guard, "_AT_ONCE", 7)
    insert(*["Seed "] * 100)
    for thread in [elsewhere(guard.roll_up) for _ in range(4)]:
        thread.join(20)
    assert GuardCount.objects.get().count == 100


def test_counts_are_forgotten_when_their_retention_has_passed(guarded, settings):
    insert("Seed ")
    guard.roll_up()
    sql("UPDATE stageapp_guardcount SET day = day - 10")
    settings.STAGE_SIGHTING_RETENTION_DAYS = 10
    assert guard.forget_old() == 0
    settings.STAGE_SIGHTING_RETENTION_DAYS = 9
    assert guard.forget_old() == 1


def test_no_two_writers_wait_for_one_counter(guarded):
    other = connection.copy()
    try:
        with transaction.atomic():
            insert("Seed ")  # counted, and not committed
            with other.cursor() as cursor:
                cursor.execute("SET statement_timeout = '5s'")
                cursor.execute(f"UPDATE {TABLE} SET stage = 'Seed ' WHERE stage = 'seed'")
                assert cursor.rowcount == 1
    finally:
        other.close()
    assert caught() == [("Seed ", "seed", 2)]


def test_an_import_under_the_guard_stores_stages(guarded):
    file = io.BytesIO(b"stage\nSeed \n???\n")
    imported = imports.import_companies(file, fund="second fund", stage_column="stage")
    assert imported.rows == 2
    assert stored() == ["seed", "seed", "???"]
