"""What workers do with backups: how far, how fast, and what to do where it failed."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from stageapp import words
from stageapp.admin import backup_words
from stageapp.admin.backup_checks import found
from stageapp.admin.screens import BoundedAdmin, PageAdmin
from stageapp.admin.site import site
from stageapp.backups.progress import PHASES, JobProgress, progress
from stageapp.models.backups import Backup, BackupCheck, BackupJob


@admin.register(BackupJob, site=site)
class BackupJobAdmin(PageAdmin, BoundedAdmin):
    """The queue of jobs with backups."""

    page_template = "backup_job.html"
    list_display = ["id", "verb", "name", "state", "actor", "reason", "created_at", "ended_at"]
    list_filter = ["state", "verb"]
    search_fields = ["name", "actor"]
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        """Add the fragments that move: of one job, and of all that are active."""
        return [
            path("live/", never_cache(self.live_view), name="stageapp_backupjob_live"),
            path("<int:pk>/live/", never_cache(self.live_view), name="stageapp_backupjob_one_live"),
            *super().get_urls(),
        ]

    def page_context(self, request: HttpRequest, row: BackupJob) -> dict[str, Any]:
        """Return the job, what it found, and what to do."""
        checks = BackupCheck.objects.filter(
            name=row.name, created_at__gte=row.created_at, created_at__lte=row.ended_at or row.created_at
        )
        return {
            "title": f"Job {row.pk}: {row.get_verb_display()} {row.name}".strip(),
            "live": live([row]), "one": row, "backup": Backup.objects.filter(name=row.name).first(),
            "checks": [found(check) for check in checks],
        }  # fmt: skip

    @method_decorator(require_GET)
    def live_view(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Answer with the part of the page that moves; a session that has expired is answered 403, not the login."""
        if not self.admin_site.has_permission(request) or not self.has_view_permission(request):
            raise PermissionDenied
        one = self.found(request, str(pk)) if pk else None
        shown = [one] if one else list(active())
        answer = TemplateResponse(request, "admin/stageapp/backup_live.html", {"live": live(shown), "one": one})
        if not any(job.state in BackupJob.ACTIVE for job in shown):
            answer["HX-Refresh"] = "true"  # all has come to rest: verdicts and lists are worth a new look
        return answer


def active() -> QuerySet[BackupJob]:
    """Return the jobs that wait or are under way, oldest first."""
    return BackupJob.objects.filter(state__in=BackupJob.ACTIVE).order_by("id")


def last_failure() -> dict[str, Any] | None:
    """Return the newest job if it failed, with what to do."""
    newest = BackupJob.objects.exclude(state__in=BackupJob.ACTIVE).first()
    return _row(newest) if newest is not None and newest.state == "failed" else None


def live(shown: list[BackupJob]) -> dict[str, Any]:
    """Return what the moving part of a page shows."""
    return {"jobs": [_row(job) for job in shown], "active": any(job.state in BackupJob.ACTIVE for job in shown)}


def _row(job: BackupJob) -> dict[str, Any]:
    at = progress(job)
    took = (job.ended_at - job.created_at).total_seconds() if job.ended_at else None
    return {
        "job": job, "at": at, "phase": PHASES.get(at.phase, at.phase), "took": words.duration(took),
        "done": _amount(at, at.done), "whole": _amount(at, at.whole), "rate": _amount(at, at.rate) if at.rate else "",
        "left": words.duration(at.eta_seconds) if at.eta_seconds is not None else "",
        "todo": backup_words.after_failure(job.verb) if job.state == "failed" else "",
    }  # fmt: skip


def _amount(at: JobProgress, count: float) -> str:
    return words.size(count) if at.in_bytes else f"{count:,.0f} tables"
