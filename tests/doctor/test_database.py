"""What the doctor says of the database: each answer on a real one, well and ill."""

import datetime

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from stageapp.doctor import examine, questions
from stageapp.doctor.answers import Health, ok
from stageapp.models import Backup, BackupCheck, StageAlias
from stageapp.normalization import factors

pytestmark = pytest.mark.django_db


def one(ask):
    (answer,) = ask()
    return answer


def make(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "ask",
    [
        questions.reachable,
        questions.migrated,
        questions.function_there,
        questions.parity,
        questions.clock,
    ],
)
def test_a_database_as_migrated_is_well(ask):
    assert one(ask).health == Health.OK


def test_an_old_postgresql_fails(monkeypatch):
    monkeypatch.setattr(questions, "OLDEST_VERSION", 990_000)
    assert one(questions.reachable).health == Health.FAIL


def test_a_migration_that_waits_fails():
    newest = (
        MigrationRecorder.Migration.objects.filter(app="stageapp")
        .order_by("-name")
        .values_list("name", flat=True)[0]
    )
    MigrationRecorder.Migration.objects.filter(app="stageapp", name=newest).delete()
    answer = one(questions.migrated)
    assert answer.health == Health.FAIL
    assert newest in answer.said
    assert "migrate" in answer.do


def test_a_function_that_is_gone_fails():
    make("DROP FUNCTION normalize_stage(text, text)")
    assert one(questions.function_there).health == Health.FAIL
    assert [answer.health for answer in examine._ask("parity", questions.parity)] == [Health.FAIL]


def test_a_function_that_says_something_else_fails():
    spelling = StageAlias.objects.values_list("spelling", flat=True)[0]
    make(
        "CREATE OR REPLACE FUNCTION normalize_stage(raw text, source text DEFAULT '') RETURNS "
        "text LANGUAGE sql STABLE AS $$ SELECT 'growing' $$"
    )
    answer = one(questions.parity)
    assert answer.health == Health.FAIL
    assert ascii(spelling) in answer.said


@pytest.mark.parametrize("ahead, health", [(0, "ok"), (3, "warn"), (-3, "warn"), (90, "fail")])
def test_a_clock_that_differs_is_told(monkeypatch, ahead, health):
    real = questions.time.time
    monkeypatch.setattr(questions.time, "time", lambda: real() - ahead)
    answer = one(questions.clock)
    assert answer.health == health
    assert ("ahead of" if ahead > 0 else "behind" if ahead < 0 else "") in answer.said


def throttle():
    return {answer.name.removeprefix("throttle: "): answer for answer in questions.throttle()}


def test_each_factor_of_the_throttle_is_told(settings, tmp_path):
    settings.STAGE_DISK_PATHS = [str(tmp_path)]
    settings.STAGE_HOLD = {"disk_free": 100.0, "active_sessions": 0.0}
    found = throttle()
    assert set(found) == {factor.title for factor in factors.FACTORS.values()}
    assert found["free disk"].health == Health.WARN
    assert found["active sessions"].said == "is off"
    assert found["replica lag"].health == Health.OK


def test_a_disk_that_nobody_measures_is_not_called_well(settings):
    settings.STAGE_DISK_PATHS = []
    assert throttle()["free disk"].health == Health.NO_DATA


@pytest.mark.parametrize(
    "statement, health",
    [
        ("SELECT 1", "ok"),
        (
            "CREATE VIEW others AS SELECT id FROM stageapp_portfoliocompany WHERE stage = "
            "'Series A'",
            "warn",
        ),
        ("ALTER TABLE stageapp_portfoliocompany ALTER stage TYPE varchar(5)", "fail"),
    ],
)
def test_each_target_is_told_by_its_worst(statement, health):
    make(statement)
    assert one(questions.targets).health == health


def test_without_targets_nobody_knows(settings):
    settings.STAGE_TARGETS = []
    assert one(questions.targets).health == Health.NO_DATA


@pytest.mark.parametrize("required, health", [(False, "no_data"), (True, "fail")])
def test_no_backup_fails_where_runs_need_one(settings, required, health):
    settings.STAGE_REQUIRE_BACKUP = required
    assert not BackupCheck.objects.exists()
    assert {answer.name: answer.health for answer in questions.backup()} == {
        "verified_backup": health,
        "rehearsal": health,
    }


def test_the_backups_line_carries_its_figure_and_the_limit():
    at = timezone.now() - datetime.timedelta(hours=3, minutes=2)
    fields = {
        "taken_at": at,
        "ended_at": at,
        "bytes": 1,
        "origin": "adapter",
        "actor": "ann",
        "reason": "x",
    }
    backup = Backup.objects.create(name="stage-1", **fields)
    check = {
        "backup": backup,
        "name": backup.name,
        "passed": True,
        "seconds": 1,
        "actor": "a",
        "reason": "x",
    }
    BackupCheck.objects.create(kind="verify", **check)
    told = {answer.name: answer.said for answer in questions.backup()}
    assert told["verified_backup"] == (
        f"age of the newest verified backup: 3 h 2 min (from {at:%F %H:%M} UTC); needed: verified, at most 1 h old"
    )


def test_a_fault_in_one_examination_keeps_none_of_the_others_back():
    def half():
        yield ok("first", "well")
        raise ValueError("a setting makes no sense")

    assert [(a.name, a.health, a.said) for a in examine._ask("second", half)] == [
        ("first", "ok", "well"),
        ("second", "fail", "a setting makes no sense"),
    ]
