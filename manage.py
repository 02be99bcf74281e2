#!/usr/bin/env python
"""Run a command of the project, with the embedded servers where the command needs servers."""

import os
import secrets
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from stageapp import embedded

COMMANDS_WITHOUT_SERVERS = frozenset(
    [
        "collectstatic",
        "compilemessages",
        "configuration",
        "diffsettings",
        "findstatic",
        "help",
        "makemessages",
        "makemigrations",
        "relay",
        "services",
        "spectacular",
        "startapp",
        "startproject",
        "version",
    ]
)
# These options make a command do without the servers that it needs otherwise.
WITHOUT_SERVERS = frozenset(["--shipped-vocabulary"])
HELP = frozenset(["-h", "--help", "--version"])


def needs_servers(arguments: list[str]) -> bool:
    """Tell whether the command line (without the program's name) talks to PostgreSQL or Redis."""
    if (
        not arguments
        or (HELP | WITHOUT_SERVERS).intersection(arguments)
        or "DJANGO_AUTO_COMPLETE" in os.environ
    ):
        return False
    if arguments[0] == "check":
        return any(argument.startswith("--database") for argument in arguments)
    return arguments[0] not in COMMANDS_WITHOUT_SERVERS


def main() -> None:
    """Start what the command needs, then hand over to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1:2] == ["relay"]:
        # A server of its own, beside Alertmanager: it has no use for the site's key, and need not
        # be given it.
        os.environ.setdefault("SECRET_KEY", secrets.token_hex(40))
    else:
        os.environ.setdefault(
            "LOG_LEVEL", "WARNING"
        )  # a command answers on the terminal; servers log everything
    if needs_servers(sys.argv[1:]):
        try:
            embedded.provide(needs_redis=sys.argv[1] == "demo")
            import config.celery  # noqa: F401, PLC0415  or else task messages go to Celery's default broker
        except embedded.EmbeddedError as error:
            sys.exit(f"{sys.argv[0]}: {error}")
    try:
        execute_from_command_line(sys.argv)
    except (
        ImproperlyConfigured
    ) as error:  # a setting is missing or makes no sense; the text says which
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"{sys.argv[0]}: {error}")


if __name__ == "__main__":
    main()
