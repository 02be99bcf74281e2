"""What a person may do with backups: one table, from which buttons and confirm pages come. Workers do it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from stageapp import conf
from stageapp.admin.confirm import confirmed
from stageapp.admin.screens import actor, require
from stageapp.backups import jobs
from stageapp.backups.errors import BackupError
from stageapp.models.backups import Backup
from stageapp.tasks import work_on_backup

PERMISSION = "manage_backups"
_ASKED = "Asked for. A worker takes it up within seconds; how far it is stands here."


@dataclass(frozen=True)
class Action:
    """One button. `refusal` says why it cannot be done now, for a backup or (None) for all; empty if it can."""

    label: str
    explanation: str
    one: bool = False  # of a single backup
    danger: bool = False
    refusal: Callable[[Backup | None], str] = lambda backup: ""


def _own_alone(backup: Backup | None) -> str:
    return "Another backup system makes the backups: remove them by its own means." if conf.backup_adapter() else ""


def _still_there(backup: Backup | None) -> str:
    return "This backup was removed." if backup and backup.removed_at else ""


ACTIONS: dict[str, Action] = {
    "create": Action(
        "Create a backup",
        "A worker takes one snapshot of the database and writes it with a signed manifest. The database is read, and "
        "nothing waits for it. It counts once it is verified.",
    ),
    "verify": Action(
        "Verify", "A worker reads the whole backup and holds it against its signed manifest. Nothing changes.", True,
        refusal=_still_there,
    ),
    "rehearse": Action(
        "Rehearse", "A worker restores the backup into a database made for it, compares every table with the manifest, "
        "and drops that database again. It needs as much space as the database, for so long. The live database is not "
        "touched.", True, refusal=_still_there,
    ),
    "record": Action(
        "Take others on record", "A worker looks for backups that no record tells of, and records those that can be "
        "believed. None of them counts before it is verified.",
    ),
    "prune": Action(
        "Remove old backups", "A worker verifies the newest good backup once more, and removes all but the newest ones "
        "(STAGE_BACKUP_KEEP); the last one that verifies always stays. What is removed cannot be brought back.",
        danger=True, refusal=_own_alone,
    ),
}  # fmt: skip


def offered(request: HttpRequest, backup: Backup | None = None) -> list[dict[str, Any]]:
    """Return the buttons for this user: those of one backup, or those of all."""
    if not request.user.has_perm(f"stageapp.{PERMISSION}"):
        return []
    fitting = [(verb, action) for verb, action in ACTIONS.items() if action.one == (backup is not None)]
    return [
        {"label": action.label, "danger": action.danger, "url": address(verb, backup)}
        for verb, action in fitting
        if not action.refusal(backup)
    ]


def address(verb: str, backup: Backup | None = None) -> str:
    """Return where an action is confirmed."""
    return reverse(f"admin:stageapp_backup_{verb}", args=[backup.pk] if backup else [])


def action_view(request: HttpRequest, verb: str, backup: Backup | None, **context: Any) -> HttpResponse:
    """Confirm, then ask a worker for it."""
    require(request, PERMISSION)
    action = ACTIONS[verb]
    back = _back(request, backup)
    if refusal := action.refusal(backup):
        messages.error(request, refusal)
        return HttpResponseRedirect(back)
    return confirmed(
        request,
        partial(_ask, verb, backup.name if backup else "", actor(request)),
        refusals=BackupError,
        back=back,
        done=_ASKED,
        title=f"{action.label}: {backup.name}" if backup else action.label,
        explanation=action.explanation,
        verb=action.label,
        danger=action.danger,
        **context,
    )


def _back(request: HttpRequest, backup: Backup | None) -> str:
    if not request.user.has_perm("stageapp.view_backup"):
        return reverse("admin:index")
    if backup:
        return reverse("admin:stageapp_backup_change", args=[backup.pk])
    return reverse("admin:stageapp_backup_changelist")


def _ask(verb: str, name: str, who: str, reason: str) -> None:
    job = jobs.request(verb, name, actor=who, reason=reason)
    # Robust: with the broker away the job waits in its row, and beat finds it.
    transaction.on_commit(lambda: work_on_backup.delay(job.pk), robust=True)
