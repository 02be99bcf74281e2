"""Who acts when a command is run."""

import getpass

from stageapp.people import EVERYTHING, Person


def command_line_actor() -> str:
    """Return the operating system's user as an actor, e.g. `cli:deploy`."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown"


def command_line_person() -> Person:
    """Return the operating system's user as a person who may do everything: a shell on the server can anyway."""
    return Person(command_line_actor(), EVERYTHING)
