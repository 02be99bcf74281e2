"""The dashboard on the start page: one panel per question that operators ask first."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from stageapp import conf
from stageapp.admin.charts import bars
from stageapp.audit import proof
from stageapp.audit.proof import Proof, Remedy
from stageapp.backups import evidence
from stageapp.infrastructure import words
from stageapp.mode import store
from stageapp.models.mode import ModeChange
from stageapp.models.normalization import ACTIVE, Run, State
from stageapp.models.proofs import VerificationJob
from stageapp.models.unknowns import DriftCheck, UnknownEntry
from stageapp.models.vocabulary import Stage, StageAlias, VocabularyVersion
from stageapp.normalization import drain
from stageapp.normalization.plan import outdated
from stageapp.normalization.progress import progress
from stageapp.rollout.outlook import outlook
from stageapp.traffic import windows
from stageapp.unknowns.examples import first_example, visible_example
from stageapp.unknowns.queue import TRAFFIC_DAYS, queue

# What to do next: one sentence and one link, from what the dashboard knows. Advice only; it decides
# nothing.
#
# It looks at the run at work, the plan that waits, the proof of every target (its run, its
# verification, drift), the gates and the unknown queue, in this order; a state alone says nothing
# of the rows.

User = AbstractUser | AnonymousUser


@dataclass(frozen=True)
class Step:
    """A next step, and the page where it is done."""

    text: str
    label: str
    url: str


def find(user: User, panels: Mapping[str, Any]) -> Step | None:
    """Return this user's next step, None if the user sees too little."""
    if "mode" not in panels or "run" not in panels:
        return None
    run: Run | None = panels["run"]["run"]
    proofs = [proof.of_target(label) for label in conf.targets()]
    if step := _about_work(run, proofs) or _about_plan(run, proofs, panels.get("backups"), user):
        return step
    if doubtful := next((one for one in proofs if not one.stands), None):
        return _about_proof(doubtful, user)
    return _about_mode(panels, user)


def _about_work(run: Run | None, proofs: list[Proof]) -> Step | None:
    """Return the step for an active, paused or failed run, or an active verification."""
    begun = [one.run for one in proofs if one.run is not None]
    for each in [*([run] if run is not None else []), *begun]:
        url = reverse("admin:stageapp_run_change", args=[each.pk])
        if each.state in ACTIVE:
            return Step(f"Run {each.pk} is {each.stands}.", "Watch it", url)
        if each.state == State.PAUSED:
            return Step(f"Run {each.pk} is paused. Resume it, or roll it back.", "Decide", url)
        if each.state == State.FAILED:
            text = f"Run {each.pk} has failed; its checkpoint is kept."
            return Step(text, "See what happened", url)
    job = VerificationJob.objects.filter(state__in=VerificationJob.ACTIVE).first()
    if job is None:
        return None
    url = reverse("admin:stageapp_run_change", args=[job.run_id])
    return Step(f"Run {job.run_id} is being verified.", "Watch it", url)


def _about_plan(
    run: Run | None, proofs: list[Proof], backups: Mapping[str, Any] | None, user: User
) -> Step | None:
    """Return what an unstarted plan waits for; None if the plan would change nothing."""
    if run is None or run.state not in (State.PLANNED, State.APPROVED):
        return None
    stands = any(one.target == run.target and one.stands for one in proofs)
    if stands and not run.plan.rows_to_change:
        return None
    if why := outdated(run.plan):
        return _plan_again(f"The plan of run {run.pk} is out of date: {why}", user)
    url = reverse("admin:stageapp_run_change", args=[run.pk])
    waits = Step(
        f"Run {run.pk} is {run.state} and has changed nothing yet.", "Review and start", url
    )
    return _about_backup(backups, user) or waits


def _about_backup(backups: Mapping[str, Any] | None, user: User) -> Step | None:
    """Return the step for a missing backup or rehearsal that a run waits for."""
    if not backups or not backups["required"] or not user.has_perm("stageapp.manage_backups"):
        return None
    url = reverse("admin:stageapp_backup_changelist")
    if not backups["fresh"]:
        had = (
            f"the newest verified backup is {backups['age']} old"
            if backups["verified"]
            else "no backup is verified"
        )
        return Step(
            f"The plan cannot start yet: a run requires a recent verified backup, and {had}.",
            "Create a backup",
            url,
        )
    if not backups["rehearsed"]:
        return Step(
            "The plan cannot start yet: no restore has been rehearsed with the current schema.",
            "Rehearse the backup",
            url,
        )
    return None


def _plan_again(text: str, user: User, label: str = "Plan again") -> Step | None:
    if not user.has_perm("stageapp.plan_run"):
        return None
    return Step(text, label, reverse("admin:stageapp_plan_make"))


def _about_proof(known: Proof, user: User) -> Step | None:
    """Return the step that settles the first doubt about a target's rows."""
    doubt, run = known.doubts[0], known.run
    if run is None:
        text = (
            "There is no current plan. Make one to see which spellings are stored and what a "
            "run would change."
        )
        return _plan_again(text, user, "Make a plan")
    # With known spellings left a new verification would only say so again.
    plan = next((one for one in known.doubts if one.remedy == Remedy.PLAN), None)
    if plan is not None and doubt.remedy != Remedy.UNDERSTAND:
        return _plan_again(plan.text, user)
    if doubt.remedy == Remedy.WATCH:
        return Step(
            doubt.text, "View the drift check", reverse("admin:stageapp_driftcheck_changelist")
        )
    if doubt.remedy == Remedy.QUARANTINE:
        url = f"{reverse('admin:stageapp_quarantinedrow_changelist')}?run={run.pk}"
        return Step(doubt.text, "View the rows", url)
    label = "Verify" if doubt.remedy == Remedy.VERIFY else "View the run"
    return Step(doubt.text, label, reverse("admin:stageapp_run_change", args=[run.pk]))


