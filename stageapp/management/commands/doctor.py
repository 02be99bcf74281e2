"""`manage.py doctor`: what works, what does not, and what to do."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stageapp.doctor.answers import Health
from stageapp.doctor.examine import examine
from stageapp.management import bars

_MARKS = {
    Health.OK: "ok     ",
    Health.WARN: "warn   ",
    Health.FAIL: "FAIL   ",
    Health.NO_DATA: "no data",
}


class Command(BaseCommand):
    """Examine servers, processes, backups and targets; exit 1 if something fails."""

    help = (
        "Check PostgreSQL, Redis, broker, workers, clock, disk, backup, secret and "
        "targets. Exit 1 if a check fails."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print every result.

        Raises:
            CommandError: a check fails.
        """
        with bars.working("examining", quiet=options["json"]):
            answers = examine()
        failed = [answer.name for answer in answers if answer.health == Health.FAIL]
        document = {
            "ok": not failed,
            "failed": failed,
            "answers": [answer.document() for answer in answers],
        }
        lines = [
            f"{_MARKS[answer.health]}  {answer.name:<42}  {answer.said}"
            + (f"\n{'':9}{'':44}→ {answer.do}" if answer.do else "")
            for answer in answers
        ]
        self.stdout.write(json.dumps(document) if options["json"] else "\n".join(lines))
        if failed:
            raise CommandError(f"{len(failed)} failed: {', '.join(failed)}.")
