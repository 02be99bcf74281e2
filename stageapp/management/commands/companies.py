"""`manage.py companies import`: import companies from a CSV file."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser

from stageapp.management import bars
from stageapp.management.command import (
    StageCommand,
    argument_type,
    command_line_actor,
    database_errors,
)
from stageapp.portfolio.imports import BadRows, ImportRefused, Report, import_companies

STDIN = "-"
DELIMITER = argument_type(
    lambda text: {"tab": "\t", "\\t": "\t"}.get(text, text),
    "one character; use e.g. ';' or tab",
    lambda delimiter: len(delimiter) == 1 and delimiter not in '"\r\n',
)


class Command(StageCommand):
    """Import companies from a CSV file."""

    help = "Import companies from a CSV file: all rows, or none. Stages are stored as written."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="{import}")
        verb = verbs.add_parser("import", help="import a file with a header line")
        verb.add_argument("file", metavar="FILE", help="the file; - reads standard input")
        verb.add_argument(
            "--stage-column", required=True, metavar="C", help="the column of the stage"
        )
        verb.add_argument("--name-column", metavar="N", help="the column of the company's name")
        verb.add_argument(
            "--fund", metavar="NAME", help="the fund; created if missing (default: the file's name)"
        )
        verb.add_argument(
            "--encoding", default="utf-8", help="default: %(default)s, with or without a BOM"
        )
        verb.add_argument(
            "--delimiter", type=DELIMITER, help="one character, or tab (default: detected)"
        )
        verb.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, file: str, fund: str | None, **options: Any) -> None:
        """Import the file.

        Raises:
            CommandError: it is unreadable or not acceptable, or PostgreSQL does not respond;
                nothing is kept.
        """
        name = fund if fund is not None else "Standard input" if file == STDIN else Path(file).stem
        try:
            with (
                database_errors(", nothing was imported"),
                _reading(file, quiet=options["json"]) as (source, report),
            ):
                done = import_companies(
                    source,
                    fund=name,
                    report=report,
                    stage_column=options["stage_column"],
                    name_column=options["name_column"],
                    encoding=options["encoding"],
                    delimiter=options["delimiter"],
                    actor=command_line_actor(),
                )
        except ImportRefused as error:
            if options["json"] and isinstance(error, BadRows):
                rows = [{"line": line, "fault": why} for line, why in error.faults.first]
                bad = error.faults.count
                self.stdout.write(
                    json.dumps({"imported": 0, "bad_rows": bad, "first_bad_rows": rows})
                )
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(
                f"{file} cannot be read: {error.strerror or error}. Nothing was imported."
            ) from None
        document = {
            "imported": done.rows,
            "stages": done.stages,
            "fund": done.fund.name,
            "fund_id": done.fund.pk,
            "fund_created": done.fund_created,
            "delimiter": done.delimiter,
        }
        where = "the new fund" if done.fund_created else "the existing fund"
        said = (
            f"{done.rows:,} companies with {done.stages:,} spellings of a stage imported into "
            f"{where} {done.fund.name} (number {done.fund.pk})."
        )
        self.print_result(document, [said, "Next: manage.py normalization plan"], options)


@contextmanager
def _reading(file: str, *, quiet: bool) -> Iterator[tuple[BinaryIO, Report]]:
    """Open the file; show bytes read, rate and, if it is not a pipe, the time left on stderr."""
    with ExitStack() as stack:
        source = sys.stdin.buffer if file == STDIN else stack.enter_context(open(file, "rb"))
        size = os.fstat(source.fileno()).st_size if source.seekable() else None
        bar = stack.enter_context(bars.bar(size, "B", quiet=quiet))

        def report(count: int) -> None:
            bar.update(count - bar.n)

        yield source, report
