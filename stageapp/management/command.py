"""What the project's commands have in common."""

import getpass

from django.core.management.base import BaseCommand

from stageapp.mode import fast_copy
from stageapp.people import EVERYTHING, Person


class StageCommand(BaseCommand):
    """A command that checks its settings before it starts.

    The addresses, templates and screens that Django would load to check them too are nothing to a
    command, and cost as much time as all else of its start; `manage.py check` still looks at
    everything.
    """

    requires_system_checks = ("stageapp",)

    def warn_of_lag(self) -> None:
        """Say on stderr, after a change that processes follow, if Redis cannot tell them of it."""
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
    """Return the operating system's user as a person who may do everything: a shell on the
    server can anyway.
    """
    return Person(command_line_actor(), EVERYTHING)
