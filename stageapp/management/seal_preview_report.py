"""What sealing would mean, as lines for a terminal and as a JSON document."""

from typing import Any

from stageapp.management.seal_report import seal_document, seal_lines
from stageapp.normalization.seal_preview import Preview
from stageapp.normalization.seal_survey import Held

_SHOWN = 60  # values that a terminal gets; --json has them all


def preview_document(found: Preview) -> dict[str, Any]:
    """Return a dry run for JSON."""
    return {
        **seal_document(found.state),
        "possible": found.possible,
        "obstacles": found.obstacles,
        "evidence": found.evidence,
        "would_pass": {"stages": found.passing.stages, "allowed": found.passing.allowed, "null": found.passing.nulls},
        "would_not_pass": [_held_document(one) for one in found.survey.held],
        "null_rows": found.survey.null_rows,
        "recent": [{"count": one.count, "what": one.what} for one in found.recent],
    }


def _held_document(one: Held) -> dict[str, Any]:
    return {
        "value": one.value, "source": one.source, "rows": one.rows, "stage": one.stage, "reason": one.reason,
        "retired": one.retired,
    }  # fmt: skip


def preview_lines(found: Preview) -> list[str]:
    """Return a dry run for a terminal."""
    null = "NULL passes" if found.passing.nulls else "NULL does not pass"
    allowed = ", ".join(repr(value) for value in found.passing.allowed) or "nothing"
    lines = [
        *seal_lines(found.state),
        f"A seal of vocabulary version {found.passing.version} would let pass: {', '.join(found.passing.stages)}.",
        f"Allowed beside them: {allowed}; {null}. ({found.evidence})",
        "Writes that would fail:",
        *(f"{one.count:>12,}  {one.what}" for one in found.recent),
    ]
    if found.survey.held:
        held = found.survey.held[:_SHOWN]
        lines += ["What stands in the column and would not pass:", *(_held_line(one) for one in held)]
    if found.obstacles:
        return [*lines, "It cannot be sealed so:", *(f"  {text}" for text in found.obstacles), "Nothing was changed."]
    return [*lines, "It can be sealed. Nothing was changed."]


def _held_line(one: Held) -> str:
    why = "a retired stage" if one.retired else one.reason
    return f"{one.rows:>12,}  {one.value[:60]!r:<44} → {one.stage or f'({why})'}"
