"""What `manage.py gates` prints."""

from typing import Any

from stageapp.gates.verdicts import Gate, Verdict
from stageapp.rollout.moves import FOR_A_RUN
from stageapp.rollout.outlook import Outlook

_MARKS = {Verdict.PASS: "pass   ", Verdict.FAIL: "FAIL   ", Verdict.NO_DATA: "NO DATA"}


def gates_document(found: Outlook) -> dict[str, Any]:
    """Return the gates for JSON."""
    step = found.step
    return {
        "mode": found.state.mode,
        "percent": found.state.percent,
        "phase": found.phase.label,
        "since": found.since.isoformat() if found.since else None,
        "latched": found.latched,
        "next_step": step and {
            "text": step.text,
            "mode": step.mode or None,
            "percent": step.percent if step.mode == "enforce" else None,
            "needs": [gate.name for gate in step.gates],
            "held_back_by": [gate.name for gate in step.holding],
        },
        "gates": [{**gate.document(), "needed_next": _is_needed(gate, found)} for gate in found.gates.values()],
    }  # fmt: skip


def gates_lines(found: Outlook) -> list[str]:
    """Return the gates for people."""
    lines = [f"Phase: {found.phase.label}" + (f", since {found.since:%F %H:%M} UTC" if found.since else "")]
    if found.latched:
        lines.append("Latched: the mode was taken back automatically; raising it takes the permission rearm.")
    for gate in found.gates.values():
        lines += ["", f"{_MARKS[gate.verdict]} {gate.name}: {gate.title}{_for_what(gate, found)}"]
        for it in gate.conditions:
            why = f" ({it.why})" if it.why else ""
            lines.append(f"        {_MARKS[it.verdict]} {it.title}: {it.shown}; needed {it.threshold}{why}")
    return [*lines, "", _last_line(found)]


def _is_needed(gate: Gate, found: Outlook) -> bool:
    return found.step is not None and gate in found.step.gates


def _for_what(gate: Gate, found: Outlook) -> str:
    if _is_needed(gate, found):
        return "  <- needed next"
    return "  (for a run)" if gate.name in FOR_A_RUN else ""


def _last_line(found: Outlook) -> str:
    step = found.step
    if step is None:
        return "The rollout is done."
    if not step.holding:
        return f"Next: {step.text}. Nothing holds it back."
    return f"Next: {step.text}. Held back by {', '.join(gate.name for gate in step.holding)}."
