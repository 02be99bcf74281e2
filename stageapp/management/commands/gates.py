"""`manage.py gates`: every gate with threshold, value and verdict."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from stageapp.management import bars
from stageapp.management.command import StageCommand, database_errors
from stageapp.rollout.gates.verdicts import Gate, Verdict
from stageapp.rollout.moves import FOR_A_RUN
from stageapp.rollout.outlook import Outlook, outlook

# What `manage.py gates` prints.

_MARKS = {Verdict.PASS: "pass   ", Verdict.FAIL: "FAIL   ", Verdict.NO_DATA: "NO DATA"}


def gates_document(ahead: Outlook) -> dict[str, Any]:
    """Return the gates for JSON."""
    step = ahead.step
    return {
        "mode": ahead.state.mode,
        "percent": ahead.state.percent,
        "phase": ahead.phase.label,
        "since": ahead.since.isoformat() if ahead.since else None,
        "latched": ahead.latched,
        "next_step": step
        and {
            "text": step.text,
            "mode": step.mode or None,
            "percent": step.percent if step.mode == "enforce" else None,
            "needs": [gate.name for gate in step.gates],
            "held_back_by": [gate.name for gate in step.holding],
        },
        "gates": [
            {**gate.document(), "needed_next": _is_needed(gate, ahead)}
            for gate in ahead.gates.values()
        ],
    }


def gates_lines(ahead: Outlook) -> list[str]:
    """Return the gates for a terminal."""
    lines = [
        f"Phase: {ahead.phase.label}"
        + (f", since {ahead.since:%F %H:%M} UTC" if ahead.since else "")
    ]
    if ahead.latched:
        lines.append(
            "Latched: the mode was lowered automatically; raising it requires the permission rearm."
        )
    for gate in ahead.gates.values():
        what_for = "  (for a run)" if gate.name in FOR_A_RUN else ""
        if _is_needed(gate, ahead):
            what_for = "  <- needed next"
        lines += ["", f"{_MARKS[gate.verdict]} {gate.name}: {gate.title}{what_for}"]
        for it in gate.conditions:
            why = f" ({it.why})" if it.why else ""
            lines.append(
                f"        {_MARKS[it.verdict]} {it.title}: {it.shown}; needed {it.threshold}{why}"
            )
    last = "The rollout is done."
    if step := ahead.step:
        blocking = ", ".join(gate.name for gate in step.holding)
        last = f"Next: {step.text}. " + (
            f"Blocked by {blocking}." if blocking else "Nothing blocks it."
        )
    return [*lines, "", last]


def _is_needed(gate: Gate, ahead: Outlook) -> bool:
    return ahead.step is not None and gate in ahead.step.gates


class Command(StageCommand):
    """Show the gates; exit 1 if a gate that the next step needs does not pass."""

    help = (
        "Show every gate with its threshold, measured value and verdict. Exit 1 if a "
        "gate that the next step needs does not pass."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the gates.

        Raises:
            CommandError: a gate that the next step needs does not pass, or PostgreSQL does not
                respond.
        """
        with (
            database_errors(", so the gates cannot be evaluated"),
            bars.working("evaluating the gates", quiet=options["json"]),
        ):
            ahead = outlook()
        document, lines = gates_document(ahead), gates_lines(ahead)
        self.print_result(document, lines, options)
        if ahead.step and ahead.step.holding:
            names = ", ".join(gate.name for gate in ahead.step.holding)
            raise CommandError(f"The next step, {ahead.step.text}, is blocked by: {names}.")
