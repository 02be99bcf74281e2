"""A plan on trial: on a copy, by the real engine, verified, undone, compared; the live database
knows nothing of it.
"""

import os
import signal

import pytest

from stageapp.backups import disposable, folder, keeping, postgres
from stageapp.models import Fund, PortfolioCompany, Run, RunMove
from stageapp.models.backups import Backup
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, trial_in_copy
from stageapp.normalization.trial import TrialRefused, trial
from stageapp.targets.targets import resolve
from tests.backups.conftest import transactional_db  # noqa: F401  a fixture
from tests.backups.damage import DUMP
from tests.backups.databases import live_fingerprint, rehearsal_databases
from tests.normalization.conftest import alias  # noqa: F401  a fixture
from tests.normalization.evidence import LABEL, ME, column_md5, sql
from tests.normalization.processes import MANAGE, begin, manage, wait_for

# ruff: noqa: F811  fixtures are used under the names they are imported by

MESSY = ["Seed ", "seed", "series-a", "nobody knows", "SEED", "Pre Seed", "growth", "x\ny"]
TABLE = "stageapp_portfoliocompany"


@pytest.fixture
def engine(transactional_db, settings, tmp_path):
    """Give the backups a folder of their own."""
    settings.STAGE_BACKUP_DIR = str(tmp_path / "backups")
    settings.STAGE_BACKUP_KEY = "k" * 32
    return tmp_path / "backups"


@pytest.fixture
def companies(engine):
    """Return a function that inserts companies of these stages, over and over, until there are
    so many.
    """
    fund, _ = Fund.objects.get_or_create(name="first fund")

    def insert(count, stages=MESSY):
        PortfolioCompany.objects.bulk_create(
            PortfolioCompany(fund=fund, name=f"c {number}", stage=stages[number % len(stages)])
            for number in range(count)
        )

    return insert


@pytest.fixture
def planned(companies):
    """Return a plan for 2,000 messy companies and one of a rare spelling, with a verified backup
    of them.
    """
    companies(2000)
    companies(1, ["Séries B"])
    plan = plans.make_plan(LABEL, actor="tester")
    backed_up()
    return plan


@pytest.fixture
def on_the_table():
    """Return a function that adds something to the table of the companies; it is taken away
    after the test.
    """
    undo = []

    def add(statement, back):
        undo.append(back)
        sql(statement)

    yield add
    for back in undo:
        sql(back)


def backed_up():
    name = keeping.create(**ME).name
    assert keeping.verify(name, **ME).passed
    return name


def raising_trigger(on_the_table, body):
    function = (
        f"FUNCTION on_trial() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN "
        "NEW; END $$"
    )
    on_the_table(f"CREATE {function}", "DROP FUNCTION on_trial CASCADE")
    sql(
        f"CREATE TRIGGER on_trial BEFORE UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION on_trial()"
    )


def pairs(found):
    return {(one["old"], one["new"]): one["rows"] for one in found["changed"]}


def test_it_runs_verifies_and_undoes_a_sample_and_leaves_no_trace(planned):
    before, moves = live_fingerprint(), RunMove.objects.count()
    told = []
    found = trial(planned, 5, actor="tester", report=lambda *step: told.append(step[0]))
    assert found["passed"], found
    assert (found["run"], found["verified"], found["rollback"], found["restored"]) == (
        "done",
        True,
        "rolled_back",
        True,
    )
    assert found["md5_before"] == found["md5_after"]
    assert found["rows_restored"]
    assert 60 < found["rows"] < 150  # 5 % of 2,001
    assert pairs(found)["Séries B", "series_b"] == 1  # the rare spelling is there
    assert {old for old, _ in pairs(found)} == {change.old for change in plans.changes(planned)}
    assert found["rate"] > 0
    assert found["estimated_seconds"] > found["estimated_pause_seconds"] > 0
    assert (found["rows_of_plan"], found["raised"], found["unexpected"], found["rows_left"]) == (
        2001,
        [],
        [],
        0,
    )
    assert {"verify", "restore", "sample", "run"} <= set(told)
    assert (live_fingerprint(), RunMove.objects.count(), rehearsal_databases()) == (
        before,
        moves,
        [],
    )