def _about_mode(panels: Mapping[str, Any], user: User) -> Step | None:
    """Return the next rollout step or what holds it back; at the end, what is still undecided."""
    unknowns, waiting = panels.get("unknowns"), None
    if unknowns and unknowns["open"] and user.has_perm("stageapp.curate_vocabulary"):
        values = words.count(unknowns["open"], "unknown value is", "unknown values are")
        queue_page = reverse("admin:stageapp_unknownentry_changelist")
        waiting = Step(f"{values} waiting for a decision.", "Decide", queue_page)
    if not user.has_perm("stageapp.change_mode"):
        return waiting
    now = outlook()
    step = now.step
    if step is None or not step.mode:
        return waiting
    rollout = reverse("admin:stageapp_rollout")
    if now.latched:
        text = "The mode was lowered automatically. Find out why before anyone raises it again."
        return Step(text, "View the rollout", rollout)
    if step.holding:
        if waiting is not None and any(gate.name == "warn_exit" for gate in step.holding):
            return waiting
        gate = step.holding[0]
        why = gate.deciding.why or f"{gate.deciding.shown}; needed {gate.deciding.threshold}"
        what = "Warning callers" if step.mode == "warn" else f"Enforcing at {step.percent} %"
        text = f"{what} is blocked by the gate “{gate.title}”: {why}."
        return Step(text, "View the rollout", rollout)
    url = preview_url(step.mode, step.percent)
    if step.mode == "warn":
        text = "The stored rows are normalized. Callers are not warned yet."
        return Step(text, "Preview warn", url)
    if now.state.mode == "warn":
        text = (
            "The stored rows are normalized and callers are warned. Preview what "
            "enforcement would mean for a small share of them."
        )
        return Step(text, f"Preview enforce at {step.percent} %", url)
    text = f"Enforced for {now.state.percent} % of consumers."
    return Step(text, f"Preview {step.percent} %", url)


def preview_url(mode: str, percent: int) -> str:
    """Return the page that previews a change of the mode."""
    chosen = {"mode": mode, "percent": percent} if mode == "enforce" else {"mode": mode}
    return f"{reverse('admin:stageapp_modechange_preview')}?{urlencode(chosen)}"


SHOWN_UNKNOWNS = 5
SHOWN_DRIFT = 5


def panels(request: HttpRequest) -> dict[str, Any]:
    """Return the panels that this user may see, and the user's next step."""
    shown: dict[str, Any] = {}

    def sees(model: str) -> bool:
        return request.user.has_perm(f"stageapp.view_{model}")

    if sees("modechange"):
        shown["mode"] = {"state": store.latest(), "change": ModeChange.objects.first()}
    if sees("trafficwindow"):
        arrived = windows.summary()
        shown["traffic"] = {"total": arrived.total, "bars": bars(arrived.outcomes)}
    if sees("run"):
        run = Run.objects.select_related("plan").first()
        at = progress(run) if run else None
        shown["run"] = {"run": run, "progress": at, "drain": drain.newest()}
    if sees("unknownentry"):
        shown["unknowns"] = {
            "days": TRAFFIC_DAYS,
            "open": UnknownEntry.objects.in_state("open").count(),
            "first": [(entry, first_example(entry)) for entry in queue("open")[:SHOWN_UNKNOWNS]],
        }
    if sees("driftcheck"):
        shown["drift"] = _drift()
    if sees("backup"):
        # The newest verified backup and whether it is too old for a run.
        backups, hours = evidence.read(), conf.gates().backup_hours
        fresh = (
            backups.taken_at is not None
            and timezone.now() - backups.taken_at <= datetime.timedelta(hours=hours)
        )
        shown["backups"] = {
            "verified": backups.verified,
            "age": words.age(backups.taken_at) if backups.taken_at else "",
            "fresh": fresh,
            "hours": hours,
            "required": conf.settings.require_backup,
            "rehearsed": backups.rehearsed,
            "rehearsed_age": words.age(backups.rehearsed_at) if backups.rehearsed_at else "",
            "schema_changed": backups.schema_changed,
            "rto": words.duration(backups.rto_seconds or None),
        }
    if sees("vocabularyversion"):
        shown["vocabulary"] = {
            "version": VocabularyVersion.objects.defer("snapshot", "diff").first(),
            "stages": Stage.objects.filter(active=True).count(),
            "aliases": StageAlias.objects.count(),
        }
    return {"panels": shown, "step": find(request.user, shown)}


def _drift() -> dict[str, Any]:
    """Return each target's newest drift check, and valid runs whose target has none."""
    checks = list(DriftCheck.objects.all())
    looked_at = {check.target for check in checks}
    waiting = [label for label in conf.targets() if label not in looked_at]
    return {
        "checks": [{"check": each, "values": drifted(each)[:SHOWN_DRIFT]} for each in checks],
        "unseen": [run for label in waiting if (run := proof.standing_run(label)) is not None],
        "period": words.duration(conf.DRIFT_SECONDS),
    }


def drifted(check: DriftCheck) -> list[dict[str, Any]]:
    """Return the values that reappeared in a normalized column, in readable form."""
    return [
        {**spelling, "value": visible_example(spelling["value"])} for spelling in check.spellings
    ]
