"""Every verb leaves a record; the last verified backup is never removed; a run needs proof."""

import dataclasses
import datetime
import shutil

import pytest
from django.db import IntegrityError
from django.utils import timezone

from stageapp.backups import create, evidence, folder, keeping, manifest
from stageapp.backups.errors import BackupError
from stageapp.models.backups import Backup, BackupCheck
from stageapp.models.normalization import RunMove, State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, safety
from stageapp.targets.errors import BackupNeeded
from tests.backups.damage import DUMP, MANIFEST
from tests.normalization.evidence import LABEL, ME, sql


def damage(backups, name):
    path = backups / name / DUMP
    path.write_bytes(path.read_bytes()[:-1])


def make(count):
    return [keeping.create(**ME).name for _ in range(count)]


def ages(backups, name, minutes):
    """Let a backup be that old, in its manifest and on record."""
    old = timezone.now() - datetime.timedelta(minutes=minutes)
    known = manifest.load((backups / name / MANIFEST).read_bytes(), name)
    (backups / name / MANIFEST).write_bytes(manifest.dump(dataclasses.replace(known, taken_at=old)))
    Backup.objects.filter(name=name).update(taken_at=old)


def test_what_was_made_and_found_is_on_record(kept):
    keeping.verify(None, **ME)
    keeping.rehearse(None, **ME)
    backup = Backup.objects.get()
    assert (backup.name, backup.actor, backup.reason, backup.rows) == (
        kept.name,
        "tester",
        "test",
        kept.rows,
    )
    rehearsed, verified = BackupCheck.objects.all()
    assert (verified.kind, verified.passed, verified.backup, verified.actor) == (
        "verify",
        True,
        backup,
        "tester",
    )
    assert (rehearsed.kind, rehearsed.passed) == ("rehearse", True)
    assert 0 < rehearsed.seconds < 60
    assert 0 < rehearsed.data_age_seconds < 600
    (known,) = keeping.known()
    assert (known.present, known.verified, known.rehearsed) == (True, verified, rehearsed)


def test_a_verdict_cannot_be_changed_or_deleted(kept):
    keeping.verify(None, **ME)
    with pytest.raises(IntegrityError, match="append-only"):
        BackupCheck.objects.update(passed=False)
    with pytest.raises(IntegrityError, match="append-only"):
        BackupCheck.objects.all().delete()


def test_a_backup_found_without_a_record_is_recorded_when_it_is_verified(made):
    assert keeping.known()[0].backup is None
    keeping.verify(made.name, **ME)
    assert Backup.objects.get().sha256 == made.sha256


def test_a_bad_verdict_is_recorded_too(kept, backups):
    damage(backups, kept.name)
    assert not keeping.verify(None, **ME).passed
    assert not BackupCheck.objects.get().passed
    (backups / kept.name / MANIFEST).write_bytes(b"")
    assert not keeping.verify(None, **ME).passed
    assert [check.backup.name for check in BackupCheck.objects.all()] == [kept.name] * 2


def test_a_backup_that_is_gone_is_shown_as_missing(kept, backups):
    shutil.rmtree(backups / kept.name)
    assert [(it.name, it.present) for it in keeping.known()] == [(kept.name, False)]


def test_prune_keeps_the_newest_and_the_last_verified(backups):
    names = make(5)
    for name in names[:2]:
        keeping.verify(name, **ME)
    assert sorted(keeping.prune(2, **ME)) == sorted([names[0], names[2]])
    assert sorted(folder.names()) == sorted([names[1], *names[3:]])
    assert {it.name for it in Backup.objects.exclude(removed_at=None)} == {names[0], names[2]}


def test_prune_never_trusts_an_old_verdict(backups):
    names = make(4)
    for name in names[:3]:
        keeping.verify(name, **ME)
    damage(backups, names[2])
    assert sorted(keeping.prune(1, **ME)) == sorted([names[0], names[2]])
    assert sorted(folder.names()) == sorted([names[1], names[3]])


def test_prune_removes_nothing_where_nothing_verifies(backups):
    names = make(3)
    with pytest.raises(BackupError, match="none was removed"):
        keeping.prune(1, **ME)
    keeping.verify(names[0], **ME)
    damage(backups, names[0])
    with pytest.raises(BackupError, match="none was removed"):
        keeping.prune(1, **ME)
    assert len(folder.names()) == 3


def test_prune_touches_nothing_that_is_not_ours(backups):
    """The folder may be one that others use as well."""
    names = make(2)
    keeping.verify(names[1], **ME)
    shutil.copytree(backups / names[0], backups / "kept-for-ever")
    for other in ("archive", "postgresql.d"):
        (backups / other).mkdir()
        (backups / other / "precious").write_text("")
    assert keeping.newest() == names[1]
    assert keeping.prune(1, **ME) == [names[0]]
    assert (backups / "kept-for-ever" / DUMP).is_file()
    assert [(backups / other / "precious").is_file() for other in ("archive", "postgresql.d")] == [
        True,
        True,
    ]


