"""Seals and guards as lines for a terminal and as JSON documents."""

from typing import Any

from stageapp import conf
from stageapp.sealing import guard, state
from stageapp.sealing.guard import GuardState
from stageapp.sealing.preview import DAYS, Preview
from stageapp.sealing.state import SealState

# Guards as lines for a terminal and as JSON documents.

_GUARD_SHOWN = 60  # values that a terminal gets; --json has more


def guard_document(now: GuardState) -> dict[str, Any]:
    turned, failed = guard.totals(now.target, days=DAYS)
    caught = guard.caught(now.target, days=DAYS, most=1000)
    change = now.change
    return {
        "target": now.target,
        "state": now.state,
        "days": DAYS,
        "turned": turned,
        "failed": failed,
        "actor": change.actor if change else None,
        "reason": change.reason if change else None,
        "since": change.created_at if change else None,
        "caught": [
            {
                "raw": c.raw,
                "stage": c.stage or None,
                "writer": c.writer,
                "problem": c.problem or None,
                "count": c.count,
            }
            for c in caught
        ],
    }


def guard_lines(now: GuardState) -> list[str]:
    turned, failed = guard.totals(now.target, days=DAYS)
    lines = [f"Guard of {now.target}: {now.meaning}."]
    if now.change:
        lines.append(
            f"By {now.change.actor} at {now.change.created_at:%Y-%m-%d %H:%M} UTC: "
            f"{now.change.reason}"
        )
    if turned or failed:
        lines.append(
            f"In {DAYS} days it turned {turned:,} values into stages and failed {failed:,} times:"
        )
    for one in guard.caught(now.target, days=DAYS, most=_GUARD_SHOWN):
        lines.append(
            f"{one.count:>12,}  {one.raw!r} → {one.stage or one.problem} (from {one.writer})"
        )
    return lines


def seal_document(now: SealState) -> dict[str, Any]:
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
    lines = [f"{now.target}: {now.meaning}."]
    if seal := now.seal or now.begun:
        null = "NULL passes" if seal.nulls else "NULL does not pass"
        lines.append(
            f"For vocabulary version {seal.vocabulary_version}: {', '.join(seal.stages)}; {null}."
        )
        if seal.allowed:
            lines.append(f"Also allowed: {', '.join(repr(value) for value in seal.allowed)}.")
        lines.append(f"By {seal.actor} at {seal.created_at:%Y-%m-%d %H:%M} UTC: {seal.reason}")
    if now.behind:
        changes = [f"has {stage}, which the seal refuses" for stage in now.added]
        changes += [f"has retired {stage}, which the seal still accepts" for stage in now.retired]
        lines.append(
            f"Vocabulary version {now.newest_version} {'; '.join(changes)}. Seal again to follow "
            "it."
        )
    return lines


def standing_lines(label: str) -> list[str]:
    """Return `status` lines for a target's seal and guard; empty if it has neither."""
    if label not in conf.targets():
        return []
    now, guarded = state.look(label), guard.look(label)
    lines = seal_lines(now) if now.state != "open" else []
    return [*lines, *(guard_lines(guarded) if guarded.state != "off" else [])]


# What sealing would mean, as lines for a terminal and as a JSON document.

_SHOWN = 60  # values that a terminal gets; --json has them all


def preview_document(effect: Preview) -> dict[str, Any]:
    """Return a seal's dry run for JSON."""
    return {
        **seal_document(effect.state),
        "possible": effect.possible,
        "obstacles": effect.obstacles,
        "evidence": effect.evidence,
        "would_pass": {
            "stages": effect.passing.stages,
            "allowed": effect.passing.allowed,
            "null": effect.passing.nulls,
        },
        "would_not_pass": [
            {
                "value": one.value,
                "source": one.source,
                "rows": one.rows,
                "stage": one.stage,
                "reason": one.reason,
                "retired": one.retired,
            }
            for one in effect.survey.held
        ],
        "null_rows": effect.survey.null_rows,
        "recent": [{"count": one.count, "what": one.what} for one in effect.recent],
    }


def preview_lines(effect: Preview) -> list[str]:
    """Return a seal's dry run for a terminal."""
    null = "NULL passes" if effect.passing.nulls else "NULL does not pass"
    allowed = ", ".join(repr(value) for value in effect.passing.allowed) or "nothing"
    lines = [
        *seal_lines(effect.state),
        f"A seal of vocabulary version {effect.passing.version} would accept: "
        f"{', '.join(effect.passing.stages)}.",
        f"Also allowed: {allowed}; {null}. ({effect.evidence})",
        "Writes that would fail:",
        *(f"{one.count:>12,}  {one.what}" for one in effect.recent),
    ]
    if effect.survey.held:
        lines.append("Values in the column that would not pass:")
        for one in effect.survey.held[:_SHOWN]:
            why = "a retired stage" if one.retired else one.reason
            meaning = one.stage or f"({why})"
            lines.append(f"{one.rows:>12,}  {one.value[:60]!r:<44} → {meaning}")
    if effect.obstacles:
        return [
            *lines,
            "It cannot be sealed with these options:",
            *(f"  {text}" for text in effect.obstacles),
            "Nothing was changed.",
        ]
    return [*lines, "It can be sealed. Nothing was changed."]
