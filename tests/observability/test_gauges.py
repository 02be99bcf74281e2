"""What PostgreSQL knows, as metrics: each part tells what is stored, and none keeps another from
being told.
"""

import datetime
import threading

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from prometheus_client import REGISTRY

from config import celery  # noqa: F401  as in every process of the site: the broker is ours
from stageapp.api import metrics as backups
from stageapp.infrastructure import metrics
from stageapp.mode import store
from stageapp.models import Run
from stageapp.models.backups import Backup, BackupCheck, BackupJob
from stageapp.models.batches import Batch, Checkpoint, QuarantinedRow
from stageapp.models.mode import ServerProcess
from stageapp.models.normalization import Plan
from stageapp.models.unknowns import DriftCheck
from stageapp.normalization import limits

TARGET = "stageapp.PortfolioCompany.stage"

pytestmark = pytest.mark.django_db


def told(*parts):
    """Return {(series, label values …): value} of what these parts yield."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for part in parts
        for family in part()
        for sample in family.samples
    }


def change(mode, **more):
    return store.change(mode=mode, actor="ada", reason="a test", **more)


def make_run(state, **more):
    plan = Plan.objects.create(
        target=TARGET,
        vocabulary_version=1,
        hash="h",
        rows_total=100,
        rows_to_change=50,
        rows_unknown=1,
        actor="ada",
    )
    return Run.objects.create(plan=plan, target=TARGET, state=state, actor="ada", **more)


def ago(seconds):
    return timezone.now() - datetime.timedelta(seconds=seconds)


def test_the_stored_mode_and_its_history():
    change("warn")
    change("enforce", percent=10)
    change("warn", kind="downgrade")
    found = told(backups.stored_mode)
    assert [found["stage_mode_info", each] for each in metrics.MODES] == [0, 1, 0]
    assert found["stage_mode_version",] == 3
    assert found["stage_mode_percent",] == 100
    assert found["stage_mode_latched",] == 1
    assert found["stage_mode_changes_total", "manual"] == 2
    assert found["stage_mode_changes_total", "downgrade"] == 1
    assert found["stage_mode_changes_total", "scheduled"] == 0
    assert 0 <= found["stage_mode_age_seconds",] < 60
    assert 0 <= found["stage_mode_warn_seconds",] < 60


def test_before_the_first_change_the_default_holds_and_no_age_is_made_up():
    found = told(backups.stored_mode)
    assert found["stage_mode_info", "warn"] == 1
    assert found["stage_mode_latched",] == 0
    assert ("stage_mode_age_seconds",) not in found


def test_the_registry_tells_who_lives_and_who_fell_silent():
    for name, silent in (("web", 0), ("web", 1), ("worker", 60)):
        ServerProcess.objects.create(
            id=f"00000000-0000-0000-0000-0000000000{silent:02}",
            name=name,
            host="h",
            pid=1,
            started_at=ago(90),
            mode="warn",
            percent=100,
            epoch=1,
            version=1,
            source="postgres",
            age=0.1,
            heartbeat_at=ago(silent),
        )
    found = told(backups.registry)
    assert found["stage_processes", "web", "live"] == 2
    assert found["stage_processes", "worker", "stale"] == 1
    assert found["stage_processes", "beat", "live"] == 0


def test_an_unfinished_run_tells_how_far_it_is():
    run = make_run("running", started_at=ago(30))
    Checkpoint.objects.create(
        run=run, direction="forward", scanned=40, changed=30, skipped=2, heartbeat_at=ago(20)
    )
    QuarantinedRow.objects.create(run=run, direction="forward", row_key="7", error="no")
    Batch.objects.create(
        run=run, direction="forward", number=1, last_key="40", scanned=40, changed=30, seconds=2.0
    )
    found = told(backups.newest_runs)
    assert found["stage_run_state", TARGET, "running"] == 1
    assert 20 <= found["stage_run_heartbeat_age_seconds", TARGET] < 60
    names = ("total", "scanned", "changed", "skipped")
    assert [found[f"stage_run_{name}_rows", TARGET] for name in names] == [100, 40, 30, 2]
    assert 0 < found["stage_run_rate_rows_per_second", TARGET] <= 20
    assert found["stage_run_eta_seconds", TARGET] >= 3
    assert found["stage_run_quarantined_rows", TARGET] == 1


@pytest.mark.parametrize("state", ["done", "failed", "cancelled", "rolled_back", "planned"])
def test_a_run_that_is_over_tells_its_state_alone(state):
    make_run(state)
    assert told(backups.newest_runs) == {
        ("stage_run_state", TARGET, state): 1,
        ("stage_run_quarantined_rows", TARGET): 0,
    }


def test_the_newest_run_of_a_target_counts():
    make_run("failed")
    make_run("done")
    assert told(backups.newest_runs)["stage_run_state", TARGET, "done"] == 1


def test_rows_of_all_runs_add_up():
    for state, changed in (("done", 30), ("rolled_back", 12)):
        run = make_run(state)
        Checkpoint.objects.create(
            run=run, direction="forward", scanned=100, changed=changed, skipped=1
        )
    Checkpoint.objects.create(run=run, direction="rollback", scanned=12, changed=11, skipped=1)
    found = told(backups.all_rows)
    assert [
        found["stage_run_rows_total", "forward", it] for it in ("scanned", "changed", "skipped")
    ] == [200, 42, 2]
    assert [
        found["stage_run_rows_total", "rollback", it] for it in ("scanned", "changed", "skipped")
    ] == [12, 11, 1]


def test_time_lost_to_the_throttle_adds_up_over_runs():
    for seconds in (1.5, 2.0):
        limits.add_seconds(make_run("done"), "lock_waiters", seconds)
    found = told(backups.throttled)
    assert found["stage_run_throttled_seconds_total", "lock_waiters"] == 3.5
    assert found["stage_run_throttled_seconds_total", "replica_lag"] == 0


def test_drift_by_kind():
    DriftCheck.objects.create(
        target=TARGET,
        run=1,
        checked_at=ago(90),
        looked_at=ago(30),
        writes=1,
        known_rows=3,
        unknown_rows=4,
    )
    found = told(backups.drift)
    assert found["stage_drift_rows", TARGET, "known"] == 3
    assert found["stage_drift_rows", TARGET, "unknown"] == 4
    assert 30 <= found["stage_drift_check_age_seconds", TARGET] < 60


def test_backups_tell_the_age_of_their_data_and_none_tells_nothing(settings):
    settings.STAGE_REQUIRE_BACKUP = True
    assert told(backups.ages) == {("stage_backup_required",): 1}
    backup = Backup.objects.create(
        name="a",
        origin="adapter",
        taken_at=ago(600),
        ended_at=ago(500),
        bytes=1,
        actor="ada",
        reason="a test",
        schema=backups.evidence.schema_now(),
    )
    for kind in ("verify", "rehearse"):
        BackupCheck.objects.create(
            backup=backup, name="a", kind=kind, passed=True, seconds=1, actor="ada", reason="a test"
        )
    found = told(backups.ages)
    assert 600 <= found["stage_backup_age_seconds",] < 660
    assert 0 <= found["stage_rehearsal_age_seconds",] < 60


def test_what_waits():
    make_run("running")
    for verb, state in (("create", "waiting"), ("verify", "waiting"), ("rehearse", "working")):
        BackupJob.objects.create(verb=verb, state=state, actor="ada", reason="a test")
    assert told(backups.waiting_rows) == {
        ("stage_queue_depth", "runs"): 1,
        ("stage_queue_depth", "backups"): 2,
    }


def test_a_broker_that_is_away_is_told_and_fails_nothing(monkeypatch):
    assert told(backups.from_broker)["stage_broker_up",] == 1

    def away():
        raise ConnectionError("secret")

    monkeypatch.setattr(backups, "waiting_messages", away)
    assert told(backups.from_broker) == {("stage_broker_up",): 0}


def test_every_family_that_is_named_is_told():
    change("warn")
    make_run("running")
    found = {family.name for family in backups.from_database()} | {
        family.name for family in backups.from_broker()
    }
    named = {family.name.removesuffix("_total") for family in metrics.FAMILIES}
    assert found == named - {"stage_database_up", "stage_database_scrape_seconds"}


def test_a_part_that_fails_keeps_no_other_from_being_told(monkeypatch):
    def broken():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        yield metrics.DATABASE_UP.value(1)

    monkeypatch.setattr(
        backups, "PARTS", (broken, backups.registry, lambda: 1 / 0, backups.all_rows)
    )
    found = {family.name for family in backups.from_database()}
    assert found == {"stage_processes", "stage_run_rows"}


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_takes_too_long_is_given_up(monkeypatch):
    def slow():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
        yield metrics.DATABASE_UP.value(1)

    monkeypatch.setattr(backups, "PARTS", (slow, backups.registry))
    assert {family.name for family in backups.from_database()} == {"stage_processes"}
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() != ("1s",)


def test_a_scrape_of_a_database_that_fails_is_an_answer(client, monkeypatch):
    def away():
        raise OperationalError("secret")

    monkeypatch.setattr(backups, "from_database", away)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert b"stage_database_up 0.0" in answer.content
    assert b"stage_broker_up 1.0" in answer.content
    assert b"stage_mode_info" not in answer.content
    assert b"secret" not in answer.content


def test_scrapes_at_the_same_time_share_one_reading_and_none_waits_for_ever(monkeypatch):
    readings, released = [], threading.Event()

    def hanging():
        readings.append(1)
        released.wait(60)
        return iter([])

    monkeypatch.setattr(backups, "from_database", hanging)
    monkeypatch.setattr(backups, "from_broker", lambda: iter([]))
    monkeypatch.setattr(backups, "SCRAPE_SECONDS", 0.05)
    try:
        for _ in range(5):
            found = {family.name: family.samples for family in backups.StoreCollector().collect()}
            assert found["stage_database_up"][0].value == 0
        assert len(readings) == 1
    finally:
        released.set()
        backups._latest._thread.join(60)
        backups.forget()


def test_queries_are_counted_whatever_kind_of_cursor_asks():
    def count():
        return (
            REGISTRY.get_sample_value(
                "django_db_execute_total", {"alias": "default", "vendor": "postgresql"}
            )
            or 0.0
        )

    before = count()
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [1])
        cursor.executemany("SELECT %s", [[1], [2]])
    assert count() - before == 3
    assert (
        list(Run.objects.iterator(chunk_size=10)) == []
    )  # a server-side cursor, which psycopg makes by itself
