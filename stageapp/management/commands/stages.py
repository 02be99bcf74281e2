"""`manage.py stages normalize`: what raw values mean, one JSON string per line."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser

from stageapp.management import bars
from stageapp.management.command import StageCommand, database_errors
from stageapp.vocabulary.snapshot import Snapshot, load
from stageapp.vocabulary.suggestions import meaning_document

LONGEST_LINE = 1_000_000  # bytes
_CHUNK = 65_536
_MEMORY = 50_000  # answers kept

_EXAMPLE = (
    'stdin, one JSON string per line:    "Series-A"\n'
    'stdout, one answer per line:        {"value": "Series-A", "stage": "series_a", '
    '"reason": null, "suggestions": []}\n'
    "\n"
    "The answers are in the order of the input. stage is null for an unknown value, and "
    "reason says why.\n"
    "Suggestions are for people to review; they are not answers.\n"
    "A line that is not a JSON string ends the command with exit code 1; the lines before it "
    "are answered.\n"
    "Nothing is counted or queued. All lines are read with the vocabulary version at the "
    "start.\n"
)


class BadLine(Exception):
    """An input line is not a JSON string."""


class Command(StageCommand):
    """Normalize values from standard input."""

    help = "Normalize stage values from standard input to standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="{normalize}")
        verb = verbs.add_parser(
            "normalize",
            help="read one JSON string per line, write one JSON object per line",
            epilog=_EXAMPLE,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.add_argument(
            "--source", default="", help="source of the values: aliases of this source apply too"
        )

    def handle(self, *args: Any, source: str, **options: Any) -> None:
        """Answer line by line, as the lines arrive.

        Raises:
            CommandError: a line is not a JSON string, or PostgreSQL does not respond.
        """
        try:
            with database_errors(", so there is no vocabulary to read"):
                answers, read = Answers(load(), source), sys.stdin.fileno()
            with bars.reading(read, quiet=sys.stdin.isatty()):
                answer_all(read, sys.stdout.fileno(), answers)
        except BadLine as error:
            raise CommandError(str(error)) from None
        except BrokenPipeError:
            raise CommandError(
                "The output was closed by its reader; the remaining values were not answered."
            ) from None


class Answers(dict[bytes, bytes]):
    """The answer to each line, cached while there is room."""

    def __init__(self, vocabulary: Snapshot, source: str) -> None:
        super().__init__()
        self._vocabulary, self._source = vocabulary, source

    def __missing__(self, line: bytes) -> bytes:
        if len(line) > LONGEST_LINE:
            raise BadLine(f"it is longer than {LONGEST_LINE:,} bytes")
        try:
            raw = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise BadLine(f"it is not UTF-8 (byte {error.start + 1})") from None
        except (ValueError, RecursionError) as error:
            raise BadLine(str(error)) from None
        if not isinstance(raw, str):
            raise BadLine(
                f"it is of type {type(raw).__name__}; put the value between double quotes"
            )
        document = meaning_document(raw, self._source, self._vocabulary)
        answer = json.dumps(document).encode("ascii")
        if len(self) < _MEMORY:
            self[line] = answer
        return answer


def answer_all(read: int, write: int, answers: Answers) -> None:
    """Answer each line of one descriptor on another; all received lines before waiting for more.

    Raises:
        BadLine: a line is not a JSON string; the lines before it have been answered.
    """
    number = 0
    for lines in _lines(read):
        answered: list[bytes] = []
        try:
            for line in lines:
                number += 1
                answered.append(answers[line])
        except BadLine as error:
            raise BadLine(f"Line {number} of the input is not a JSON string: {error}.") from None
        finally:
            rest = b"".join(answer + b"\n" for answer in answered)
            while rest:
                rest = rest[os.write(write, rest) :]


def _lines(read: int) -> Iterator[list[bytes]]:
    """Yield the complete lines received so far, as they arrive."""
    rest = b""
    while chunk := os.read(read, _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield lines
        if len(rest) > LONGEST_LINE:
            yield [rest]  # too long a line: refused at once instead of waiting for its end
            return
    if rest:
        yield [rest]
