"""The sub-commands of `normalization` and their arguments."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.core.management.base import CommandParser

from stageapp.management import backup_report, normalization_report
from stageapp.normalization.batches import MOST_SECONDS
from stageapp.normalization.factors import FACTORS

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Verbs = _SubParsersAction[CommandParser]

_RUN_VERBS = {
    "status": "show a run, its progress and ETA",
    "pause": "pause after the batch in flight",
    "resume": "continue from the checkpoint",
    "tune": "change the workers and the pace of a run, even while it is running",
    "cancel": "stop permanently; changed rows stay changed",
    "verify": (
        "compare rows, audit log and vocabulary; exit 1 if they disagree or a finished "
        "run left something"
    ),
    "rollback": "undo a run from the audit log, after showing what that changes",
}


def declare(verbs: "Verbs") -> None:
    """Declare every sub-command that plans, runs or rolls back."""
    plan = verbs.add_parser("plan", help="read the target and freeze what a run would change")
    plan.add_argument("--target", help="app.Model.field; optional if only one is configured")
    look = verbs.add_parser(
        "preflight", help="check whether a run can start, and what it would silently break"
    )
    look.add_argument("--target", help="app.Model.field; optional if only one is configured")
    approve = verbs.add_parser("approve", help="approve a plan")
    approve.add_argument("hash", metavar="HASH")
    approve.add_argument(
        "--break-glass", action="store_true", help="approve your own plan; logged as an error"
    )
    _declare_run(verbs)
    for name, text in _RUN_VERBS.items():
        verb = verbs.add_parser(name, help=text)
        _add_run(verb)
        if more := _RUN_OPTIONS.get(name):
            more(verb)
    history = verbs.add_parser("history", help="what happened to one row, when, by which run")
    history.add_argument("row", metavar="KEY", help="the row's primary key")
    history.add_argument("--target", default="", help="app.Model.field; default: all targets")
    workers = verbs.add_parser("workers", help="drain Celery workers, or let them work again")
    workers.add_argument("what", choices=["drain", "work", "show"])
    throttle = verbs.add_parser("throttle", help="show what throttles a run, or change its limits")
    _add_run(throttle)
    throttle.add_argument(
        "--set",
        dest="limits",
        nargs="+",
        default=[],
        type=normalization_report.parse_limit,
        metavar="NAME=LIMIT",
        help=f"{', '.join(FACTORS)}; 0 is off, `default` restores the setting's limit",
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
    run = verbs.add_parser("run", help="run a plan, or continue an interrupted run")
    run.add_argument(
        "--plan", required=True, metavar="HASH", help="as `normalization plan` printed it"
    )
    run.add_argument(
        "--dry-run", action="store_true", help="do everything, but roll every batch back"
    )
    run.add_argument(
        "--foreground",
        action="store_true",
        help="work in this process instead of in Celery workers",
    )
    run.add_argument(
        "--shards",
        type=int,
        metavar="N",
        help="number of concurrent workers, each on a key range",
    )
    run.add_argument(
        "--single-transaction",
        action="store_true",
        help="all or nothing, in this process; for small tables",
    )
    backup_report.add_argument(run)
    run.add_argument(
        "--override-gates",
        metavar="REASON",
        default="",
        help="start even if the backup gates do not pass; kept in the history",
    )


def _rollback_options(verb: CommandParser) -> None:
    verb.add_argument(
        "--foreground", action="store_true", help="work in this process, not in Celery workers"
    )
    verb.add_argument("--dry-run", action="store_true", help="show what it would do")
    verb.add_argument("--yes", action="store_true", help="do not ask; for scripts")
    part = verb.add_mutually_exclusive_group()
    part.add_argument("--batches", metavar="FIRST-LAST", help="only these batches, by id")
    part.add_argument("--value", help="only rows that held exactly this value")


def _tune_options(verb: CommandParser) -> None:
    verb.add_argument(
        "--workers", "--shards", type=int, metavar="N", help="number of concurrent workers"
    )
    verb.add_argument(
        "--batch-seconds",
        type=float,
        metavar="S",
        help=f"target duration of a batch, at most {MOST_SECONDS:g}",
    )
    verb.add_argument("--pause-seconds", type=float, metavar="S", help="pause between two batches")


_RUN_OPTIONS: dict[str, Callable[[CommandParser], object]] = {
    "rollback": _rollback_options,
    "tune": _tune_options,
    "verify": lambda verb: verb.add_argument(
        "--full", action="store_true", help="list the rows that changed since"
    ),
    "pause": lambda verb: verb.add_argument(
        "--force", action="store_true", help="pause a stuck run"
    ),
}


def _add_run(verb: CommandParser) -> None:
    verb.add_argument(
        "run",
        nargs="?",
        type=int,
        help="the run's number; default: the active run, or else the newest run of the only target",
    )
    verb.add_argument(
        "--target", metavar="LABEL", help="app.Model.field: its active run, or its newest one"
    )
