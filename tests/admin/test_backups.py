"""The list of backups and the page of each: what is there, what was found, what a restore takes."""

import shutil
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from stageapp.admin.backups import SHOWN_UNRECORDED
from stageapp.backups import keeping
from stageapp.models import Run
from stageapp.models.backups import Backup, BackupCheck
from tests.backups.conftest import backups, kept, made, transactional_db  # noqa: F401  fixtures
from tests.backups.damage import DUMP
from tests.backups.test_adapter import PROGRAM, program  # noqa: F401  a fixture
from tests.normalization.evidence import ME

# ruff: noqa: F811  fixtures are used under the names they are imported by

LIST = reverse("admin:stageapp_backup_changelist")
INDEX = reverse("admin:index")


def page_of(backup):
    return reverse("admin:stageapp_backup_change", args=[backup.pk])


def backup_of(hours, name="stage-1", **more):
    at = timezone.now() - timedelta(hours=hours)
    fields = {"taken_at": at, "ended_at": at, "bytes": 2_500_000, "actor": "ann", "reason": "x"}
    return Backup.objects.create(name=name, **fields | more)


def check_of(backup, kind, passed=True, **more):
    return BackupCheck.objects.create(
        backup=backup, name=backup.name, kind=kind, passed=passed, **{"seconds": 95, **ME, **more}
    )


def row(browser, backup, **query):
    """Return the cells of a backup's row by their column."""
    found = browser.get(LIST, query).context["cl"]
    one = found.result_list.get(pk=backup.pk)
    return {name: str(getattr(found.model_admin, name)(one)) for name in found.list_display[1:]}


@pytest.mark.django_db
def test_a_row_tells_age_size_verdicts_rto_and_rpo(browser_with):
    browser = browser_with("view_backup")
    backup = backup_of(hours=2)
    assert row(browser, backup)["rto"] == row(browser, backup)["rpo"] == "–"
    check_of(backup, "verify")
    check_of(backup, "rehearse", data_age_seconds=600)
    cells = row(browser, backup)
    assert (cells["age"], cells["size"], cells["rto"], cells["rpo"]) == (
        "2 h",
        "2.5 MB",
        "1 min 35 s",
        "10 min",
    )
    assert "passed" in cells["verified_shown"]
    assert "passed" in cells["rehearsed_shown"]
    check_of(backup, "verify", passed=False)
    assert "failed" in row(browser, backup)["verified_shown"]


@pytest.mark.django_db
def test_a_rehearsal_that_tells_no_time_is_none_of_zero_seconds(browser_with):
    backup = backup_of(hours=1, origin="adapter")
    check_of(backup, "rehearse", seconds=0.0)
    page = browser_with("view_backup").get(LIST)
    assert page.context["rto_course"].points == ()
    assert "No restore has been rehearsed" in page.text


@pytest.mark.django_db
def test_the_course_of_the_rto_is_that_of_the_passed_rehearsals(browser_with):
    backup = backup_of(hours=1)
    for seconds, passed in ((60, True), (7, False), (90, True)):
        check_of(backup, "rehearse", passed=passed, seconds=seconds)
    page = browser_with("view_backup").get(LIST)
    assert [point.words.partition(" at ")[0] for point in page.context["rto_course"].points] == [
        "60 s",
        "1 min 30 s",
    ]
    assert "sn-course-line" in page.text


@pytest.mark.django_db
def test_removed_ones_are_listed_on_demand(browser_with):
    browser = browser_with("view_backup")
    backup_of(hours=1, name="kept")
    backup_of(hours=2, name="gone", removed_at=timezone.now(), removed_why="ann: too many")
    for query, names in (
        ({}, ["kept"]),
        ({"place": "removed"}, ["gone"]),
        ({"place": "all"}, ["kept", "gone"]),
    ):
        assert [one.name for one in browser.get(LIST, query).context["cl"].result_list] == names


@pytest.mark.django_db
def test_a_list_of_many_costs_a_bounded_number_of_questions(
    browser_with, django_assert_max_num_queries
):
    for number in range(40):
        check_of(backup_of(hours=number, name=f"stage-{number}"), "verify")
    browser = browser_with("view_backup")
    with django_assert_max_num_queries(20):
        browser.get(LIST)


