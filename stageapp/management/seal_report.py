"""Seals as lines for a terminal and as JSON documents, and how a target stands in short."""

from typing import Any

from stageapp import conf
from stageapp.management.guard_report import guard_lines
from stageapp.normalization import guard, seal_state
from stageapp.normalization.seal_state import SealState


def seal_document(now: SealState) -> dict[str, Any]:
    """Return a target's seal for JSON."""
    seal = now.seal or now.begun
    return {
        "target": now.target,
        "state": now.state,
        "vocabulary_version": seal.vocabulary_version if seal else None,
        "newest_version": now.newest_version,
        "stages": seal.stages if seal else [],
        "allowed": seal.allowed if seal else [],
        "null": seal.nulls if seal else None,
        "stages_added_since": list(now.added),
        "stages_retired_since": list(now.retired),
        "constraints": list(now.constraints),
        "actor": seal.actor if seal else None,
        "reason": seal.reason if seal else None,
        "since": seal.created_at if seal else None,
    }


def seal_lines(now: SealState) -> list[str]:
    """Return a target's seal for a terminal."""
    lines = [f"{now.target}: {now.meaning}."]
    if seal := now.seal or now.begun:
        null = "NULL passes" if seal.nulls else "NULL does not pass"
        lines.append(f"Of vocabulary version {seal.vocabulary_version}: {', '.join(seal.stages)}; {null}.")
        if seal.allowed:
            lines.append(f"Allowed beside them: {', '.join(repr(value) for value in seal.allowed)}.")
        lines.append(f"By {seal.actor} at {seal.created_at:%Y-%m-%d %H:%M} UTC: {seal.reason}")
    if now.behind:
        changes = [f"has {stage}, which the seal refuses" for stage in now.added]
        changes += [f"has retired {stage}, which the seal lets pass" for stage in now.retired]
        lines.append(f"Vocabulary version {now.newest_version} {'; '.join(changes)}. Seal again to follow it.")
    return lines


def standing_lines(label: str) -> list[str]:
    """Return what `status` says of a target's seal and guard; nothing where there is neither."""
    if label not in conf.targets():
        return []
    now, guarded = seal_state.look(label), guard.look(label)
    lines = seal_lines(now) if now.state != "open" else []
    return [*lines, *(guard_lines(guarded) if guarded.state != "off" else [])]


def standing_document(label: str) -> dict[str, Any]:
    """Return the same for JSON; nothing of a target that is not configured any more."""
    if label not in conf.targets():
        return {}
    return {"seal": seal_state.look(label).state, "guard": guard.look(label).state}
