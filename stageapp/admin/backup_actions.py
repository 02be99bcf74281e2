"""Backup actions: one table that yields buttons and confirm pages. Workers do the work."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRefresh

from stageapp import conf
from stageapp.admin.actions import Action, buttons
from stageapp.admin.screens import BoundedAdmin, PageAdmin
from stageapp.admin.site import site
from stageapp.backups import jobs
from stageapp.backups.errors import BackupError
from stageapp.backups.progress import PHASES, PhaseProgress, progress
from stageapp.infrastructure import words
from stageapp.models.backups import Backup, BackupCheck, BackupJob
from stageapp.people import Person
from stageapp.tasks import work_on_backup

PERMISSION = "manage_backups"
_ASKED = "Requested. A worker picks it up within seconds; progress appears here."


def _ask_worker(
    verb: str,
    label: str,
    explanation: str,
    refusal: Callable[[Backup | None, str], str] = lambda backup, name: "",
    *,
    danger: bool = False,
) -> Action[Backup | None]:
    """Return the action that asks a worker for a job, on one backup or (None) on all."""

    def ask(backup: Backup | None, person: Person, reason: str) -> None:
        job = jobs.request(verb, backup.name if backup else "", actor=person.name, reason=reason)
        # Robust: with the broker away the job waits in its row, and beat finds it.
        transaction.on_commit(lambda: work_on_backup.delay(job.pk), robust=True)

    return Action(label, PERMISSION, ask, explanation, _ASKED, BackupError, refusal, danger=danger)


def _still_there(backup: Backup | None, name: str) -> str:
    return "This backup was removed." if backup and backup.removed_at else ""


ACTIONS: dict[str, Action[Backup | None]] = {
    "create": _ask_worker(
        "create",
        "Create a backup",
        "A worker takes one snapshot of the database and writes it with a signed "
        "manifest. It only reads the database and blocks nothing. The backup counts once "
        "it is verified.",
    ),
    "verify": _ask_worker(
        "verify",
        "Verify",
        "A worker reads the whole backup and checks it against its signed manifest. "
        "Nothing changes.",
        _still_there,
    ),
    "rehearse": _ask_worker(
        "rehearse",
        "Rehearse",
        "A worker restores the backup into a temporary database, compares every table "
        "with the manifest, and drops that database again. Meanwhile it needs as much "
        "disk space as the database itself. The live database is not touched.",
        _still_there,
    ),
    "record": _ask_worker(
        "record",
        "Import existing backups",
        "A worker looks for existing backups that are not recorded yet, and records "
        "those with a valid manifest. None of them counts until it is verified.",
    ),
    "prune": _ask_worker(
        "prune",
        "Remove old backups",
        "A worker verifies the newest good backup once more and removes all but the "
        "newest ones (STAGE_BACKUP_KEEP); the last one that verifies is always kept. "
        "Removed backups cannot be recovered.",
        danger=True,
        refusal=lambda backup, name: (
            "Backups are made by an external backup system: remove them there."
            if conf.settings.backup_adapter
            else ""
        ),
    ),
}


OF_ONE = ("verify", "rehearse")  # the others are about all backups


def backup_buttons(request: HttpRequest, backup: Backup | None = None) -> list[dict[str, Any]]:
    """Return the buttons of one backup, or those of all."""
    fitting = {
        verb: action for verb, action in ACTIONS.items() if (verb in OF_ONE) == (backup is not None)
    }
    return buttons(request, fitting, backup, lambda verb: address(verb, backup))


def address(verb: str, backup: Backup | None = None) -> str:
    """Return the URL of an action's confirm page."""
    return reverse(f"admin:stageapp_backup_{verb}", args=[backup.pk] if backup else [])


def action_view(
    request: HttpRequest, verb: str, backup: Backup | None, **context: Any
) -> HttpResponse:
    action = ACTIONS[verb]
    if not request.user.has_perm("stageapp.view_backup"):
        back = reverse("admin:index")
    elif backup:
        back = reverse("admin:stageapp_backup_change", args=[backup.pk])
    else:
        back = reverse("admin:stageapp_backup_changelist")
    title = f"{action.label}: {backup.name}" if backup else action.label
    return action.confirm(request, backup, back=back, title=title, **context)


# What the screens of backups say about what failed: what to do.

_OFTEN_DISK = "Make a new backup, verify it, and check the disk that holds this one."
_NOT_EQUAL = (
    "Do not rely on this backup: the restored data differs from the original. Make a new "
    "backup and rehearse it; if that fails too, check the live database's disks and "
    "PostgreSQL's log before doing anything else."
)

# Name of a check → what to do where it fails.
_REMEDIES = {
    "manifest": (
        "If STAGE_BACKUP_KEY was changed, append the old key after the new one. "
        "Otherwise somebody has written to the backup folder: find out who, and make a "
        "new backup."
    ),
    "size": _OFTEN_DISK,
    "sha256": _OFTEN_DISK,
    "listing": _OFTEN_DISK,
    "clock": ("Correct the clocks of this machine and of the database machine, then verify again."),
    "restore": (
        "Read the pg_restore error. Usually the disk of the rehearsal server is full or "
        "a privilege is missing; fix the cause and rehearse again."
    ),
    "batches": (
        "The audit log and the batches already disagreed in the live database: run "
        "`normalization verify` before anything else."
    ),
    "normalize_stage": (
        "The restored function maps aliases differently from the vocabulary. Run "
        "`migrate`, make a new backup, and rehearse that one."
    ),
    "adapter": "Reported by the external backup system; see its log for details.",
    **dict.fromkeys(
        ("tables", "rows", "md5", "stages", "audit", "vocabulary", "schema"), _NOT_EQUAL
    ),
}