@pytest.mark.parametrize("keep", [0, -5])
def test_prune_keeps_at_least_one(backups, keep):
    names = make(2)
    keeping.verify(names[1], **ME)
    assert keeping.prune(keep, **ME) == [names[0]]


def test_evidence_begins_with_nothing(backups):
    assert evidence.read() == evidence.Evidence()


def test_evidence_is_the_newest_verified_backup_and_a_rehearsal_with_todays_schema(kept, backups):
    keeping.verify(None, **ME)
    keeping.rehearse(None, **ME)
    found = evidence.read()
    assert (found.verified, found.taken_at, found.rehearsed) == (
        kept.name,
        kept.taken_at,
        kept.name,
    )
    create.create()  # a newer one that nobody has verified is no evidence
    assert evidence.read() == found
    damage(backups, kept.name)
    keeping.verify(kept.name, **ME)
    assert evidence.read().verified == ""


def flip(backups, name):
    """Damage one bit: the size stays."""
    path = backups / name / DUMP
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_only_the_last_verdict_on_a_backup_counts(kept, backups):
    keeping.verify(None, **ME)
    flip(backups, kept.name)
    assert not keeping.verify(None, **ME).passed
    assert (evidence.read().verified, evidence.verified_names()) == ("", [])
    assert not keeping.verify(None, **ME).passed
    flip(backups, kept.name)  # back as it was
    keeping.verify(None, **ME)
    keeping.rehearse(None, **ME)
    assert evidence.read().verified == kept.name


def test_a_backup_that_was_removed_by_hand_is_no_evidence(kept, backups):
    keeping.verify(None, **ME)
    shutil.rmtree(backups / kept.name)
    assert evidence.read().verified == ""


def test_a_change_of_the_schema_asks_for_another_rehearsal(kept):
    keeping.rehearse(None, **ME)
    assert evidence.read().rehearsed == kept.name
    sql("CREATE INDEX changed ON stageapp_fund (name)")
    try:
        assert (evidence.read().rehearsed, evidence.read().schema_changed) == ("", True)
    finally:
        sql("DROP INDEX changed")


def test_a_rehearsal_that_failed_since_takes_back_what_passed_before(kept, backups):
    keeping.rehearse(None, **ME)
    flip(backups, kept.name)
    assert not keeping.rehearse(None, **ME).passed
    found = evidence.read()
    assert (found.rehearsed, found.rehearsal_failed, found.schema_changed) == ("", True, False)
    assert "newest rehearsal failed" in str([gate.deciding.why for gate in safety.gates()])
    flip(backups, kept.name)
    keeping.rehearse(None, **ME)
    assert (evidence.read().rehearsed, evidence.read().rehearsal_failed) == (kept.name, False)


@pytest.fixture
def planned(backups, settings):
    """Return a run that is planned, where runs need a backup."""
    settings.STAGE_REQUIRE_BACKUP = True
    sql("UPDATE stageapp_portfoliocompany SET stage = 'Seed ' WHERE stage = 'seed'")
    return plans.make_plan(LABEL, actor="tester").run


def test_a_run_does_not_start_without_a_backup_that_is_verified_and_rehearsed(planned, backups):
    for step in (keeping.create, keeping.verify, keeping.rehearse):
        with pytest.raises(BackupNeeded, match="without a way back"):
            runs.start(planned, **ME)
        planned.refresh_from_db()
        assert planned.state == State.PLANNED
        step(**ME) if step is keeping.create else step(None, **ME)
    assert runs.start(planned, **ME).state == State.RUNNING


@pytest.mark.parametrize("minutes, starts", [(59, True), (61, False)])
def test_the_data_of_the_backup_may_be_an_hour_old(planned, backups, minutes, starts):
    name = keeping.create(**ME).name
    keeping.verify(None, **ME)
    keeping.rehearse(None, **ME)
    ages(backups, name, minutes)
    if starts:
        assert runs.start(planned, **ME).state == State.RUNNING
    else:
        with pytest.raises(BackupNeeded, match="verified_backup"):
            runs.start(planned, **ME)


def test_an_override_with_a_reason_starts_it_and_stays_in_the_history(planned):
    with pytest.raises(BackupNeeded):
        runs.start(planned, **ME, override="  ")
    runs.start(planned, **ME, override="the disk is burning")
    said = set(
        RunMove.objects.filter(
            run=planned, new_state__in=[State.APPROVED, State.RUNNING]
        ).values_list("reason", flat=True)
    )
    assert said == {"OVERRIDE of verified_backup, rehearsal: the disk is burning; test"}


def test_a_run_that_goes_on_needs_no_new_backup(planned):
    runs.start(planned, **ME, override="once")
    runs.pause(planned, **ME)
    assert runs.start(planned, **ME).state == State.RUNNING


def test_where_no_backup_is_required_a_run_starts_without(planned, settings):
    settings.STAGE_REQUIRE_BACKUP = False
    assert runs.start(planned, **ME).state == State.RUNNING
