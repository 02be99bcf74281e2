"""The base of the project's commands."""

import getpass

from django.core.management.base import BaseCommand

from stageapp.mode import fast_copy
from stageapp.people import EVERYTHING, Person


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