@pytest.mark.django_db
def test_a_folder_that_cannot_be_used_is_said_and_the_list_is_there(browser_with, settings):
    backup_of(hours=1)
    settings.STAGE_BACKUP_DIR = ""
    page = browser_with("view_backup").get(LIST)
    assert "Set STAGE_BACKUP_DIR" in page.text
    assert "missing" in page.text


def test_the_page_of_a_backup_shows_its_manifest_and_every_check(kept, browser_with, backups):
    keeping.verify(None, **ME)
    keeping.rehearse(None, **ME)
    browser = browser_with("view_backup")
    page = browser.get(page_of(kept))
    assert page.context["tables_total"] > 30
    for said in (
        kept.sha256,
        "stageapp.PortfolioCompany.stage",
        "&#x27;nobody knows&#x27;",
        "public.stageapp_run",
        "signed, and belongs to this backup",
        "aliases map to their stage",
        "same as now",
        "in the folder",
    ):
        assert said in page.text, said
    assert len(page.context["checks"]) == 2
    (backups / kept.name / DUMP).unlink()
    assert "does not count" in browser.get(page_of(kept)).text


def test_a_manifest_that_is_not_ours_is_not_shown(kept, browser_with, backups):
    (backups / kept.name / "manifest.json").write_text("{}")
    page = browser_with("view_backup").get(page_of(kept))
    assert "cannot be trusted" in page.text
    assert "tables" not in page.context


def test_a_backup_in_the_folder_without_a_record_is_named(made, browser_with):
    assert browser_with("view_backup").get(LIST).context["unrecorded"] == [made.name]


def test_of_many_backups_without_a_record_some_are_named_and_the_others_counted(
    made, browser_with, backups
):
    for number in range(1, 7):
        shutil.copytree(backups / made.name, backups / f"{made.name[:-1]}-{number}")
    page = browser_with("view_backup").get(LIST)
    assert len(page.context["unrecorded"]) == SHOWN_UNRECORDED
    assert f"and {7 - SHOWN_UNRECORDED} more" in page.text


def test_another_systems_backups_stand_in_the_same_list(program, browser_with):
    program(PROGRAM)
    keeping.verify(None, **ME)
    keeping.rehearse(None, **ME)
    backup = Backup.objects.get()
    browser = browser_with("view_backup")
    cells = row(browser, backup)
    assert (cells["place"], cells["rto"], cells["size"]) == (
        "in the external system",
        "62 s",
        "7 bytes",
    )
    assert "as it should be" in browser.get(page_of(backup)).text
    program("#!/bin/sh\nexit 1\n")
    assert browser.get(LIST).status_code == 200  # looking asks the other system nothing


@pytest.mark.django_db
def test_the_first_page_says_when_no_run_could_start(plan, browser_with, settings):
    settings.STAGE_REQUIRE_BACKUP = True
    browser = browser_with("view_backup", "manage_backups", "view_run", "view_modechange")
    first = browser.get(INDEX)
    assert "no backup is verified" in first.context["step"].text
    assert "No run can start now" in first.text
    check_of(backup_of(hours=3, origin="adapter"), "verify")
    assert "is 3 h old" in browser.get(INDEX).context["step"].text
    Backup.objects.update(taken_at=timezone.now())
    found = browser.get(INDEX)
    assert "no restore has been rehearsed" in found.context["step"].text
    assert "No run can start now" not in found.text
    Run.objects.update(state="done")
    assert "backup" not in str(browser.get(INDEX).context["step"])


@pytest.mark.django_db
@pytest.mark.parametrize(("required", "rights"), [(False, ["manage_backups"]), (True, [])])
def test_without_the_rule_or_the_right_the_first_page_proposes_no_backup(
    plan, browser_with, settings, required, rights
):
    settings.STAGE_REQUIRE_BACKUP = required
    browser = browser_with("view_backup", "view_run", "view_modechange", *rights)
    assert "has changed nothing yet" in browser.get(INDEX).context["step"].text
