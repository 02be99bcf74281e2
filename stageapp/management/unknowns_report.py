"""The unknown queue as lines for a terminal and as JSON documents."""

from collections.abc import Sequence
from typing import Any

from stageapp.models.unknowns import UnknownEntry
from stageapp.unknowns.preview import Preview
from stageapp.unknowns.queue import places, suggestions
from stageapp.vocabulary import load

_WIDTH = 44


def queue_document(entries: Sequence[UnknownEntry]) -> dict[str, Any]:
    """Return entries for JSON; `examples` are JSON strings in themselves."""
    meaning_of = load()
    return {
        "entries": [
            {
                "number": e.pk, "key": e.key, "reason": e.reason, "state": e.state, "examples": e.examples,
                "suggestions": suggestions(e, meaning_of),
                "impact": e.impact, "rows": e.rows, "imported": e.imported, "requests": e.requests,
                "first_seen": e.first_seen, "last_seen": e.last_seen,
                "decided_by": e.decided_by, "decided_at": e.decided_at, "decided_why": e.decided_why,
                "seen_at": [vars(place) for place in places(e)],
            }
            for e in entries
        ]
    }  # fmt: skip


def queue_lines(entries: Sequence[UnknownEntry], state: str) -> list[str]:
    """Return entries for a terminal."""
    if not entries:
        return [f"The queue has no {state} entry." if state != "all" else "The queue is empty."]
    meaning_of = load()
    lines = [f"{'number':>7} {'rows':>10} {'requests':>9}  {'value':<{_WIDTH}} {'reason':<16} suggestion"]
    for entry in entries:
        value, stages = _shortened(entry.examples[0]), ", ".join(suggestions(entry, meaning_of))
        rows = max(entry.rows, entry.imported)
        lines.append(
            f"{entry.pk:>7} {rows:>10,} {entry.requests:>9,}  {value:<{_WIDTH}} {entry.reason:<16} {stages}".rstrip()
        )
    return [*lines, "Next: unknowns map NUMBER --to STAGE --reason TEXT --dry-run"]


def preview_document(found: Preview) -> dict[str, Any]:
    """Return a preview for JSON."""
    return {**vars(found), "rows_total": found.rows_total, "requests_total": found.requests_total}


def preview_lines(found: Preview) -> list[str]:
    """Return a preview for a terminal."""
    what = "would change with the next run" if found.changes_rows else "hold it and stay as they are"
    lines = [f"{rows:,} rows of {target} {what}." for target, rows in found.rows.items()]
    lines += [f"{rows:>12,}  {value!r}" for value, rows in found.values]
    lines.append(f"{found.requests_total:,} of yesterday's requests held it.")
    lines += [f"{requests:>12,}  {consumer}" for consumer, requests in found.requests.items()]
    lines += [f"Refused: {value}: {why}." for value, why in found.refused]
    return [*lines, *(f"Not read: {problem}" for problem in found.problems), "Nothing was changed."]


def _shortened(shown: str) -> str:
    return shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…"
