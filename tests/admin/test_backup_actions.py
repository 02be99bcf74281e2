"""What may be done with backups: by POST, with the permission at each step, a reason, and by a
worker.
"""

import pytest
from django.urls import reverse
from django.utils import timezone

from stageapp.admin.backup_actions import ACTIONS, OF_ONE, address
from stageapp.models.backups import Backup, BackupJob

pytestmark = pytest.mark.django_db

OPERATOR = ["view_backup", "view_backupjob", "manage_backups"]
LIST = reverse("admin:stageapp_backup_changelist")


@pytest.fixture
def backup():
    return Backup.objects.create(
        name="stage-1",
        taken_at=timezone.now(),
        ended_at=timezone.now(),
        bytes=7,
        actor="ann",
        reason="x",
    )


@pytest.fixture
def nudges(monkeypatch):
    """Record which jobs a worker was asked to take up."""
    asked = []
    monkeypatch.setattr("stageapp.admin.backup_actions.work_on_backup.delay", asked.append)
    return asked


def place(verb, backup):
    return address(verb, backup if verb in OF_ONE else None)


@pytest.mark.parametrize("verb", ACTIONS)
def test_each_is_explained_then_asked_of_a_worker_with_who_and_why(
    verb, backup, browser_with, nudges, post
):
    browser = browser_with(*OPERATOR, name="olga")
    explained = browser.get(place(verb, backup))
    assert ACTIONS[verb].label in explained.text
    assert not BackupJob.objects.exists()
    answer = post(browser, place(verb, backup), {"reason": "before the run"}, follow=True)
    job = BackupJob.objects.get()
    assert (job.verb, job.name) == (verb, "stage-1" if verb in OF_ONE else "")
    assert (job.actor, job.reason, job.state) == ("olga", "before the run", "waiting")
    assert nudges == [job.pk]
    assert "Requested. A worker picks it up within seconds" in answer.text


@pytest.mark.parametrize("verb", ACTIONS)
def test_each_takes_the_permission_at_each_step(verb, backup, browser_with):
    lacking = browser_with(
        "view_backup", "view_backupjob", "operate_run", "plan_run", "change_mode"
    )
    for method in (lacking.get, lacking.post):
        assert method(place(verb, backup), {"reason": "go"}).status_code == 403
    assert not BackupJob.objects.exists()


@pytest.mark.parametrize("verb", ["verify", "rehearse"])
def test_a_backup_that_one_may_not_see_is_none_to_work_on(verb, backup, browser_with):
    assert (
        browser_with("manage_backups").post(place(verb, backup), {"reason": "go"}).status_code
        == 403
    )


@pytest.mark.parametrize("verb", ACTIONS)
@pytest.mark.parametrize("reason", ["", "  "])
def test_without_a_reason_nothing_is_asked_for(verb, reason, backup, browser_with):
    assert browser_with(*OPERATOR).post(place(verb, backup), {"reason": reason}).status_code == 200
    assert not BackupJob.objects.exists()


def test_who_may_not_look_is_led_to_the_first_page(browser_with, nudges, post):
    answer = post(browser_with("manage_backups"), address("create"), {"reason": "go"}, follow=True)
    assert answer.redirect_chain == [(reverse("admin:index"), 302)]
    assert len(nudges) == 1


def test_the_same_twice_is_refused_in_words(backup, browser_with, nudges, post):
    browser = browser_with(*OPERATOR)
    for _ in range(2):
        answer = post(browser, address("verify", backup), {"reason": "go"}, follow=True)
    assert "is already in progress" in answer.text
    assert len(nudges) == 1


def test_with_the_broker_away_the_job_waits_in_its_row(browser_with, monkeypatch, post):
    def away(_):
        raise ConnectionRefusedError

    monkeypatch.setattr("stageapp.admin.backup_actions.work_on_backup.delay", away)
    assert post(browser_with(*OPERATOR), address("create"), {"reason": "go"}).status_code == 302
    assert BackupJob.objects.get().state == "waiting"


def test_a_removed_backup_can_neither_be_verified_nor_rehearsed(backup, browser_with):
    Backup.objects.update(removed_at=timezone.now(), removed_why="too many")
    browser = browser_with(*OPERATOR)
    page = browser.get(reverse("admin:stageapp_backup_change", args=[backup.pk]))
    assert page.context["actions"] == []
    assert (
        "was removed" in browser.post(address("verify", backup), {"reason": "go"}, follow=True).text
    )
    assert not BackupJob.objects.exists()


def test_what_another_system_keeps_is_not_removed_here(browser_with, settings):
    settings.STAGE_BACKUP_ADAPTER = "/usr/local/bin/adapter"
    browser = browser_with(*OPERATOR)
    assert address("prune") not in browser.get(LIST).text
    assert "there." in browser.post(address("prune"), {"reason": "go"}, follow=True).text
    assert not BackupJob.objects.exists()
