"""Make tokens for API consumers."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stageapp.consumers import ConsumerError, create
from stageapp.models.consumers import Consumer


class Command(BaseCommand):
    """Make tokens for API consumers."""

    help = "Make tokens for API consumers. A token is shown once; only its SHA-256 is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the subcommands."""
        subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
        token = subcommands.add_parser(
            "token",
            help="create a consumer and print its token as the last line",
            description="Create a consumer and print its token as the last line of the output.",
            epilog="Example: manage.py consumers token --name reporting --scope read --scope write",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        token.add_argument("--name", required=True, help="who calls; unique")
        token.add_argument(
            "--scope",
            action="append",
            required=True,
            choices=[scope for scope, _ in Consumer.SCOPES],
            help="what the token may do, may be repeated: " + "; ".join(meaning for _, meaning in Consumer.SCOPES),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the consumer."""
        try:
            consumer, token = create(options["name"], options["scope"])
        except ConsumerError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Consumer {consumer.name} may {', '.join(consumer.scopes)}. The token is shown only now:")
        self.stdout.write(token)
