"""Every verdict on a backup, with each thing that was looked at."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from stageapp import words
from stageapp.admin import backup_words
from stageapp.admin.screens import BoundedAdmin, PageAdmin
from stageapp.admin.site import site
from stageapp.models.backups import BackupCheck


@admin.register(BackupCheck, site=site)
class BackupCheckAdmin(PageAdmin, BoundedAdmin):
    """The verdicts, newest first."""

    page_template = "backup_check.html"
    list_display = ["id", "kind", "name", "passed", "took", "data_age", "actor", "reason", "created_at"]
    list_filter = ["kind", "passed"]
    search_fields = ["name__startswith", "actor"]
    sortable_by = ()

    @admin.display(description="took")
    def took(self, check: BackupCheck) -> str:
        """Return how long it took; of a passed rehearsal that is the RTO."""
        return words.duration(check.seconds)

    @admin.display(description="age of the data")
    def data_age(self, check: BackupCheck) -> str:
        """Return how old the data was; of a rehearsal that is the RPO."""
        return words.duration(check.data_age_seconds)

    def page_context(self, request: HttpRequest, row: BackupCheck) -> dict[str, Any]:
        """Return the verdict and its findings."""
        return {"title": f"{row.name}: {row.get_kind_display()}", **found(row)}


def found(check: BackupCheck) -> dict[str, Any]:
    """Return a verdict as its template shows it."""
    return {
        "check": check, "findings": backup_words.remedies(check.findings), "took": words.duration(check.seconds),
        "data_age": words.duration(check.data_age_seconds),
    }  # fmt: skip