# Verb of a job → what to do where it failed, whatever the cause.
_AFTER_FAILURE = {
    "create": "Nothing was kept. Fix the cause and create the backup again.",
    "verify": (
        "This backup does not count. The newest verified backup is still available; "
        "create another if it is too old."
    ),
    "rehearse": (
        "The rehearsal database was dropped, and the live database was not touched. Fix "
        "the cause and rehearse again."
    ),
    "scheduled": (
        "It is retried automatically in a few minutes. If it fails again, fix the cause."
    ),
    "prune": "Nothing was removed. Verify a backup that you want to keep, then prune again.",
    "record": "No backup was imported. Fix the cause and try again.",
}


def remedies(findings: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a check's findings, each failed one with its remedy."""
    return [
        {**one, "todo": "" if one["passed"] else _REMEDIES.get(one["check"], "")}
        for one in findings
    ]


def after_failure(verb: str) -> str:
    """Return what to do after a failed job of this verb."""
    return _AFTER_FAILURE[verb]


# Every verdict on a backup, with each thing that was looked at.


@admin.register(BackupCheck, site=site)
class BackupCheckAdmin(PageAdmin, BoundedAdmin):
    """The verdicts, newest first."""

    page_template = "backup_check.html"
    list_display = [
        "id",
        "kind",
        "name",
        "passed",
        "took",
        "data_age",
        "actor",
        "reason",
        "created_at",
    ]
    list_filter = ["kind", "passed"]
    search_fields = ["name__startswith", "actor"]
    sortable_by = ()

    @admin.display(description="took")
    def took(self, check: BackupCheck) -> str:
        """Return the duration; for a passed rehearsal this is the RTO."""
        return words.duration(check.seconds)

    @admin.display(description="age of the data")
    def data_age(self, check: BackupCheck) -> str:
        """Return the age of the data; for a rehearsal this is the RPO."""
        return words.duration(check.data_age_seconds)

    def page_context(self, request: HttpRequest, row: BackupCheck) -> dict[str, Any]:
        return {"title": f"{row.name}: {row.get_kind_display()}", **check_details(row)}


def check_details(check: BackupCheck) -> dict[str, Any]:
    """Return a verdict as its template shows it."""
    return {
        "check": check,
        "findings": remedies(check.findings),
        "took": words.duration(check.seconds),
        "data_age": words.duration(check.data_age_seconds),
    }


# What workers do with backups: how far, how fast, and what to do where it failed.


@admin.register(BackupJob, site=site)
class BackupJobAdmin(PageAdmin, BoundedAdmin):
    """The queue of backup jobs."""

    page_template = "backup_job.html"
    list_display = ["id", "verb", "name", "state", "actor", "reason", "created_at", "ended_at"]
    list_filter = ["state", "verb"]
    search_fields = ["name", "actor"]
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        """Add the live fragments: one job, and all active jobs."""
        return [
            path("live/", never_cache(self.live_view), name="stageapp_backupjob_live"),
            path("<int:pk>/live/", never_cache(self.live_view), name="stageapp_backupjob_one_live"),
            *super().get_urls(),
        ]

    def page_context(self, request: HttpRequest, row: BackupJob) -> dict[str, Any]:
        """Return the job, its findings, and what to do."""
        checks = BackupCheck.objects.filter(
            name=row.name,
            created_at__gte=row.created_at,
            created_at__lte=row.ended_at or row.created_at,
        )
        return {
            "title": f"Job {row.pk}: {row.get_verb_display()} {row.name}".strip(),
            "live": live([row]),
            "one": row,
            "backup": Backup.objects.filter(name=row.name).first(),
            "checks": [check_details(check) for check in checks],
        }

    @method_decorator(require_GET)
    def live_view(self, request: HttpRequest, pk: int | None = None) -> HttpResponse:
        """Return the live fragment; an expired session gets 403 instead of the login page."""
        if not self.admin_site.has_permission(request) or not self.has_view_permission(request):
            raise PermissionDenied
        one = self.row_or_404(request, str(pk)) if pk else None
        shown = [one] if one else list(active())
        if not any(job.state in BackupJob.ACTIVE for job in shown):
            return HttpResponseClientRefresh()  # all have come to rest: verdicts and lists changed
        return TemplateResponse(
            request, "admin/stageapp/backup_live.html", {"live": live(shown), "one": one}
        )


def active() -> QuerySet[BackupJob]:
    """Return waiting and running jobs, oldest first."""
    return BackupJob.objects.filter(state__in=BackupJob.ACTIVE).order_by("id")


def last_failure() -> dict[str, Any] | None:
    """Return the newest finished job if it failed, with what to do."""
    newest = BackupJob.objects.exclude(state__in=BackupJob.ACTIVE).first()
    return _row(newest) if newest is not None and newest.state == "failed" else None


def live(shown: list[BackupJob]) -> dict[str, Any]:
    """Return the context of the live fragment."""
    return {
        "jobs": [_row(job) for job in shown],
        "active": any(job.state in BackupJob.ACTIVE for job in shown),
    }


def _row(job: BackupJob) -> dict[str, Any]:
    at = progress(job)
    took = (job.ended_at - job.created_at).total_seconds() if job.ended_at else None
    return {
        "job": job,
        "at": at,
        "phase": PHASES.get(at.phase, at.phase),
        "took": words.duration(took),
        "done": _amount(at, at.done),
        "whole": _amount(at, at.whole),
        "rate": _amount(at, at.rate) if at.rate else "",
        "left": words.duration(at.eta_seconds) if at.eta_seconds is not None else "",
        "todo": after_failure(job.verb) if job.state == "failed" else "",
    }


def _amount(at: PhaseProgress, count: float) -> str:
    return words.size(count) if at.in_bytes else f"{count:,.0f} tables"
