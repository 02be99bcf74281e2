"""The base of the project's commands."""

import argparse
import getpass
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError

from stageapp.mode import fast_copy
from stageapp.people import EVERYTHING, Person

T = TypeVar("T")


class StageCommand(BaseCommand):
    """A command that checks its settings before it starts.

    A command does not need the URLs, templates and screens that Django would load for its other
    checks, which double the start time; `manage.py check` still checks everything.
    """

    requires_system_checks = ("stageapp",)

    def warn_of_lag(self) -> None:
        """Warn on stderr, after a change, if Redis cannot notify the processes."""
        if lag := fast_copy.lag_warning():
            self.stderr.write(lag)

    def print_result(self, document: Any, lines: Iterable[str], options: dict[str, Any]) -> None:
        """Print one JSON document with --json, else the lines."""
        self.stdout.write(
            json.dumps(document, default=str) if options["json"] else "\n".join(lines)
        )


def not_migrated(error: Exception) -> CommandError:
    """Return the refusal of a database that lacks a table of this release, as `error` tells."""
    return CommandError(f"The database is not up to date; run `manage.py migrate` first: {error}")


@contextmanager
def database_errors(so: str = "") -> Iterator[None]:
    """Turn a database that does not answer, or is older than the code, into a CommandError.

    `so` says what that means for this command.
    """
    try:
        yield
    except ProgrammingError as error:
        raise not_migrated(error) from None
    except OperationalError as error:
        raise CommandError(f"PostgreSQL does not answer{so}: {error}") from None


def argument_type(
    read: Callable[[str], T], what: str, allowed: Callable[[T], bool] = lambda value: True
) -> Callable[[str], T]:
    """Return an argument's type: what `read` makes of it, if allowed; `what` is in the refusal."""

    def parse(text: str) -> T:
        with suppress(ValueError):
            if allowed(value := read(text)):
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")

    return parse


# Who acts when a command is run.


def command_line_actor() -> str:
    """Return the operating system's user as an actor, e.g. `cli:deploy`."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown"


def command_line_person() -> Person:
    """Return the OS user with all permissions, which a shell on the server has anyway."""
    return Person(command_line_actor(), EVERYTHING)
