"""Require a verified, recent backup and a rehearsed restore before a run."""

from django.utils import timezone

from stageapp import conf
from stageapp.infrastructure import events
from stageapp.mode.history import ModeHistory
from stageapp.models.normalization import Run
from stageapp.rollout.gates import readiness
from stageapp.rollout.gates.judging import backup_fact
from stageapp.rollout.gates.measures import Measurements
from stageapp.rollout.gates.verdicts import Gate
from stageapp.targets.errors import BackupNeeded


def require_gates(run: Run, *, actor: str, override: str = "") -> str:
    """Hold that the run may start; return what its history has to say of it, empty where all is
    well.

    `override` is the written reason of somebody who may go past gates.

    Raises:
        BackupNeeded: a gate does not pass, and nobody has overridden it.
    """
    closed = [gate for gate in gates() if not gate.passes] if conf.settings.require_backup else []
    if not closed:
        return ""
    if not override.strip():
        closed_gates = [(gate.name, gate.deciding) for gate in closed]
        lines = [f"  {name}: {it.said}; needed: {it.threshold}" for name, it in closed_gates]
        raise BackupNeeded(
            "\n".join(
                [
                    "A run rewrites stored rows, and does not start without a way back:",
                    *lines,
                    "In an emergency, someone who may override gates can start it: "
                    "`normalization run --override-gates REASON`.",
                ]
            )
        )
    names = [gate.name for gate in closed]
    events.run_without_backup(run=run.pk, actor=actor, gates=names, reason=override)
    return f"OVERRIDE of {', '.join(names)}: {override.strip()}"


def gates() -> list[Gate]:
    """Return the current gates for starting a run."""
    measured = Measurements(now=timezone.now(), mode=ModeHistory(), backup=backup_fact())
    wanted = conf.gates()
    return [readiness.verified_backup(measured, wanted), readiness.rehearsal(measured, wanted)]
