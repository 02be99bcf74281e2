"""The dashboard on the first page: one panel for each thing an operator asks about first."""

import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from stageapp import conf, modes, thresholds, traffic, words
from stageapp.admin import next_step
from stageapp.admin.bars import bars
from stageapp.admin.raw_text import first_example, visible_example
from stageapp.backups import evidence
from stageapp.models.drift import DriftCheck
from stageapp.models.modes import ModeChange
from stageapp.models.normalization import Run
from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import Stage, StageAlias, VocabularyVersion
from stageapp.normalization import drain, proof
from stageapp.normalization.progress import progress
from stageapp.unknowns.queue import queue

SHOWN_UNKNOWNS = 5
SHOWN_DRIFT = 5


def panels(request: HttpRequest) -> dict[str, Any]:
    """Return the panels that this user may see."""
    shown = {
        name: build() for name, (model, build) in _PANELS.items() if request.user.has_perm(f"stageapp.view_{model}")
    }
    return {"panels": shown, "step": next_step.find(request.user, shown)}


def _mode() -> dict[str, Any]:
    return {"state": modes.latest(), "change": ModeChange.objects.first()}


def _traffic() -> dict[str, Any]:
    arrived = traffic.summary()
    return {"total": arrived.total, "bars": bars(arrived.outcomes)}


def _run() -> dict[str, Any]:
    run = Run.objects.select_related("plan").first()
    return {"run": run, "progress": progress(run) if run else None, "drain": drain.newest()}


def _vocabulary() -> dict[str, Any]:
    return {
        "version": VocabularyVersion.objects.defer("snapshot", "diff").first(),
        "stages": Stage.objects.filter(active=True).count(),
        "aliases": StageAlias.objects.count(),
    }


def _unknowns() -> dict[str, Any]:
    return {
        "open": UnknownEntry.objects.in_state("open").count(),
        "first": [(entry, first_example(entry)) for entry in queue("open")[:SHOWN_UNKNOWNS]],
    }


def _backups() -> dict[str, Any]:
    """Return the newest verified backup, and whether it is too old for a run."""
    found, hours = evidence.read(), thresholds.gates().backup_hours
    fresh = found.taken_at is not None and timezone.now() - found.taken_at <= datetime.timedelta(hours=hours)
    return {
        "verified": found.verified, "age": words.age(found.taken_at) if found.taken_at else "", "fresh": fresh,
        "hours": hours, "required": conf.backup_required(), "rehearsed": found.rehearsed,
        "rehearsed_age": words.age(found.rehearsed_at) if found.rehearsed_at else "",
        "schema_changed": found.schema_changed, "rto": words.duration(found.rto_seconds or None),
    }  # fmt: skip


def _drift() -> dict[str, Any]:
    """Return the newest look at each target, and the runs that stand without one."""
    checks = list(DriftCheck.objects.all())
    looked_at = {check.target for check in checks}
    waiting = [label for label in conf.targets() if label not in looked_at]
    return {
        "checks": [{"check": each, "values": drifted(each)[:SHOWN_DRIFT]} for each in checks],
        "unseen": [run for label in waiting if (run := proof.standing_run(label)) is not None],
        "period": words.duration(conf.drift_seconds()),
    }


def drifted(check: DriftCheck) -> list[dict[str, Any]]:
    """Return the values that came back into a normalized column, as a person reads them."""
    return [{**found, "value": visible_example(found["value"])} for found in check.spellings]


# Panel → the model whose view permission opens it, and what builds it.
_PANELS = {
    "mode": ("modechange", _mode),
    "traffic": ("trafficwindow", _traffic),
    "run": ("run", _run),
    "unknowns": ("unknownentry", _unknowns),
    "drift": ("driftcheck", _drift),
    "backups": ("backup", _backups),
    "vocabulary": ("vocabularyversion", _vocabulary),
}
