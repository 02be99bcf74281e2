"""Who acts when a command is run."""

import getpass


def command_line_actor() -> str:
    """Return the operating system's user as an actor, e.g. `cli:deploy`."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown"
