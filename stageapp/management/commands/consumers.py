"""`manage.py consumers`: audit by the counts, an access log or source code; create tokens."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser

from stageapp.api.fallbacks import resource_of
from stageapp.consumers.audit import access_log, callers, files
from stageapp.consumers.tokens import ConsumerError, create
from stageapp.management import bars, consumers_report
from stageapp.management.command import StageCommand, argument_type, database_errors
from stageapp.models.consumers import Consumer
from stageapp.vocabulary.snapshot import Snapshot

_EXAMPLES = """\
consumers                                   what every consumer calls and still sends
consumers --csv audit.csv                   the same as a table
consumers --access-log access.log.gz        the same from a web server's log; - reads standard input
consumers --code src tests                  stage literals in source code; exit 1 when there are any (a CI guard)
consumers token --name reporting --scope read --scope write
"""


class Command(StageCommand):
    """Audit the consumers, or create a token for one."""

    help = "The consumer audit: who calls what and what they still send. Also creates tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog, parser.formatter_class = _EXAMPLES, argparse.RawDescriptionHelpFormatter
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--access-log",
            metavar="FILE",
            help="audit a web server's log: common, combined or JSON format, also gzipped",
        )
        what.add_argument(
            "--code",
            nargs="+",
            metavar="PATH",
            help="list stage literals in source files and folders",
        )
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="one JSON document on stdout")
        form.add_argument("--csv", metavar="FILE", help="write a table; - writes it to stdout")
        parser.add_argument(
            "--days",
            type=argument_type(
                int, "a number of days from 1 to 3650", lambda days: 1 <= days <= 3650
            ),
            default=callers.DAYS,
            help="number of days to look back; default: %(default)s",
        )
        consumers_report.add_arguments(parser)
        verbs = parser.add_subparsers(dest="subcommand", metavar="token")
        token = verbs.add_parser(
            "token", help="create a consumer and print its token as the last line"
        )
        token.description = "Create a consumer and print its token as the last line of the output."
        token.add_argument("--name", required=True, help="name of the caller; unique")
        token.add_argument(
            "--scope",
            action="append",
            required=True,
            choices=[scope for scope, _ in Consumer.SCOPES],
            help="what the token may do; can be repeated: "
            + "; ".join(meaning for _, meaning in Consumer.SCOPES),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Audit, or create the consumer.

        Raises:
            CommandError: it is refused, a file cannot be read or written, the database does not
                respond, or the source code has stage literals.
        """
        with database_errors():
            if options["subcommand"] == "token":
                name = options["name"]
                scopes = options["scope"]
                try:
                    consumer, token = create(name, scopes)
                except ConsumerError as error:
                    raise CommandError(str(error)) from error
                self.stdout.write(
                    f"Consumer {consumer.name} may {', '.join(consumer.scopes)}. The token is shown only "
                    "now:"
                )
                self.stdout.write(token)
            elif options["code"]:
                self._code(options)
            elif options["access_log"]:
                vocabulary = consumers_report.vocabulary_of(options)
                audit = self._read_log(options["access_log"], vocabulary, quiet=options["json"])
                if options["csv"]:
                    with self._table(options["csv"]) as file:
                        files.export_log(file, audit, vocabulary)
                    self.stderr.write("\n".join(consumers_report.log_summary(audit)))
                else:
                    self.print_result(
                        consumers_report.log_document(audit, vocabulary),
                        consumers_report.log_lines(audit, vocabulary),
                        options,
                    )
            else:
                audited, days = callers.audit(days=options["days"]), options["days"]
                if options["csv"]:
                    with self._table(options["csv"]) as file:
                        files.export_audit(file, audited)
                else:
                    self.print_result(
                        consumers_report.audit_document(audited, days),
                        consumers_report.audit_lines(audited, days),
                        options,
                    )

    def _read_log(self, name: str, vocabulary: Snapshot, *, quiet: bool) -> access_log.LogAudit:
        try:
            with (
                open(
                    sys.stdin.fileno() if name == "-" else name, "rb", closefd=name != "-"
                ) as source,
                bars.reading(source.fileno(), quiet=quiet),
            ):
                return access_log.read_log(source, resource_of, vocabulary)
        except OSError as error:
            raise CommandError(f"{name} cannot be read: {error.strerror or error}.") from None

    def _code(self, options: dict[str, Any]) -> None:
        if options["csv"]:
            raise CommandError("--code supports --json, not --csv.", returncode=2)
        with bars.working("searching the code", quiet=options["json"]):
            audit = consumers_report.scan(options)
        self.print_result(consumers_report.document(audit), consumers_report.lines(audit), options)
        if audit.literals:
            raise CommandError(consumers_report.verdict(audit))

    @contextmanager
    def _table(self, name: str) -> Iterator[TextIO]:
        if name == "-":
            yield self.stdout  # type: ignore[misc]
            return
        try:
            with Path(name).open("w", encoding="utf-8", newline="") as file:
                yield file
        except OSError as error:
            raise CommandError(f"{name} cannot be written: {error.strerror or error}.") from None
        self.stderr.write(f"Written to {name}.")
