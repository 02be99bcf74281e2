"""`manage.py mode show|set`: the validation mode from the command line."""

import argparse
import datetime
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, ProgrammingError

from stageapp import modes
from stageapp.management.actor import command_line_person
from stageapp.rollout.changes import Wish, change_mode


class Command(BaseCommand):
    """Show or change the validation mode."""

    help = "Show or change the validation mode: off (observe only), warn (tell callers) or enforce (refuse)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare show and set."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="{show,set}")
        show = verbs.add_parser("show", help="print the mode in force")
        show.add_argument("--json", action="store_true", help="one JSON document on stdout")
        change = verbs.add_parser("set", help="change the mode, with a reason")
        change.add_argument("mode", choices=["off", "warn", "enforce"])
        change.add_argument("--percent", type=int, default=None, help="share of consumers, 1-100; enforce only")
        change.add_argument("--reason", required=True, help="why; kept in the history")
        change.add_argument(
            "--enforce-on", type=_day, metavar="DATE", help="announced first day of enforcement, YYYY-MM-DD"
        )
        change.add_argument(
            "--override-gates", metavar="REASON", default="", help="go past gates that do not pass; kept in the history"
        )
        change.add_argument(
            "--break-glass", metavar="REASON", default="", help="enforce without the second person; loud in the log"
        )
        change.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do the verb.

        Raises:
            CommandError: the change is refused, or PostgreSQL does not answer or lacks the tables.
        """
        try:
            if options["verb"] == "set":
                self._set(**options)
            self._show(as_json=options["json"])
        except modes.ModeError as error:
            raise CommandError(str(error)) from None
        except OperationalError as error:  # one at COMMIT leaves open whether the change was made
            advice = "Bring it back, then see with `manage.py mode show` what holds."
            raise CommandError(f"PostgreSQL does not answer. {advice} It said: {error}") from None
        except ProgrammingError as error:
            advice = "Run `manage.py migrate` first."
            raise CommandError(f"The database does not fit this release. {advice} It said: {error}") from None

    def _set(self, *, mode: str, percent: int | None, reason: str, **more: Any) -> None:
        wish = Wish(
            mode, reason, 100 if percent is None else percent, more["enforce_on"],
            override=more["override_gates"], break_glass=more["break_glass"],
        )  # fmt: skip
        change_mode(command_line_person(), wish)

    def _show(self, *, as_json: bool) -> None:
        state = modes.latest()
        shown = {
            "mode": state.mode,
            "percent": state.percent,
            "epoch": state.epoch,
            "version": state.version,
            "enforce_on": state.enforce_on.isoformat() if state.enforce_on else None,
            "source": state.source if state.version else "default",
        }
        if as_json:
            self.stdout.write(json.dumps(shown))
            return
        share = f" for {state.percent} % of consumers" if state.mode == "enforce" else ""
        announced = f", enforcement announced for {state.enforce_on}" if state.enforce_on else ""
        self.stdout.write(f"{state.mode}{share} (version {state.epoch}.{state.version}{announced})")


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write it as YYYY-MM-DD") from None
