"""`manage.py companies import`: import companies from a CSV file."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError
from tqdm import tqdm

from stageapp.management.command import StageCommand, command_line_actor
from stageapp.portfolio.imports import BadRows, Imported, ImportRefused, Report, import_companies

STDIN = "-"


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
            "--delimiter", type=_delimiter, help="one character, or tab (default: detected)"
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
            with _opened(file) as source, _bar(source, quiet=options["json"]) as report:
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
            self._refuse(error, as_json=options["json"])
        except OSError as error:
            raise CommandError(
                f"{file} cannot be read: {error.strerror or error}. Nothing was imported."
            ) from None
        except OperationalError as error:
            raise CommandError(
                f"PostgreSQL does not answer, nothing was imported: {error}"
            ) from None
        self._print(done, as_json=options["json"])

    def _refuse(self, error: ImportRefused, *, as_json: bool) -> None:
        if as_json and isinstance(error, BadRows):
            rows = [{"line": line, "fault": why} for line, why in error.faults.first]
            self.stdout.write(
                json.dumps({"imported": 0, "bad_rows": error.faults.count, "first_bad_rows": rows})
            )
        raise CommandError(str(error)) from None

    def _print(self, done: Imported, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(
                json.dumps(
                    {
                        "imported": done.rows,
                        "stages": done.stages,
                        "fund": done.fund.name,
                        "fund_id": done.fund.pk,
                        "fund_created": done.fund_created,
                        "delimiter": done.delimiter,
                    }
                )
            )
            return
        where = "the new fund" if done.fund_created else "the existing fund"
        self.stdout.write(
            f"{done.rows:,} companies with {done.stages:,} spellings of a stage imported into "
            f"{where} {done.fund.name} (number {done.fund.pk}).\nNext: manage.py normalization "
            "plan"
        )


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == STDIN:
        yield sys.stdin.buffer
        return
    with open(file, "rb") as source:
        yield source


@contextmanager
def _bar(source: BinaryIO, *, quiet: bool) -> Iterator[Report]:
    """Show bytes read, rate and, for a file, the time left on stderr; silent with --json."""
    size = os.fstat(source.fileno()).st_size if source.seekable() else None
    every = 0.5 if sys.stderr.isatty() else 10.0
    with tqdm(
        total=size, unit="B", unit_scale=True, disable=quiet, file=sys.stderr, mininterval=every
    ) as bar:

        def report(count: int) -> None:
            bar.update(count - bar.n)

        yield report


def _delimiter(text: str) -> str:
    delimiter = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise argparse.ArgumentTypeError(f"{text!r} is not one character; use e.g. ';' or tab")
    return delimiter
