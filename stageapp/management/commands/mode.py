"""`manage.py mode show|set`: the validation mode from the command line."""

import datetime
import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError, ProgrammingError

from stageapp.documents.mode import ModeInForce
from stageapp.infrastructure import words
from stageapp.management import bars
from stageapp.management.command import StageCommand, argument_type, command_line_person
from stageapp.mode import processes, store
from stageapp.rollout.changes import Wish, change_mode, refusal
from stageapp.rollout.judgement import consequences

_LONGEST_WAIT = 3600
_WAIT = argument_type(
    float,
    f"a valid time to wait; give seconds, from 0 to {_LONGEST_WAIT}",
    lambda seconds: 0 <= seconds <= _LONGEST_WAIT,
)


class Command(StageCommand):
    """Show or change the validation mode."""

    help = (
        "Show or change the validation mode: off (observe only), warn (tell callers) or "
        "enforce (refuse)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="{show,set}")
        show = verbs.add_parser("show", help="print the mode in force")
        show.add_argument("--json", action="store_true", help="one JSON document on stdout")
        change = verbs.add_parser("set", help="change the mode, with a reason")
        change.add_argument("mode", choices=["off", "warn", "enforce"])
        change.add_argument(
            "--percent", type=int, default=None, help="share of consumers, 1-100; enforce only"
        )
        change.add_argument("--reason", required=True, help="why; kept in the history")
        change.add_argument(
            "--enforce-on",
            type=argument_type(datetime.date.fromisoformat, "a date; use YYYY-MM-DD"),
            metavar="DATE",
            help="announced first day of enforcement, YYYY-MM-DD",
        )
        change.add_argument(
            "--withdraw-enforce-on",
            action="store_true",
            help="withdraw the announced day; without this option the day stays, whatever the "
            "mode becomes",
        )
        change.add_argument(
            "--dry-run",
            action="store_true",
            help="print what callers would be told and what blocks the change; change nothing",
        )
        change.add_argument(
            "--override-gates",
            metavar="REASON",
            default="",
            help="move past gates that do not pass; kept in the history",
        )
        change.add_argument(
            "--break-glass",
            metavar="REASON",
            default="",
            help="enforce without a second person; logged as an error",
        )
        change.add_argument(
            "--wait",
            type=_WAIT,
            nargs="?",
            const=10.0,
            metavar="SECONDS",
            help="wait until every process follows; after this many seconds (10), list those "
            "that do not and exit 1",
        )
        change.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the sub-command.

        Raises:
            CommandError: the change is refused, not all processes follow in time, or PostgreSQL
                does not respond or lacks the tables.
        """
        try:
            if options["verb"] == "set":
                self._set(**options)
            if options.get("dry_run"):
                return
            self._show(as_json=options["json"])
        except store.ModeError as error:
            raise CommandError(str(error)) from None
        except OperationalError as error:  # one at COMMIT leaves open whether the change was made
            advice = "Bring it back, then check the stored mode with `manage.py mode show`."
            raise CommandError(
                f"PostgreSQL does not answer. {advice} The error was: {error}"
            ) from None
        except ProgrammingError as error:
            advice = "Run `manage.py migrate` first."
            raise CommandError(
                f"The database does not match this release. {advice} The error was: {error}"
            ) from None

    def _set(self, *, mode: str, percent: int | None, reason: str, **more: Any) -> None:
        wish = Wish(
            mode,
            reason,
            100 if percent is None else percent,
            more["enforce_on"],
            override=more["override_gates"],
            break_glass=more["break_glass"],
            withdraw_enforce_on=more["withdraw_enforce_on"],
        )
        if more["dry_run"]:
            self._foretell(wish, as_json=more["json"])
            return
        row = change_mode(command_line_person(), wish)
        self.warn_of_lag()
        if more["wait"] is not None:
            order = (row.epoch, row.version)
            seconds = more["wait"]
            quiet = more["json"]
            with bars.working("waiting for every process", quiet=quiet):
                agreed = processes.await_agreement(order, seconds)
            if agreed.stale:
                self.stderr.write(f"Stale, not waited for: {', '.join(map(str, agreed.stale))}")
            if agreed.behind:
                behind = ", ".join(map(str, agreed.behind))
                raise CommandError(
                    f"The mode was set (version {order[0]}.{order[1]}), but after "
                    f"{seconds:g} s these processes do not follow it yet: {behind}. They "
                    "follow within 5 s of reaching PostgreSQL; `manage.py mode show` "
                    "lists the version of each."
                )
            self.stderr.write(
                f"{words.count(len(agreed.following), 'process follows', 'processes follow')} "
                f"version {order[0]}.{order[1]}."
            )

    def _foretell(self, wish: Wish, *, as_json: bool) -> None:
        newest = store.latest()
        then = wish.after(newest)
        sentences = consequences(newest, then)
        held = refusal(command_line_person(), wish)
        if as_json:
            day = then.enforce_on.isoformat() if then.enforce_on else None
            held_back = str(held) if held else None
            shown = {
                "mode": then.mode,
                "percent": then.percent,
                "enforce_on": day,
                "told": sentences,
                "held_back": held_back,
            }
            self.stdout.write(json.dumps(shown))
            return
        self.stdout.write("\n".join(sentences))
        self.stdout.write(str(held) if held else "Nothing blocks the change.")
        self.stdout.write("Nothing was changed.")

    def _show(self, *, as_json: bool) -> None:
        state, registered = store.latest(), processes.seen()
        if as_json:
            known = [one.document() for one in registered]
            read = {"age": 0.0, "source": "postgres" if state.version else "default"}
            self.stdout.write(json.dumps({**ModeInForce(state).data, **read, "processes": known}))
            return
        share = f" for {state.percent} % of consumers" if state.mode == "enforce" else ""
        announced = f", enforcement announced for {state.enforce_on}" if state.enforce_on else ""
        self.stdout.write(f"{state.mode}{share} (version {state.epoch}.{state.version}{announced})")
        for one in registered:
            how = "live" if one.live else f"silent for {words.duration(one.silent_for)}"
            self.stdout.write(f"  {one}: {one.mode}, {how}")
