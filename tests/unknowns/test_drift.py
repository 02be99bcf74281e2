"""Drift: what is written past the API into a normalized column is found, counted, and told apart
from what was left.
"""

import datetime
import json

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from stageapp import conf, tasks
from stageapp.models import Fund, PortfolioCompany, UnknownCount, UnknownEntry
from stageapp.models.normalization import Run, State
from stageapp.models.unknowns import DriftCheck
from stageapp.models.vocabulary import Stage, StageAlias
from stageapp.normalization import runs, worker
from stageapp.normalization.plan import make_plan
from stageapp.targets import targets, values
from stageapp.unknowns import drift
from stageapp.unknowns.queue import queue

TARGET = "stageapp.PortfolioCompany.stage"
WHO = {"actor": "test", "reason": "a test"}
REAL_WRITES = drift._writes
pytestmark = pytest.mark.django_db


def store(*stages):
    fund, _ = Fund.objects.get_or_create(name="First")
    PortfolioCompany.objects.bulk_create(
        PortfolioCompany(fund=fund, name="a", stage=stage) for stage in stages
    )


def sql(text):
    with connection.cursor() as cursor:
        cursor.execute(text)


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    """Count a table's writes by the test, for PostgreSQL counts them only when a transaction
    ends.
    """
    counter = {"writes": 1}
    monkeypatch.setattr(drift, "_writes", lambda target: counter["writes"])
    return counter


@pytest.fixture
def normalized(settings):
    """Return a function that stores these stages and runs a normalization to its end."""
    settings.STAGE_BATCH_PAUSE_SECONDS = 0

    def normalize(*stages):
        store(*stages)
        run = make_plan(TARGET, actor="test").run
        runs.start(run, **WHO)
        worker.advance(run)
        assert run.state == State.DONE
        return run

    return normalize


def test_a_column_that_no_run_has_finished_is_not_watched():
    store("Seed", "Fondo X")
    make_plan(TARGET, actor="test")
    assert drift.watch() == []
    assert drift.latest(TARGET) is None


def test_what_the_run_left_is_no_drift(normalized):
    normalized("Seed", "Fondo X", "Fondo X", "seed")
    (look,) = drift.watch()
    assert (look.known_rows, look.unknown_rows, look.spellings, look.problem) == (0, 0, [], "")


def test_what_is_written_by_raw_sql_lands_in_the_queue_as_a_bypass(normalized):
    normalized("Seed", "Series A", "Fondo X")
    sql("UPDATE stageapp_portfoliocompany SET stage = 'Fondo Nuovo' WHERE stage = 'series_a'")
    (look,) = drift.watch()
    assert (look.known_rows, look.unknown_rows) == (0, 1)
    found = UnknownCount.objects.get(kind="bypass")
    assert (found.entry.key, found.place, found.count) == ("fondo nuovo", TARGET, 1)
    assert [(e.key, e.rows) for e in queue()] == [("fondo nuovo", 1)]


def test_a_known_spelling_is_drift_too_and_is_shown_with_its_stage(normalized):
    normalized("Seed")
    store("Series A", "Series A", "SEED")
    (look,) = drift.watch()
    assert (look.known_rows, look.unknown_rows) == (3, 0)
    assert look.spellings == [
        {"value": '"Series A"', "stage": "series_a", "reason": None, "rows": 2},
        {"value": '"SEED"', "stage": "seed", "reason": None, "rows": 1},
    ]
    assert not UnknownEntry.objects.exists()


def test_of_a_value_that_was_left_only_the_new_rows_count(normalized):
    normalized("Fondo X", "Fondo X")
    store("Fondo X", "Fondo X", "Fondo X")
    (look,) = drift.watch()
    assert look.unknown_rows == 3


def test_what_was_repaired_is_gone_at_the_next_look(normalized, counted):
    normalized("Seed")
    store("Fondo X")
    drift.watch()
    PortfolioCompany.objects.filter(stage="Fondo X").update(stage="seed")
    counted["writes"] += 1
    (look,) = drift.watch()
    assert look.unknown_rows == 0
    assert not UnknownCount.objects.filter(kind="bypass").exists()
    assert UnknownEntry.objects.filter(key="fondo x").exists()


def test_a_table_that_was_not_written_is_not_read_again(normalized, monkeypatch):
    normalized("Seed")
    (first,) = drift.watch()
    monkeypatch.setattr(drift, "distinct_values", pytest.fail)
    (again,) = drift.watch()
    assert again.checked_at == first.checked_at
    assert again.looked_at > first.looked_at


def test_after_a_write_it_is_read_again(normalized, counted):
    normalized("Seed")
    drift.watch()
    store("Fondo X")
    counted["writes"] += 1
    assert drift.watch()[0].unknown_rows == 1


def test_now_and_then_it_is_read_though_the_counter_says_nothing(normalized):
    normalized("Seed")
    drift.watch()
    store("Fondo X")
    DriftCheck.objects.update(checked_at=timezone.now() - datetime.timedelta(hours=1, seconds=1))
    assert drift.watch()[0].unknown_rows == 1


