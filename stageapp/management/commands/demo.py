"""`manage.py demo`: the whole product on this machine, with generated data."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from stageapp import embedded
from stageapp.demo import own_database, sample, site
from stageapp.demo.callers import Caller
from stageapp.demo.site import ChildDied, Children, ending_with_us
from stageapp.demo.walk import Report, Walk
from stageapp.management import bars
from stageapp.management.command import StageCommand, argument_type

SCRATCH = Path(settings.BASE_DIR) / ".local" / "demo"
MAX_ROWS = 50_000_000
_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """The demo was asked to stop."""


class Command(StageCommand):
    """Start the whole product with sample data, or walk through the whole rollout."""

    help = (
        "Start the whole product with sample data: embedded servers, web, worker and "
        "beat. Ctrl-C stops everything. With --once: walk through the whole rollout "
        "without a browser, print a report, exit 0 if every step passed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="walk through the rollout in a separate database, then exit",
        )
        parser.add_argument(
            "--rows",
            type=argument_type(
                int, f"a number of rows from 1 to {MAX_ROWS:,}", lambda rows: 1 <= rows <= MAX_ROWS
            ),
            default=50_000,
            metavar="N",
            help="default: %(default)s",
        )
        parser.add_argument(
            "--port",
            type=argument_type(int, "a port from 1 to 65535", lambda port: 1 <= port <= 65535),
            default=8000,
            metavar="P",
            help="default: %(default)s; not with --once",
        )

    def handle(self, *args: Any, once: bool, rows: int, port: int, **options: Any) -> None:
        """Run the demo.

        Raises:
            CommandError: the user's own servers are configured, something does not start, or a
                step failed.
        """

        def stop(_signal: int, _frame: FrameType | None) -> None:
            raise Stopped

        walking = once and own_database.in_use()
        services = embedded.provided()
        if not walking and (
            services is None or None in (services.database_url, services.redis_url)
        ):
            raise CommandError(
                "DATABASE_URL or REDIS_URL points to your own server, and the demo "
                "creates sample data. Unset both (see also .env) to use the embedded "
                "servers."
            )
        try:
            for number in _END:
                signal.signal(number, stop)
            self._walk(rows) if walking else self._walk_apart(rows) if once else self._serve(
                rows, port
            )
        except (ChildDied, site.PortInUse, site.NoAnswer, own_database.AlreadyRunning) as error:
            raise CommandError(str(error)) from None
        except Stopped:
            if not walking:
                self._say("\nStopped.")
            if once:
                sys.exit(1)
        finally:
            _ignore_signals()
            if services is not None and services.started:
                embedded.stop(services.root)

    def _serve(self, rows: int, port: int) -> None:
        listener = site.listen(port)
        call_command("migrate", verbosity=0)
        with bars.working("creating the portfolio"):
            created = sample.create(rows)
        self._say(
            f"A portfolio of {rows:,} companies was created."
            if created
            else "The existing companies are kept."
        )
        with Children(SCRATCH, site.environment()) as children:
            with bars.working("starting web, worker and beat"):
                site.start(children, listener, SCRATCH)
            password, token = sample.admin_password(), sample.consumer_token()
            address = f"http://127.0.0.1:{port}"
            reset = "already exists; to set a new password: python manage.py changepassword admin"
            more = (
                "already exists; to create another: python manage.py consumers token "
                "--name NAME --scope read --scope write"
            )
            self._say(
                f"\nOpen      {address}/admin/"
                f"\nAdmin     {sample.ADMIN}, {f'password {password} (shown only now)' if password else reset}"
                f"\nToken     {f'{token} (shown only now)' if token else more}"
                f"\n\nTry       curl -s {address}/api/stages/normalize -H 'Authorization: Token {token or 'TOKEN'}' \\"
                '\n               -H \'Content-Type: application/json\' -d \'{"values": ["Series-A ", "Venture Debt"]}\''
                f"\n\nLogs      {SCRATCH}/web.log, worker.log, beat.log"
                "\nCtrl-C ends all of it; the data stays."
            )
            while True:
                children.check()
                time.sleep(0.3)

    def _walk_apart(self, rows: int) -> None:
        """Run the walk in a process with its own database."""
        with own_database.own_database(SCRATCH) as variables:
            child = subprocess.Popen(  # noqa: S603  this very command
                [sys.executable, sys.argv[0], "demo", "--once", "--rows", str(rows)],
                env={**os.environ, **variables, "STAGE_REFRESH_SECONDS": "1"},
                preexec_fn=ending_with_us(),
            )
            try:
                code = child.wait()
            finally:
                _ignore_signals()
                child.terminate()
                child.wait()
        if code:
            sys.exit(1)

    def _walk(self, rows: int) -> None:
        call_command("migrate", verbosity=0)
        with bars.working("creating the portfolio"):
            sample.create(rows)
        token = sample.consumer_token()
        assert token is not None
        with Children(SCRATCH / "once", site.environment()) as children:
            port = site.start(children, site.listen(0), SCRATCH / "once")
            caller = Caller(port, token)
            held = Walk(Report(self._say), children, caller, sample.truth(rows)).walk()
        if not held:
            raise CommandError(f"A step failed; the logs are in {SCRATCH / 'once'}.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _ignore_signals() -> None:
    """Ignore signals during shutdown, which has its own time limit."""
    for number in _END:
        signal.signal(number, signal.SIG_IGN)
