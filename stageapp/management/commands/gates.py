"""`manage.py gates`: every gate with threshold, value and verdict."""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError

from stageapp.management import bars
from stageapp.management import gates_report as report
from stageapp.management.command import StageCommand
from stageapp.rollout.outlook import outlook


class Command(StageCommand):
    """Show the gates; exit 1 if one that the next step needs does not pass."""

    help = "Show every gate with threshold, measured value and verdict. Exit 1 if one needed next does not pass."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare --json."""
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print them.

        Raises:
            CommandError: a gate that the next step needs does not pass, or PostgreSQL does not answer.
        """
        try:
            with bars.working("judging the gates", quiet=options["json"]):
                found = outlook()
        except OperationalError as error:
            raise CommandError(f"PostgreSQL does not answer, so no gate can be judged: {error}") from None
        document, lines = report.gates_document(found), report.gates_lines(found)
        self.stdout.write(json.dumps(document, default=str) if options["json"] else "\n".join(lines))
        if found.step and found.step.holding:
            names = ", ".join(gate.name for gate in found.step.holding)
            raise CommandError(f"The next step, {found.step.text}, is held back by: {names}.")
