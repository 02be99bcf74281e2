"""Jobs with backups: how far they are, what failed and what to do, and the whole way through a
real worker.
"""

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from stageapp.admin import backup_actions as words
from stageapp.admin.backup_actions import address
from stageapp.backups import evidence, folder, rehearse, verify
from stageapp.models.backups import Backup, BackupCheck, BackupJob
from tests.admin.test_backup_actions import OPERATOR
from tests.backups.conftest import backups, transactional_db  # noqa: F401  fixtures
from tests.backups.damage import DUMP
from tests.normalization.processes import wait_for
from tests.test_tasks import broker, celery_worker  # noqa: F401  fixtures

# ruff: noqa: F811  fixtures are used under the names they are imported by

LIST = reverse("admin:stageapp_backup_changelist")
LIVE = reverse("admin:stageapp_backupjob_live")


def job(**fields):
    return BackupJob.objects.create(
        **{"verb": "create", "actor": "ann", "reason": "why not"} | fields
    )


def page_of(one):
    return reverse("admin:stageapp_backupjob_change", args=[one.pk])


@pytest.mark.django_db
def test_a_job_under_way_shows_phase_done_rate_and_time_left(browser_with):
    now = timezone.now()
    one = job(
        verb="verify",
        name="stage-1",
        state="working",
        phase="verify",
        done=30_000_000,
        whole=120_000_000,
        phase_began_at=now - timedelta(seconds=4),
        heartbeat_at=now,
    )
    text = browser_with("view_backupjob").get(page_of(one)).text
    for said in (
        "the dump is read",
        "30.0 MB",
        "of 120.0 MB",
        "7.5 MB/s",
        "12 s",
        'aria-valuenow="25"',
        "ann",
    ):
        assert said in text, said


@pytest.mark.django_db
def test_the_pages_ask_again_only_while_something_moves(browser_with):
    one = job()
    browser = browser_with("view_backupjob", "view_backup")
    own = reverse("admin:stageapp_backupjob_one_live", args=[one.pk])
    for page, asked in ((page_of(one), own), (LIST, LIVE), (LIVE, LIVE)):
        assert f'hx-get="{asked}"' in browser.get(page).text
    assert "HX-Refresh" not in browser.get(own)
    BackupJob.objects.update(state="done", ended_at=timezone.now())
    for fragment in (own, LIVE):
        answer = browser.get(fragment)
        assert answer["HX-Refresh"] == "true"
        assert "hx-get" not in answer.text


@pytest.mark.django_db
def test_what_moves_is_shown_to_who_may_see_jobs(browser_with):
    one = job()
    browser = browser_with("view_backup")
    for page in (LIVE, reverse("admin:stageapp_backupjob_one_live", args=[one.pk]), page_of(one)):
        assert browser.get(page).status_code == 403
    assert "hx-get" not in browser.get(LIST).text


@pytest.mark.django_db
@pytest.mark.parametrize("verb", [verb for verb, _ in BackupJob.VERBS])
def test_a_failure_says_what_happened_and_what_to_do(browser_with, verb):
    one = job(verb=verb, state="failed", said="12 MB are free", ended_at=timezone.now())
    browser = browser_with("view_backupjob", "view_backup")
    for page in (page_of(one), LIST):
        text = browser.get(page).text
        assert "12 MB are free" in text
        assert words.after_failure(verb) in text
    BackupJob.objects.update(state="done")
    assert "What to do" not in browser.get(LIST).text


def test_every_check_that_may_fail_has_its_remedy():
    text = "".join(
        Path(module.__file__).read_text(encoding="utf-8") for module in (verify, rehearse)
    )
    named = set(re.findall(r'(?:Finding|_same|_same_each)\(\s*"([a-z0-9_]+)"', text)) | {
        "restore",
        "adapter",
    }
    assert {"sha256", "tables", "normalize_stage"} <= named
    found = words.remedies(
        [{"check": name, "passed": False, "said": "x"} for name in named - {"age"}]
    )
    assert [one["check"] for one in found if not one["todo"]] == []


def test_created_verified_rehearsed_and_pruned_from_the_browser_by_a_worker(
    backups, browser_with, celery_worker
):
    browser = browser_with(*OPERATOR, "view_backupcheck", name="olga")
    celery_worker(STAGE_BACKUP_DIR=str(backups), STAGE_BACKUP_KEY="k" * 32, STAGE_BACKUP_KEEP="1")

    def done(verb, backup=None, state="done"):
        browser.post(address(verb, backup), {"reason": f"to {verb}"})
        one = BackupJob.objects.first()
        wait_for(lambda: BackupJob.objects.get(pk=one.pk).state not in BackupJob.ACTIVE, 60, verb)
        one.refresh_from_db()
        assert (one.state, one.actor, one.reason) == (state, "olga", f"to {verb}"), one.said
        return browser.get(page_of(one)).text

    done("create")
    backup = Backup.objects.get()
    assert "signed, and belongs to this backup" in done("verify", backup)
    assert "as in the backup" in done("rehearse", backup)
    found = evidence.read()
    assert (found.verified, found.rehearsed) == (backup.name, backup.name)
    done("create")
    newer = Backup.objects.first()
    os.truncate(backups / newer.name / DUMP, 100)
    damaged = done("verify", newer, "failed")
    assert "size: 100 bytes instead of" in damaged
    assert words.remedies([{"check": "size", "passed": False}])[0]["todo"] in damaged
    assert "removed: nothing" in done("prune")  # the last one that verifies stays
    assert folder.names() == [newer.name, backup.name]
    assert BackupCheck.objects.filter(actor="olga").count() == 4
