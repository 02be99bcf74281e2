"""The sub-commands of `normalization` and their arguments."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.core.management.base import CommandParser

from stageapp.management import backup_report, normalization_report
from stageapp.normalization.batches import MOST_SECONDS
from stageapp.normalization.throttle.factors import FACTORS

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Verbs = _SubParsersAction[CommandParser]

_RUN_VERBS = {
    "status": "show a run, its progress and ETA",
    "pause": "stop after the batch in hand",
    "resume": "go on from the checkpoint",
    "tune": "change how hard a run works, also while it is running",
    "cancel": "stop for good; what changed stays",
    "verify": (
        "compare rows, audit log and vocabulary; exit 1 if they disagree or a run that is "
        "done left something"
    ),
    "rollback": "undo a run from the audit log, after a look at what that changes",
}


def declare(verbs: "Verbs") -> None:
    """Declare every sub-command that plans, runs or rolls back."""
    plan = verbs.add_parser("plan", help="read the target and freeze what a run would change")
    plan.add_argument(
        "--target", help="app.Model.field; may be left out when only one is configured"
    )
    look = verbs.add_parser(
        "preflight", help="look whether a run can work, and what would break in silence"
    )
    look.add_argument(
        "--target", help="app.Model.field; may be left out when only one is configured"
    )
    approve = verbs.add_parser("approve", help="approve a plan")
    approve.add_argument("hash", metavar="HASH")
    approve.add_argument(
        "--break-glass", action="store_true", help="approve one's own plan; loud in the log"
    )
    _declare_run(verbs)
    for name, text in _RUN_VERBS.items():
        verb = verbs.add_parser(name, help=text)
        _add_run(verb)
        if more := _RUN_OPTIONS.get(name):
            more(verb)
    history = verbs.add_parser("history", help="what happened to one row, when, by which run")
    history.add_argument("row", metavar="KEY", help="the row's primary key")
    history.add_argument("--target", default="", help="app.Model.field; all targets if left out")
    workers = verbs.add_parser("workers", help="let Celery's workers take up no run, or work again")
    workers.add_argument("what", choices=["drain", "work", "show"])
    throttle = verbs.add_parser("throttle", help="show what holds a run back, or change its limits")
    _add_run(throttle)
    throttle.add_argument(
        "--set",
        dest="limits",
        nargs="+",
        default=[],
        type=normalization_report.parse_limit,
        metavar="NAME=LIMIT",
        help=f"{', '.join(FACTORS)}; 0 is off, `default` is the setting's limit again",
    )


def declare_common(verbs: "Verbs") -> None:
    """Add --json to every sub-command, and --reason to each that changes something."""
    for name, verb in verbs.choices.items():
        verb.add_argument("--json", action="store_true", help="one JSON document on stdout")
        if name not in ("plan", "preflight", "status", "history"):
            verb.add_argument(
                "--reason", default="from the command line", help="why; kept in the history"
            )


def _declare_run(verbs: "Verbs") -> None:
    run = verbs.add_parser("run", help="run a plan, or go on with an interrupted one")
    run.add_argument(
        "--plan", required=True, metavar="HASH", help="as `normalization plan` printed it"
    )
    run.add_argument("--dry-run", action="store_true", help="do everything, roll every batch back")
    run.add_argument(
        "--foreground", action="store_true", help="work here instead of in Celery workers"
    )
    run.add_argument(
        "--shards",
        type=int,
        metavar="N",
        help="so many workers at once, each on a range of the keys",
    )
    run.add_argument(
        "--single-transaction",
        action="store_true",
        help="all or nothing, here; for tables of few rows",
    )
    backup_report.add_argument(run)
    run.add_argument(
        "--override-gates",
        metavar="REASON",
        default="",
        help="start without a proven backup; kept in the history",
    )


def _rollback_options(verb: CommandParser) -> None:
    verb.add_argument("--foreground", action="store_true", help="work here, not in Celery workers")
    verb.add_argument("--dry-run", action="store_true", help="show what it would do")
    verb.add_argument("--yes", action="store_true", help="do not ask; for scripts")
    part = verb.add_mutually_exclusive_group()
    part.add_argument("--batches", metavar="FIRST-LAST", help="only these batches, by their ids")
    part.add_argument("--value", help="only rows that held exactly this value")


def _tune_options(verb: CommandParser) -> None:
    verb.add_argument(
        "--workers", "--shards", type=int, metavar="N", help="how many may work at once"
    )
    verb.add_argument(
        "--batch-seconds",
        type=float,
        metavar="S",
        help=f"time that a batch aims at, at most {MOST_SECONDS:g}",
    )
    verb.add_argument("--pause-seconds", type=float, metavar="S", help="rest between two batches")


_RUN_OPTIONS: dict[str, Callable[[CommandParser], object]] = {
    "rollback": _rollback_options,
    "tune": _tune_options,
    "verify": lambda verb: verb.add_argument(
        "--full", action="store_true", help="list the rows that changed since"
    ),
    "pause": lambda verb: verb.add_argument(
        "--force", action="store_true", help="of a run that is stuck"
    ),
}


def _add_run(verb: CommandParser) -> None:
    verb.add_argument(
        "run",
        nargs="?",
        type=int,
        help="the run's number; if left out the run at work, or else the newest one of the "
        "only target",
    )
    verb.add_argument(
        "--target", metavar="LABEL", help="app.Model.field: its run at work, or its newest one"
    )