def test_the_same_rows_are_taken_each_time_and_fewer_are_among_more(planned):
    first, second = (trial(planned, 5, actor="tester") for _ in range(2))
    assert (first["md5_before"], first["rows"]) == (second["md5_before"], second["rows"])
    taken = {
        percent: {
            key
            for (key,) in sql(
                f"SELECT t.id FROM {TABLE} t WHERE {trial_in_copy._TAKEN.format(key='id')}",
                round(percent * 100),
            )
        }
        for percent in (5, 10, 100)
    }
    assert taken[5] < taken[10] < taken[100]
    assert len(taken[100]) == 2001


def test_of_a_rare_spelling_the_first_row_that_belongs_to_the_target_is_taken(
    companies, settings, monkeypatch
):
    companies(200, ["Seed "])
    companies(2, ["Séries B"])
    PortfolioCompany.objects.update(sector="ours")
    PortfolioCompany.objects.filter(
        pk=PortfolioCompany.objects.filter(stage="Séries B").earliest("id").pk
    ).update(sector="theirs")
    label = f"{LABEL}?where=sector = 'ours'"
    settings.STAGE_TARGETS = [label]
    monkeypatch.setenv("STAGE_TARGETS", label)
    plan = plans.make_plan(LABEL, actor="tester")
    backed_up()
    found = trial(plan, 1, actor="tester")
    assert found["passed"]
    assert pairs(found)["Séries B", "series_b"] == 1


def test_all_of_it(planned):
    found = trial(planned, 100, actor="tester")
    assert found["passed"]
    assert (found["rows"], sum(pairs(found).values())) == (2001, planned.rows_to_change)
    assert found["differences"] == {"only_in_copy": [], "only_in_plan": [], "other_counts": []}


def test_what_has_changed_between_backup_and_plan_is_said_and_only_the_plans_map_is_run(companies):
    companies(50)
    companies(3, ["Series C "])
    backed_up()
    PortfolioCompany.objects.filter(stage="Series C ").update(stage="Series D ")
    PortfolioCompany.objects.filter(
        pk=PortfolioCompany.objects.filter(stage="SEED").earliest("id").pk
    ).delete()
    found = trial(plans.make_plan(LABEL, actor="tester"), 100, actor="tester")
    differences = found["differences"]
    assert [one["raw"] for one in differences["only_in_copy"]] == ["Series C "]
    assert [one["raw"] for one in differences["only_in_plan"]] == ["Series D "]
    assert [(one["raw"], one["copy"] - one["plan"]) for one in differences["other_counts"]] == [
        ("SEED", 1)
    ]
    assert found["passed"]
    assert "Series C " not in {old for old, _ in pairs(found)}
    assert found["rows"] == 50


def test_what_a_trigger_raises_is_named_by_spelling_and_the_trial_does_not_pass(
    planned, on_the_table
):
    raising_trigger(
        on_the_table, "IF NEW.stage = 'pre_seed' THEN RAISE 'no pre_seed here'; END IF;"
    )
    backed_up()
    found = trial(planned, 5, actor="tester")
    assert not found["passed"]
    assert [(one["old"], one["new"]) for one in found["raised"]] == [("Pre Seed", "pre_seed")]
    assert "no pre_seed here" in found["raised"][0]["said"]
    assert found["met"]["triggers"] == ["on_trial"]
    assert found["restored"]
    assert rehearsal_databases() == []


def test_a_constraint_is_met_in_the_copy_and_not_in_the_live_table(planned, on_the_table):
    on_the_table(
        f"ALTER TABLE {TABLE} ADD CONSTRAINT short CHECK (length(stage) < 5 OR stage <> "
        "lower(stage)) NOT VALID",
        f"ALTER TABLE {TABLE} DROP CONSTRAINT short",
    )
    before = column_md5()
    backed_up()
    found = trial(planned, 5, actor="tester")
    assert (found["passed"], found["run"]) == (False, "refused")
    assert "short" in found["error"]
    assert {one["new"] for one in found["raised"]} == {"series_a", "pre_seed", "series_b"}
    assert "short" in found["met"]["constraints"]
    assert column_md5() == before


def test_what_a_trigger_makes_of_a_value_is_unexpected(planned, on_the_table):
    raising_trigger(on_the_table, "IF NEW.stage = 'pre_seed' THEN NEW.stage := 'growth'; END IF;")
    backed_up()
    found = trial(planned, 5, actor="tester")
    assert not found["passed"]
    assert {(one["old"], one["new"]) for one in found["unexpected"]} == {("Pre Seed", "growth")}