def test_a_new_run_is_compared_with_what_it_left_itself(normalized):
    normalized("Seed")
    store("Fondo X")
    assert drift.watch()[0].unknown_rows == 1
    newer = normalized("Seed")
    (look,) = drift.watch()
    assert (look.run, look.unknown_rows) == (newer.pk, 0)


@pytest.mark.parametrize(
    "state", [State.RUNNING, State.ROLLED_BACK, State.ROLLING_BACK, State.FAILED]
)
def test_a_column_is_not_watched_while_it_is_worked_on_or_after_it_was_rolled_back(
    normalized, state
):
    run = normalized("Seed")
    drift.watch()
    store("Fondo X")
    Run.objects.filter(pk=run.pk).update(state=state)
    assert drift.watch() == []
    assert not DriftCheck.objects.exists()


def test_a_plan_that_nobody_started_does_not_end_the_watch(normalized):
    normalized("Seed")
    make_plan(TARGET, actor="test")
    assert len(drift.watch()) == 1


def test_a_table_that_cannot_be_read_in_time_is_said_and_tried_again(
    normalized, settings, monkeypatch
):
    normalized("Seed")
    settings.STAGE_DRIFT_TIMEOUT_SECONDS = 0.05
    with monkeypatch.context() as slow:
        slow.setattr(values, "MOST_VALUES", "(SELECT 5 FROM pg_sleep(2))")
        (look,) = drift.watch()
    assert "0.05 s" in look.problem
    settings.STAGE_DRIFT_TIMEOUT_SECONDS = 5
    assert drift.watch()[0].problem == ""


def test_the_beat_task_watches(normalized):
    normalized("Seed")
    store("Fondo X")
    tasks.watch_drift()
    assert drift.latest(TARGET).unknown_rows == 1


def test_the_status_of_the_run_shows_it(normalized, capsys):
    run = normalized("Seed")
    store("Series A", "Fondo X", "Fondo X")
    drift.watch()
    call_command("normalization", "status", str(run.pk))
    out = capsys.readouterr().out
    assert "The drift check ran 1 s ago: 3 rows hold something other than a stage again." in out
    assert "'Series A' → series_a" in out
    assert "1 of them is a known spelling" in out
    assert "2 of them are unknown" in out
    call_command("normalization", "status", str(run.pk), "--json")
    told = json.loads(capsys.readouterr().out)["drift"]
    assert (told["known_rows"], told["unknown_rows"]) == (1, 2)


def test_the_status_shows_letters_as_people_write_them_and_that_nothing_came(normalized, capsys):
    run = normalized("Seed")
    drift.watch()
    call_command("normalization", "status", str(run.pk))
    out = capsys.readouterr().out
    assert "The drift check ran 1 s ago: nothing was written outside the API." in out
    store("Séries B")
    DriftCheck.objects.all().delete()  # PostgreSQL may tell of the write a moment later
    drift.watch()
    call_command("normalization", "status", str(run.pk))
    out = capsys.readouterr().out
    assert "1 row holds something other than a stage again" in out
    assert "'Séries B' → series_b" in out
    assert "1 of them is a known spelling: a new plan and run normalize it." in out


def test_the_status_of_an_older_run_says_nothing_of_it(normalized, capsys):
    older = normalized("Seed")
    normalized("Seed")
    drift.watch()
    call_command("normalization", "status", str(older.pk), "--json")
    assert json.loads(capsys.readouterr().out)["drift"] is None


@pytest.mark.django_db(transaction=True)
def test_postgresqls_own_counter_grows_with_inserts_and_updates_that_are_committed():
    target = targets.resolve(TARGET)

    def writes():
        sql("SELECT pg_stat_force_next_flush()")
        return REAL_WRITES(target)

    before = writes()
    assert writes() == before
    store("Seed", "Seed")
    assert writes() == before + 2
    PortfolioCompany.objects.update(stage="seed")
    assert writes() == before + 4


def test_a_spelling_is_read_by_its_rows_source(normalized, settings):
    settings.STAGE_TARGETS = [f"{TARGET}?source=sector"]
    alias = StageAlias(
        spelling="A", key="a", source="desk", stage=Stage.objects.get(slug="series_a")
    )
    alias.save()
    store("Seed", "A", "A")
    PortfolioCompany.objects.filter(pk=PortfolioCompany.objects.last().pk).update(sector="desk")
    run = make_plan(conf.targets()[0], actor="test").run
    runs.start(run, **WHO)
    worker.advance(run)
    store("A", "A", "A")
    PortfolioCompany.objects.filter(pk=PortfolioCompany.objects.last().pk).update(sector="desk")
    (look,) = drift.watch()
    assert (look.known_rows, look.unknown_rows) == (1, 2)
    assert UnknownCount.objects.get(kind="bypass").source == ""


def test_null_and_deleted_rows_are_no_drift(normalized):
    normalized("Fondo X", "Seed")
    PortfolioCompany.objects.filter(stage="Fondo X").delete()
    assert drift.watch()[0].unknown_rows == 0
