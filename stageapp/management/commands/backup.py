"""`manage.py backup …`: create, verify, rehearse, restore, list and prune from the command line."""

import datetime
import math
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from stageapp import conf
from stageapp.backups import keeping
from stageapp.backups.errors import BackupError
from stageapp.backups.progress import Report
from stageapp.embedded import EmbeddedError
from stageapp.management import backup_report
from stageapp.management.command import StageCommand, argument_type, command_line_actor

_VERBS = {
    "create": "make a backup and its signed manifest from one snapshot",
    "verify": "check that a backup is complete and signed by us; exit 1 if it is not, or is too old",
    "rehearse": "restore a backup into a disposable database, compare, and drop it",
    "restore": "restore a backup into a new database next to the live one",
    "list": "show the backups with their verdicts",
    "prune": "remove the oldest backups, but never the last verified one",
}

HOURS = argument_type(float, "a number of hours", lambda hours: 0 < hours < math.inf)


class Command(StageCommand):
    """Create backups, and prove that they can be restored."""

    help = "Make backups, and prove that they can be restored."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        for name, text in _VERBS.items():
            verb = verbs.add_parser(name, help=text, description=text)
            verb.add_argument("--json", action="store_true", help="one JSON document on stdout")
            if name in ("verify", "rehearse", "restore"):
                verb.add_argument(
                    "name", nargs="?", help="as `backup list` shows it; default: the newest one"
                )
            if name != "list":
                verb.add_argument(
                    "--reason", default="from the command line", help="why; kept in the history"
                )
        limit = verbs.choices["verify"].add_mutually_exclusive_group()
        hours = conf.gates().backup_hours
        limit.add_argument(
            "--max-age", type=HOURS, default=hours, metavar="HOURS", help="default: %(default)g"
        )
        limit.add_argument(
            "--any-age",
            dest="max_age",
            action="store_const",
            const=None,
            help="accept a backup of any age",
        )
        verbs.choices["restore"].add_argument(
            "--database", metavar="NEW", help="name of the new database"
        )
        verbs.choices["prune"].add_argument(
            "--keep", type=int, metavar="N", help="how many to keep (STAGE_BACKUP_KEEP)"
        )

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        """Run the sub-command.

        Raises:
            CommandError: it is refused or fails; nothing half-done remains.
        """
        work: Callable[..., None] = getattr(self, f"_{verb}")
        try:
            with backup_report.phases(quiet=options["json"]) as report:
                work(report, **options)
        except (BackupError, EmbeddedError) as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"PostgreSQL does not answer, or refused: {error}".strip()) from None

    def _create(self, report: Report, *, reason: str, **options: Any) -> None:
        made = keeping.create(actor=command_line_actor(), reason=reason, report=report)
        self.print_result(
            backup_report.backup_document(made), backup_report.backup_lines(made), options
        )

    def _verify(
        self,
        report: Report,
        *,
        name: str | None,
        reason: str,
        max_age: float | None,
        **options: Any,
    ) -> None:
        limit = None if max_age is None else datetime.timedelta(hours=max_age)
        verdict = keeping.verify(
            name, actor=command_line_actor(), reason=reason, max_age=limit, report=report
        )
        self.print_result(verdict.document(), backup_report.verdict_lines(verdict), options)
        if not verdict.passed:
            raise CommandError(f"{verdict.name} failed verification: {verdict.failures}")

    def _rehearse(self, report: Report, *, name: str | None, reason: str, **options: Any) -> None:
        verdict = keeping.rehearse(name, actor=command_line_actor(), reason=reason, report=report)
        self.print_result(verdict.document(), backup_report.rehearsal_lines(verdict), options)
        if not verdict.passed:
            raise CommandError(f"The rehearsal of {verdict.name} failed: {verdict.failures}")

    def _restore(
        self, report: Report, *, name: str | None, reason: str, database: str | None, **options: Any
    ) -> None:
        done = keeping.restore(
            name, database, actor=command_line_actor(), reason=reason, report=report
        )
        self.print_result(done.document(), done.steps(), options)

    def _list(self, report: Report, **options: Any) -> None:
        known = keeping.known()
        document = {"backups": [backup_report.known_document(one) for one in known]}
        self.print_result(document, backup_report.known_lines(known), options)

    def _prune(self, report: Report, *, keep: int | None, reason: str, **options: Any) -> None:
        removed = keeping.prune(keep, actor=command_line_actor(), reason=reason)
        lines = [f"Removed: {name}" for name in removed] or ["Nothing to remove."]
        self.print_result({"removed": removed}, lines, options)