def test_what_a_trigger_does_besides_and_says_is_told(planned, on_the_table):
    raising_trigger(on_the_table, "NEW.name := NEW.name || '!'; RAISE WARNING 'seen';")
    backed_up()
    found = trial(planned, 5, actor="tester")
    assert found["passed"]  # the column came back; the rest is for a person to judge
    assert (found["restored"], found["rows_restored"]) == (True, False)
    assert list(found["other_columns"]) == list(found["other_columns_after"]) == ["name"]
    assert [one["said"] for one in found["notices"]] == ["WARNING: seen"]


def test_without_a_verified_backup_it_says_what_to_do(companies):
    companies(8)
    plan = plans.make_plan(LABEL, actor="tester")
    name = keeping.create(**ME).name
    with pytest.raises(TrialRefused, match="backup verify"):
        trial(plan, 5, actor="tester")
    keeping.verify(name, **ME)
    assert trial(plan, 5, actor="tester")["passed"]
    folder.remove(name)
    with pytest.raises(TrialRefused, match="backup create"):
        trial(plan, 5, actor="tester")


def test_a_backup_that_was_damaged_since_gives_no_copy(planned, engine):
    dump = engine / Backup.objects.get().name / DUMP
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)
    with pytest.raises(TrialRefused, match="sha256"):
        trial(planned, 5, actor="tester")


def test_a_backup_of_another_schema_or_vocabulary_tells_nothing(planned, on_the_table, alias):
    alias("a word of our own", "seed")
    newer = plans.make_plan(LABEL, actor="tester")
    with pytest.raises(TrialRefused, match="vocabulary version"):
        trial(newer, 5, actor="tester")
    on_the_table("CREATE TABLE by_hand (id int)", "DROP TABLE by_hand")
    with pytest.raises(TrialRefused, match="schema has changed"):
        trial(planned, 5, actor="tester")


def test_a_backup_of_a_run_under_way_is_refused_by_its_number(planned):
    runs.start(planned.run, **ME)
    backed_up()
    with pytest.raises(TrialRefused, match=f"run {planned.run.pk} was running"):
        trial(planned, 5, actor="tester")
    assert Run.objects.get().state == "running"


def test_another_systems_backups_give_no_copy(planned, settings):
    settings.STAGE_BACKUP_ADAPTER = "/usr/local/bin/adapter"
    with pytest.raises(TrialRefused, match="made by an external backup system here"):
        trial(planned, 5, actor="tester")


def test_the_working_part_refuses_a_database_that_is_no_copy(planned):
    code, out, err = manage("trial_in_copy")
    assert (code, out) == (1, "")
    assert "not a disposable copy" in err
    with postgres.connect(postgres.live()) as live:
        assert not disposable.is_disposable(live)


def test_the_sample_leaves_what_other_tables_say_of_the_rows_alone(planned, on_the_table):
    on_the_table(
        f"CREATE TABLE pointing AS SELECT id AS company FROM {TABLE}; ALTER TABLE pointing ADD "
        f"FOREIGN KEY (company) REFERENCES {TABLE} DEFERRABLE INITIALLY DEFERRED",
        "DROP TABLE pointing",
    )
    raising_trigger(on_the_table, "")
    sql(
        f"CREATE TRIGGER kept BEFORE DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION "
        "stageapp_refuse_change()"
    )
    backed_up()
    found = trial(planned, 5, actor="tester")
    sql(f"DROP TRIGGER kept ON {TABLE}")
    assert found["passed"], found
    assert resolve(LABEL).table == f'"{TABLE}"'


def test_a_killed_trial_leaves_a_copy_that_the_next_one_drops(planned, engine):
    process = begin(
        *MANAGE,
        "normalization",
        "run",
        "--plan",
        planned.hash,
        "--trial",
        "50%",
        STAGE_BACKUP_DIR=str(engine),
        STAGE_BACKUP_KEY="k" * 32,
    )
    wait_for(lambda: rehearsal_databases() or process.poll() is not None, 60, "the copy")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(rehearsal_databases()) == 1
    assert trial(planned, 5, actor="tester")["passed"]
    assert rehearsal_databases() == []
