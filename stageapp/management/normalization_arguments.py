"""The sub-commands of `normalization` and their arguments."""

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandParser

from stageapp.management import backup_report, normalization_report
from stageapp.normalization.batches import MOST_SECONDS
from stageapp.normalization.factors import FACTORS

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    Verbs = _SubParsersAction[CommandParser]

_Argument = tuple[tuple[str, ...], dict[str, Any]]


def _argument(*names: str, **options: Any) -> _Argument:
    return names, options


def _switch(name: str, help: str) -> _Argument:
    return (name,), {"action": "store_true", "help": help}


_TARGET = _argument("--target", help="app.Model.field; optional if only one is configured")
_RUN = [
    _argument(
        "run",
        nargs="?",
        type=int,
        help="the run's number; default: the active run, or else the newest run of the only target",
    ),
    _argument(
        "--target", metavar="LABEL", help="app.Model.field: its active run, or its newest one"
    ),
]
_VERBS: dict[str, tuple[str, list[_Argument]]] = {
    "plan": ("read the target and freeze what a run would change", [_TARGET]),
    "preflight": ("check whether a run can start, and what it would silently break", [_TARGET]),
    "approve": (
        "approve a plan",
        [
            _argument("hash", metavar="HASH"),
            _switch("--break-glass", "approve your own plan; logged as an error"),
        ],
    ),
    "run": (
        "run a plan, or continue an interrupted run",
        [
            _argument(
                "--plan", required=True, metavar="HASH", help="as `normalization plan` printed it"
            ),
            _switch("--dry-run", "do everything, but roll every batch back"),
            _switch("--foreground", "work in this process instead of in Celery workers"),
            _argument(
                "--shards",
                type=int,
                metavar="N",
                help="number of concurrent workers, each on a key range",
            ),
            _switch("--single-transaction", "all or nothing, in this process; for small tables"),
            _argument(
                "--trial",
                type=backup_report.trial_percent,
                metavar="PERCENT",
                help="try it on this share of a disposable copy from the newest verified backup, "
                "e.g. 5%%; changes nothing here",
            ),
            _argument(
                "--override-gates",
                metavar="REASON",
                default="",
                help="start even if the backup gates do not pass; kept in the history",
            ),
        ],
    ),
    "status": ("show a run, its progress and ETA", _RUN),
    "pause": (
        "pause after the batch in flight",
        [*_RUN, _switch("--force", "pause a stuck run")],
    ),
    "resume": ("continue from the checkpoint", _RUN),
    "tune": (
        "change the workers and the pace of a run, even while it is running",
        [
            *_RUN,
            _argument(
                "--workers", "--shards", type=int, metavar="N", help="number of concurrent workers"
            ),
            _argument(
                "--batch-seconds",
                type=float,
                metavar="S",
                help=f"target duration of a batch, at most {MOST_SECONDS:g}",
            ),
            _argument("--pause-seconds", type=float, metavar="S", help="pause between two batches"),
        ],
    ),
    "cancel": ("stop permanently; changed rows stay changed", _RUN),
    "verify": (
        "compare rows, audit log and vocabulary; exit 1 if they disagree or a finished "
        "run left something",
        [*_RUN, _switch("--full", "list the rows that changed since")],
    ),
    "rollback": (
        "undo a run from the audit log, after showing what that changes",
        [
            *_RUN,
            _switch("--foreground", "work in this process, not in Celery workers"),
            _switch("--dry-run", "show what it would do"),
            _switch("--yes", "do not ask; for scripts"),
        ],
    ),
    "history": (
        "what happened to one row, when, by which run",
        [
            _argument("row", metavar="KEY", help="the row's primary key"),
            _argument("--target", default="", help="app.Model.field; default: all targets"),
        ],
    ),
    "workers": (
        "drain Celery workers, or let them work again",
        [_argument("what", choices=["drain", "work", "show"])],
    ),
    "throttle": (
        "show what throttles a run, or change its limits",
        [
            *_RUN,
            _argument(
                "--set",
                dest="limits",
                nargs="+",
                default=[],
                type=normalization_report.parse_limit,
                metavar="NAME=LIMIT",
                help=f"{', '.join(FACTORS)}; 0 is off, `default` restores the setting's limit",
            ),
        ],
    ),
    "seal": (
        "make PostgreSQL refuse everything but stages",
        [
            _argument(
                "--allow",
                action="append",
                metavar="VALUE",
                help="an unknown value that may stay; can be repeated",
            ),
            _argument(
                "--null",
                choices=["allow", "refuse"],
                help="whether NULL passes (default for a first seal: allow)",
            ),
            _switch("--dry-run", "show what would fail; exit 1 if it cannot be sealed"),
            _TARGET,
        ],
    ),
    "unseal": ("remove the seal", [_TARGET]),
    "guard": (
        "turn known spellings into stages as they are written",
        [_argument("switch", choices=["on", "off", "status"]), _TARGET],
    ),
}


def declare(verbs: "Verbs") -> None:
    """Declare every sub-command, with --json, and with --reason if it changes something."""
    for name, (text, arguments) in _VERBS.items():
        verb = verbs.add_parser(name, help=text)
        for names, options in arguments:
            verb.add_argument(*names, **options)
        verb.add_argument("--json", action="store_true", help="one JSON document on stdout")
        if name not in ("plan", "preflight", "status", "history"):
            verb.add_argument(
                "--reason", default="from the command line", help="why; kept in the history"
            )
    part = verbs.choices["rollback"].add_mutually_exclusive_group()
    part.add_argument("--batches", metavar="FIRST-LAST", help="only these batches, by id")
    part.add_argument("--value", help="only rows that held exactly this value")
