"""A plan is exact, frozen, and says nothing it does not know."""

import pytest
from django.db import DatabaseError, transaction

from stageapp.models import PlanEntry
from stageapp.normalization import plan as plans
from stageapp.normalization.plan import find_plan, make_plan
from stageapp.targets.errors import PlanNotFound, TargetError
from tests.normalization.evidence import LABEL, column_md5, sql

HARD = {
    "one megabyte": "x" * 1_000_000,
    "bidi override": "\u202edeeS A",
    "cyrillic homoglyph": "S\u0435ed",
    "control": "Seed\x07",
    "blank": "",
    "joker": "%s%%{0}'; DROP TABLE stageapp_run; --",
    "backslash": "\\N\\",
    "astral": "\U0001f680 stage \U0010ffff",
    "compatibility forms": "\ufb01rst \u2460 \u1e9b\u0323 \uff33",
}


def entries_of(plan):
    return {entry.raw: entry for entry in plan.entries.all()}


def test_counts_are_exact(fill):
    fill(*["Seed "] * 3, *["series-a"] * 2, *["seed"] * 4, *["no longer exists."] * 5)
    plan = make_plan(LABEL, actor="tester")
    assert (plan.rows_total, plan.rows_to_change, plan.rows_unknown) == (14, 5, 5)
    assert {raw: (e.stage, e.rows) for raw, e in entries_of(plan).items()} == {
        "Seed ": ("seed", 3),
        "series-a": ("series_a", 2),
        "seed": ("seed", 4),
        "no longer exists.": ("", 5),
    }


def test_a_canonical_value_is_no_change(fill):
    fill("seed", "Seed")
    assert plans.changes(make_plan(LABEL, actor="tester")) == [("", "Seed", "seed")]


def test_unknown_values_are_kept_with_their_reason(fill):
    fill("no longer exists.", "", "Debt Financing", "Acquired")
    entries = entries_of(make_plan(LABEL, actor="tester"))
    assert {raw: (e.stage, e.reason) for raw, e in entries.items()} == {
        "no longer exists.": ("", "unmapped"),
        "": ("", "blank"),
        "Debt Financing": ("", "not_a_stage"),
        "Acquired": ("", "exit_status"),
    }


def test_null_has_nothing_to_normalize_but_is_a_row(fill):
    fill("Seed", "seed")
    sql("ALTER TABLE stageapp_portfoliocompany ALTER stage DROP NOT NULL")
    try:
        sql("UPDATE stageapp_portfoliocompany SET stage = NULL WHERE stage = 'seed'")
        plan = make_plan(LABEL, actor="tester")
        assert (plan.rows_total, plan.rows_to_change, plan.rows_unknown) == (2, 1, 0)
        assert list(entries_of(plan)) == ["Seed"]
    finally:
        sql("UPDATE stageapp_portfoliocompany SET stage = 'seed' WHERE stage IS NULL")
        sql("ALTER TABLE stageapp_portfoliocompany ALTER stage SET NOT NULL")


def test_an_empty_table_has_an_empty_plan(engine):
    plan = make_plan(LABEL, actor="tester")
    assert (plan.rows_total, plan.entries.count(), plans.changes(plan)) == (0, 0, [])


@pytest.mark.parametrize("raw", HARD.values(), ids=HARD)
def test_a_hard_text_is_unknown_and_stays_byte_for_byte(fill, done, raw):
    fill(raw, "Seed")
    before = sql("SELECT md5(stage) FROM stageapp_portfoliocompany WHERE stage <> 'Seed'")
    run = done()
    assert entries_of(run.plan)[raw].stage == ""
    assert sql("SELECT md5(stage) FROM stageapp_portfoliocompany WHERE stage <> 'seed'") == before


def test_spellings_that_differ_only_in_bytes_are_two_entries(fill):
    fill("S\u00e9ries B", "Se\u0301ries B")
    assert set(entries_of(make_plan(LABEL, actor="tester"))) == {"S\u00e9ries B", "Se\u0301ries B"}


def test_the_hash_ignores_counts_order_and_unknowns(fill):
    fill("Seed", "series-a", "Seed")
    first = make_plan(LABEL, actor="tester")
    fill("series-a", "series-a", "nobody knows", "seed")
    assert make_plan(LABEL, actor="somebody else").hash == first.hash


def test_the_hash_follows_the_map(fill):
    fill("Seed")
    first = make_plan(LABEL, actor="tester")
    fill("series-a")
    assert make_plan(LABEL, actor="tester").hash != first.hash


def test_the_hash_follows_target_and_vocabulary_version():
    entries = [PlanEntry(raw="Seed", stage="seed", rows=1)]
    hashes = {
        plans.plan_hash(label, version, entries)
        for label in ("a.B.c", "a.B.d")
        for version in (1, 2)
    }
    assert len(hashes) == 4


def test_the_hash_cannot_be_shifted_between_old_and_new():
    one = plans.plan_hash("t", 1, [PlanEntry(raw='a","b', stage="c")])
    other = plans.plan_hash("t", 1, [PlanEntry(raw="a", stage='b","c')])
    assert one != other


def test_a_plan_is_found_by_its_hash_or_a_prefix_of_eight(fill):
    fill("Seed")
    plan = make_plan(LABEL, actor="tester")
    for asked in (plan.hash, plan.hash[:8], f" {plan.hash[:12].upper()} "):
        assert find_plan(asked) == plan


@pytest.mark.parametrize("asked", ["", "1234567", "zzzzzzzz", "%" * 8, "0" * 64, "0" * 65])
def test_any_other_hash_is_refused(engine, asked):
    with pytest.raises(PlanNotFound):
        find_plan(asked)


def test_a_hash_selects_the_newest_plan_that_bears_it(fill):
    fill("Seed")
    first, second = make_plan(LABEL, actor="tester"), make_plan(LABEL, actor="tester")
    assert first.hash == second.hash
    assert find_plan(first.hash) == second


def test_a_prefix_of_two_hashes_is_refused(fill):
    fill("Seed")
    plan = make_plan(LABEL, actor="tester")
    sql(
        "INSERT INTO stageapp_plan (target, vocabulary_version, hash, rows_total, "
        "rows_to_change, rows_unknown, actor, created_at) VALUES ('t', 1, %s, 0, 0, 0, 'tester', "
        "now())",
        plan.hash[:8] + "0" * 56,
    )
    with pytest.raises(PlanNotFound, match="2 plans"):
        find_plan(plan.hash[:8])
    assert find_plan(plan.hash) == plan


@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["plan", "planentry", "runmove", "batch", "normalizationlog"])
def test_the_record_of_a_run_is_frozen_in_the_database(done, table, statement):
    done("Seed")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        sql(statement.format(f"stageapp_{table}"))


def test_planning_changes_no_row(fill):
    fill("Seed", "nobody knows")
    before = column_md5()
    make_plan(LABEL, actor="tester")
    assert column_md5() == before


@pytest.mark.parametrize(
    "label, why",
    [
        ("stageapp.PortfolioCompany.sector", "not a target"),
        ("stageapp.PortfolioCompany.nothing", "is not an app.Model.field"),
        ("stageapp.Nothing.stage", "is not an app.Model.field"),
        ("stage", "is not an app.Model.field"),
        ("stageapp.PortfolioCompany.fund", "only text columns"),
        ("sessions.Session.session_data", "integer or UUID key"),
    ],
)
def test_a_target_that_cannot_be_normalized_is_refused(engine, settings, label, why):
    if why != "not a target":
        settings.STAGE_TARGETS = [label]
    with pytest.raises(TargetError, match=why):
        make_plan(label, actor="tester")
