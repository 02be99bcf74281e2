"""`manage.py relay`: sign Alertmanager's notifications and forward them to the webhook."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from stageapp import conf
from stageapp.management.command import argument_type
from stageapp.webhook.relay import AddressError, Forwarder, Limits, Relay, read_address, read_url
from stageapp.webhook.secrets import webhook_secrets, webhook_tokens

# Alertmanager gives a notification up after its group_interval, and never before 10 s.
SECONDS = 8.0


class Command(BaseCommand):
    """Run until SIGTERM or Ctrl-C."""

    help = (
        "Sign Alertmanager's notifications with ALERTMANAGER_WEBHOOK_SECRET and forward "
        "them to the webhook."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--listen",
            required=True,
            metavar="HOST:PORT",
            help="a loopback address, e.g. 127.0.0.1:9096",
        )
        parser.add_argument(
            "--to", required=True, metavar="URL", help="the webhook's http or https URL"
        )
        parser.add_argument(
            "--seconds",
            type=argument_type(
                float,
                "a time in seconds, more than 0 and at most 600",
                lambda seconds: 0 < seconds <= 600,
            ),
            default=SECONDS,
            help="how long to keep trying one notification (default: %(default)s)",
        )
        parser.add_argument(
            "--require-bearer",
            action="store_true",
            help="accept only requests with ALERTMANAGER_BEARER_TOKEN",
        )
        parser.add_argument(
            "--allow-remote",
            action="store_true",
            help="listen on any address; also requires the bearer token",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve.

        Raises:
            CommandError: a secret is not set, or the address cannot be bound.
        """
        stop = threading.Event()
        required = options["require_bearer"] or options["allow_remote"]
        tokens = webhook_tokens() if required else ()
        if required and not tokens:
            raise CommandError("Set ALERTMANAGER_BEARER_TOKEN: Alertmanager has to send it.")
        limits = Limits(conf.settings.read_seconds, settings.DATA_UPLOAD_MAX_MEMORY_SIZE, tokens)
        try:
            url, secrets = read_url(options["to"]), webhook_secrets()
            if not secrets:
                raise CommandError(
                    "Set ALERTMANAGER_WEBHOOK_SECRET to the same secret as the webhook's: it "
                    "signs the notifications."
                )
            forwarder = Forwarder(url, secrets[0].keys[0], options["seconds"], threading.Event())
            server = Relay(
                read_address(options["listen"], allow_remote=options["allow_remote"]),
                forwarder,
                limits,
            )
        except (AddressError, OSError) as error:
            raise CommandError(str(error)) from error
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        self.stdout.write(f"Listening on {server.server_name} port {server.server_port}.")
        self.stdout.flush()
        server.run_until(stop)
