"""Backups: the list, verdicts, restore times, and buttons to prove them again."""

from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from stageapp import conf
from stageapp.admin import backup_actions
from stageapp.admin.backup_actions import ACTIONS, OF_ONE, action_view, backup_buttons
from stageapp.admin.charts import course
from stageapp.admin.screens import BoundedAdmin, PageAdmin
from stageapp.admin.site import site
from stageapp.backups import evidence, jobs, keeping, records
from stageapp.backups.errors import BackupError
from stageapp.infrastructure import words
from stageapp.models.backups import Backup
from stageapp.normalization import safety

SHOWN_CHECKS, SHOWN_TABLES, SHOWN_VALUES, SHOWN_UNRECORDED = 10, 200, 20, 5
_VERDICTS = {True: ("pass", "passed"), False: ("fail", "failed"), None: ("no_data", "not yet")}


class PlaceFilter(admin.SimpleListFilter):
    """Filters by whether a backup was removed; by default shows kept backups."""

    title = "place"
    parameter_name = "place"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("removed", "removed"), ("all", "all")]

    def choices(self, changelist: Any) -> Any:
        """Label the default choice."""
        first, *others = super().choices(changelist)
        return [{**first, "display": "kept"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Backup]) -> QuerySet[Backup]:
        if self.value() == "all":
            return queryset
        return queryset.filter(removed_at__isnull=self.value() != "removed")


@admin.register(Backup, site=site)
class BackupAdmin(PageAdmin, BoundedAdmin):
    """The backups, their verdicts, and how long a restore takes."""

    page_template = "backup.html"
    change_list_template = "admin/stageapp/backup_list.html"
    list_display = [
        "name",
        "age",
        "size",
        "verified_shown",
        "rehearsed_shown",
        "rto",
        "rpo",
        "place",
    ]
    list_filter = [PlaceFilter, "origin"]
    search_fields = ["name__startswith", "actor"]
    list_per_page = 50

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        ours = [
            path(
                f"<int:pk>/{verb}/" if verb in OF_ONE else f"{verb}/",
                wrap(self.action_view),
                {"verb": verb},
                name=f"stageapp_backup_{verb}",
            )
            for verb in ACTIONS
        ]
        return [*ours, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Backup]:
        """Add the newest verdicts."""
        return records.with_verdicts(super().get_queryset(request))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what runs require, active jobs, the RTO over time, and the list."""
        measured = [
            (check.created_at, check.seconds) for check in jobs.measured_restores() if check.seconds
        ]
        shown: dict[str, Any] = {
            "gates": safety.gates(),
            "required": conf.settings.require_backup,
            "minutes": conf.settings.backup_minutes,
            "adapter": bool(conf.settings.backup_adapter),
            "actions": backup_buttons(request),
            "unrecorded": [],
            "unrecorded_more": 0,
            "rto_course": course("Time to restore (RTO)", measured, words.duration),
        }
        if request.user.has_perm("stageapp.view_backupjob"):
            shown["live"] = backup_actions.live(list(backup_actions.active()))
            shown["failed"] = backup_actions.last_failure()
        try:
            unrecorded = keeping.unrecorded()
            shown["unrecorded"] = unrecorded[:SHOWN_UNRECORDED]
            shown["unrecorded_more"] = len(unrecorded[SHOWN_UNRECORDED:])
        except BackupError as error:
            shown["problem"] = str(error)
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def page_context(self, request: HttpRequest, row: Backup) -> dict[str, Any]:
        """Return the backup's facts, manifest and checks."""
        made, server = (row.ended_at - row.taken_at).total_seconds(), row.server_version
        return {
            "title": row.name,
            "backup": row,
            "age": words.age(row.taken_at),
            "size": words.size(row.bytes),
            "server": f"{server // 10_000}.{server % 10_000}" if server else "",  # 180004 is 18.4
            "made": words.duration(made),
            "rto": self.rto(row),
            "rpo": self.rpo(row),
            "place": self.place(row),
            "verified": self.verified_shown(row),
            "rehearsed": self.rehearsed_shown(row),
            "same_schema": row.schema == evidence.schema_now() if row.schema else None,
            "checks": [
                backup_actions.check_details(check) for check in row.checks.all()[:SHOWN_CHECKS]
            ],
            "actions": backup_buttons(request, row),
            **_manifest(row),
        }

    def action_view(self, request: HttpRequest, verb: str, pk: int | None = None) -> HttpResponse:
        """Confirm, then queue the job for a worker."""
        backup = self.row_or_404(request, str(pk)) if pk is not None else None
        return action_view(request, verb, backup, opts=self.opts)

    @admin.display(description="age", ordering="-taken_at")
    def age(self, backup: Backup) -> str:
        """Return the age of its data."""
        return words.age(backup.taken_at)

    @admin.display(description="size", ordering="bytes")
    def size(self, backup: Backup) -> str:
        """Return the size of its dump."""
        return words.size(backup.bytes)

    @admin.display(description="verified")
    def verified_shown(self, backup: Backup) -> SafeString:
        """Return the newest verification verdict."""
        return _verdict(backup.verified)  # type: ignore[attr-defined]

    @admin.display(description="rehearsed")
    def rehearsed_shown(self, backup: Backup) -> SafeString:
        """Return the newest rehearsal verdict."""
        return _verdict(backup.rehearsed)  # type: ignore[attr-defined]

    @admin.display(description="RTO")
    def rto(self, backup: Backup) -> str:
        """Return the restore time; other backup systems may report none."""
        return words.duration(backup.rto_seconds or None)  # type: ignore[attr-defined]

    @admin.display(description="RPO")
    def rpo(self, backup: Backup) -> str:
        """Return the age of its data at the rehearsal."""
        return words.duration(backup.rpo_seconds)  # type: ignore[attr-defined]

    @admin.display(description="place")
    def place(self, backup: Backup) -> str:
        if backup.removed_at:
            return "removed"
        if backup.origin != "own":
            return "in the external system"
        return "in the folder" if evidence.in_place(backup) else "missing"


def _verdict(passed: bool | None) -> SafeString:
    name, word = _VERDICTS[passed]
    return format_html('<span class="sn-state sn-verdict-{}">{}</span>', name, word)


def _manifest(backup: Backup) -> dict[str, Any]:
    """Return the manifest's tables and stages; none if it is removed, not ours, or not trusted."""
    if backup.origin != "own" or backup.removed_at:
        return {}
    with suppress(BackupError):
        contents = keeping.described(backup.name).contents
        return {
            "tables": list(contents.tables.items())[:SHOWN_TABLES],
            "tables_total": len(contents.tables),
            "stages": [
                (label, facts, facts.counts[:SHOWN_VALUES])
                for label, facts in contents.stages.items()
            ],
            "audit": list(contents.audit.items()),
        }
    return {"unread": True}
