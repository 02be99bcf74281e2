"""What to do next: one sentence and one link, from what the dashboard knows. Advice only; it decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.urls import reverse

from stageapp.models.normalization import ACTIVE, Run, State
from stageapp.modes import ModeState


@dataclass(frozen=True)
class Step:
    """One thing to do, and the page where it is done."""

    text: str
    label: str
    url: str


def find(user: AbstractUser | AnonymousUser, panels: Mapping[str, Any]) -> Step | None:
    """Return what this user might do next, or None where the user sees too little to be told."""
    if "mode" not in panels or "run" not in panels:
        return None
    run: Run | None = panels["run"]["run"]
    waits = run is not None and run.state in (State.PLANNED, State.APPROVED)
    return (
        (_about_backup(panels.get("backups"), user) if waits else None)
        or _about_run(run, user)
        or _about_mode(panels["mode"]["state"], user)
    )


def _about_backup(found: Mapping[str, Any] | None, user: AbstractUser | AnonymousUser) -> Step | None:
    """Return the backup or the rehearsal that a run waits for."""
    if not found or not found["required"] or not user.has_perm("stageapp.manage_backups"):
        return None
    url = reverse("admin:stageapp_backup_changelist")
    if not found["fresh"]:
        had = f"the newest verified backup is {found['age']} old" if found["verified"] else "no backup is verified"
        return Step(f"The plan waits for a way back: {had}, and a run asks for one.", "Create a backup", url)
    if not found["rehearsed"]:
        return Step("The plan waits for a rehearsed restore with today’s schema.", "Rehearse the backup", url)
    return None


def _about_run(run: Run | None, user: AbstractUser | AnonymousUser) -> Step | None:
    if run is not None and run.state not in (State.CANCELLED, State.ROLLED_BACK):
        return _about_state(run)
    if not user.has_perm("stageapp.plan_run"):
        return None
    text = "No plan stands. Make one to see which spellings are stored and what a run would change."
    return Step(text, "Make a plan", reverse("admin:stageapp_plan_make"))


def _about_state(run: Run) -> Step | None:
    url = reverse("admin:stageapp_run_change", args=[run.pk])
    if run.state in (State.PLANNED, State.APPROVED):
        return Step(f"Run {run.pk} is {run.state} and has changed nothing yet.", "Look at it and start", url)
    if run.state in ACTIVE:
        return Step(f"Run {run.pk} is at work.", "Watch it", url)
    if run.state == State.PAUSED:
        return Step(f"Run {run.pk} is paused. Go on, or roll it back.", "Decide", url)
    if run.state == State.FAILED:
        return Step(f"Run {run.pk} has failed; its checkpoint stands.", "See what happened", url)
    return None


def _about_mode(state: ModeState, user: AbstractUser | AnonymousUser) -> Step | None:
    if not user.has_perm("stageapp.change_mode"):
        return None
    preview = reverse("admin:stageapp_modechange_preview")
    if state.mode == "off":
        return Step("The stored rows are normalized. Callers are not told yet.", "Preview warn", f"{preview}?mode=warn")
    if state.mode == "warn":
        text = "The stored rows are normalized and callers are warned. See what enforcing would mean for a few."
        return Step(text, "Preview enforce at 10 %", f"{preview}?mode=enforce&percent=10")
    if state.percent < 100:
        percent = 50 if state.percent < 50 else 100
        text = f"Enforced for {state.percent} % of consumers."
        return Step(text, f"Preview {percent} %", f"{preview}?mode=enforce&percent={percent}")
    return None
