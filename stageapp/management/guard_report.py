"""Guards as lines for a terminal and as JSON documents."""

from typing import Any

from stageapp.normalization import guard_counts
from stageapp.normalization.guard import GuardState
from stageapp.normalization.seal_preview import DAYS

_SHOWN = 60  # values that a terminal gets; --json has more


def guard_document(now: GuardState) -> dict[str, Any]:
    """Return a target's guard and its counts for JSON."""
    turned, failed = guard_counts.totals(now.target, days=DAYS)
    caught = guard_counts.caught(now.target, days=DAYS, most=1000)
    change = now.change
    return {
        "target": now.target, "state": now.state, "days": DAYS, "turned": turned, "failed": failed,
        "actor": change.actor if change else None, "reason": change.reason if change else None,
        "since": change.created_at if change else None,
        "caught": [
            {"raw": c.raw, "stage": c.stage or None, "writer": c.writer, "problem": c.problem or None, "count": c.count}
            for c in caught
        ],
    }  # fmt: skip


def guard_lines(now: GuardState) -> list[str]:
    """Return a target's guard and its counts for a terminal."""
    turned, failed = guard_counts.totals(now.target, days=DAYS)
    lines = [f"Guard of {now.target}: {now.meaning}."]
    if now.change:
        lines.append(f"By {now.change.actor} at {now.change.created_at:%Y-%m-%d %H:%M} UTC: {now.change.reason}")
    if turned or failed:
        lines.append(f"In {DAYS} days it turned {turned:,} values into stages and had trouble {failed:,} times:")
    for one in guard_counts.caught(now.target, days=DAYS, most=_SHOWN):
        lines.append(f"{one.count:>12,}  {one.raw!r} → {one.stage or one.problem} (from {one.writer})")
    return lines
