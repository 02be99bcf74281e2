"""`manage.py normalization …`: plan, approve, run, watch, verify and roll back from the command line."""

import json
import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, OperationalError
from kombu.exceptions import OperationalError as BrokerError
from tqdm import tqdm

from stageapp.management import normalization_report as report
from stageapp.management import throttle_report
from stageapp.management.actor import command_line_actor
from stageapp.models.normalization import Run, State
from stageapp.normalization import plan as plans
from stageapp.normalization import preflight, progress, runs, targets, throttling, verify, worker
from stageapp.normalization.batches import Result
from stageapp.normalization.errors import NormalizationError
from stageapp.normalization.factors import FACTORS
from stageapp.normalization.findings import Severity
from stageapp.tasks import advance_run
from stageapp.unknowns import records


class Command(BaseCommand):
    """Plan and carry out the normalization of a stored column."""

    help = "Normalize a stored column: plan (freeze what would change), run, watch, verify, roll back."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare one sub-command for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        plan = verbs.add_parser("plan", help="read the target and freeze what a run would change")
        plan.add_argument("--target", help="app.Model.field; may be left out when only one is configured")
        look = verbs.add_parser("preflight", help="look whether a run can work, and what would break in silence")
        look.add_argument("--target", help="app.Model.field; may be left out when only one is configured")
        run = verbs.add_parser("run", help="run a plan, or go on with an interrupted one")
        run.add_argument("--plan", required=True, metavar="HASH", help="as `normalization plan` printed it")
        run.add_argument("--dry-run", action="store_true", help="do everything, roll every batch back")
        run.add_argument("--foreground", action="store_true", help="work here instead of in a Celery worker")
        run.add_argument(
            "--override-gates", metavar="REASON", default="", help="start without a proven backup; kept in the history"
        )
        approve = verbs.add_parser("approve", help="approve a plan")
        approve.add_argument("hash", metavar="HASH")
        approve.add_argument("--break-glass", action="store_true", help="approve one's own plan; loud in the log")
        for name, text in _RUN_VERBS.items():
            verb = verbs.add_parser(name, help=text)
            verb.add_argument("run", nargs="?", type=int, help="the run's number; the newest one if left out")
            if name == "rollback":
                verb.add_argument("--foreground", action="store_true", help="work here, not in a worker")
        throttle = verbs.add_parser("throttle", help="show what holds a run back, or change its limits")
        throttle.add_argument("run", nargs="?", type=int, help="the run's number; the newest one if left out")
        throttle.add_argument(
            "--set", dest="limits", nargs="+", default=[], type=throttle_report.parse_limit, metavar="NAME=LIMIT",
            help=f"{', '.join(FACTORS)}; 0 is off, `default` is the setting's limit again",
        )  # fmt: skip
        for name, verb in verbs.choices.items():
            verb.add_argument("--json", action="store_true", help="one JSON document on stdout")
            if name not in ("plan", "preflight", "status", "verify"):
                verb.add_argument("--reason", default="from the command line", help="why; kept in the history")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        """Do the verb.

        Raises:
            CommandError: it is refused or the database does not answer; nothing half-done stays.
        """
        try:
            getattr(self, f"_{verb}")(**options)
        except NormalizationError as error:
            raise CommandError(str(error)) from None
        except OperationalError as error:
            raise CommandError(
                f"PostgreSQL does not answer, or gave up: {error}".strip()
                + "\nWhat was committed stays; run it again to go on."
            ) from None
        except DatabaseError as error:
            raise CommandError(
                f"PostgreSQL refuses the change: {error}".strip()
                + "\nNothing of the failed batch stays. Correct the cause, then run it again to go on."
            ) from None

    def _plan(self, *, target: str | None, **options: Any) -> None:
        plan = plans.make_plan(target or targets.default_label(), actor=command_line_actor())
        records.record_table(plan)
        self._print(report.plan_document(plan), report.plan_lines(plan), options)

    def _preflight(self, *, target: str | None, **options: Any) -> None:
        found = preflight.look(target or targets.default_label())
        self._print(found.document(), report.preflight_lines(found), options)
        if found.worst == Severity.BLOCKS:
            raise CommandError(f"A run of {found.target} would not start; see above.")

    def _approve(self, *, hash: str, reason: str, break_glass: bool, **options: Any) -> None:
        run = plans.find_plan(hash).run
        runs.approve(run, actor=command_line_actor(), reason=reason, break_glass=break_glass)
        self._show(run, options)

    def _run(
        self, *, plan: str, reason: str, dry_run: bool, foreground: bool, override_gates: str, **options: Any
    ) -> None:
        run = plans.find_plan(plan).run
        if dry_run:
            self._dry_run(run, options)
            return
        runs.start(run, actor=command_line_actor(), reason=reason, override=override_gates)
        self._work(run, options, foreground=foreground)

    def _rollback(self, *, run: int | None, reason: str, foreground: bool, **options: Any) -> None:
        chosen = _run_of(run) if run else runs.newest_to_roll_back()
        if chosen is None:
            raise NormalizationError("There is no finished run to roll back.")
        runs.request_rollback(chosen, actor=command_line_actor(), reason=reason)
        self._work(chosen, options, foreground=foreground)

    def _status(self, *, run: int | None, **options: Any) -> None:
        if run is None and not Run.objects.exists():
            self._print({"runs": []}, ["Nothing has been planned yet. Begin with `normalization plan`."], options)
            return
        self._show(_run_of(run), options)

    def _verify(self, *, run: int | None, **options: Any) -> None:
        found = verify.verify(_run_of(run))
        self._print(found, report.verification_lines(found), options)
        if not found["ok"]:
            raise CommandError("Rows and audit log disagree; see above.")

    def _pause(self, *, run: int | None, reason: str, **options: Any) -> None:
        self._show(runs.pause(_run_of(run), actor=command_line_actor(), reason=reason), options)

    def _resume(self, *, run: int | None, reason: str, **options: Any) -> None:
        chosen = runs.resume(_run_of(run), actor=command_line_actor(), reason=reason)
        self._work(chosen, options, foreground=False)

    def _cancel(self, *, run: int | None, reason: str, **options: Any) -> None:
        self._show(runs.cancel(_run_of(run), actor=command_line_actor(), reason=reason), options)

    def _throttle(
        self, *, run: int | None, limits: list[tuple[str, float | None]], reason: str, **options: Any
    ) -> None:
        chosen = _run_of(run)
        if limits:
            throttling.change(chosen, dict(limits), actor=command_line_actor(), reason=reason)
        shown, found = throttling.shown(chosen), throttling.limits(chosen)
        document = {"run": chosen.pk, "limits": {name: one.limit for name, one in found.items()}, **shown.document()}
        self._print(document, throttle_report.throttle_lines(shown, found), options)

    def _work(self, run: Run, options: dict[str, Any], *, foreground: bool) -> None:
        if foreground:
            self._work_here(run, options)
        else:
            self._nudge(run)
        self._show(run, options)
        if foreground and run.state not in (State.DONE, State.ROLLED_BACK):
            raise CommandError(f"Run {run.pk} is {run.state}. {run.last_error}".strip())

    def _work_here(self, run: Run, options: dict[str, Any]) -> None:
        try:
            with _bar(run, quiet=options["json"]) as advance_bar:
                worker.advance(run, report=advance_bar)
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted. {_after_interrupt(run)}") from None

    def _nudge(self, run: Run) -> None:
        try:
            advance_run.delay(run.pk)
        except (BrokerError, OSError) as error:
            self.stderr.write(
                f"The broker does not answer ({error}); the run waits in PostgreSQL and the next sweep of the beat "
                "process takes it up. Or work here: add --foreground."
            )

    def _dry_run(self, run: Run, options: dict[str, Any]) -> None:
        with _bar(run, quiet=options["json"]) as advance_bar:
            found = worker.dry_run(run, report=advance_bar)
        lines = [f"Dry run: of {found['scanned']:,} rows {found['would_change']:,} would change. Nothing was kept."]
        self._print(found, lines, options)

    def _show(self, run: Run, options: dict[str, Any]) -> None:
        at = progress.progress(run)
        self._print(report.run_document(run, at), report.run_lines(run, at), options)

    def _print(self, document: dict[str, Any], lines: list[str], options: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(document, default=str) if options["json"] else "\n".join(lines))


_RUN_VERBS = {
    "status": "show a run, its progress and ETA",
    "pause": "stop after the batch in hand",
    "resume": "go on from the checkpoint",
    "cancel": "stop for good; what changed stays",
    "verify": "compare rows and audit log; exit 1 if they disagree",
    "rollback": "undo a run from the audit log; the newest finished one if no number is given",
}


def _after_interrupt(run: Run) -> str:
    """Leave the run where nobody need wait for it, and return what to do next."""
    run.refresh_from_db()
    if run.state == State.RUNNING:
        runs.pause(run, actor=command_line_actor(), reason="interrupted at the keyboard")
    if run.state == State.ROLLING_BACK:
        return f"Go on with: normalization rollback {run.pk} --foreground"
    if run.state in (State.PAUSED, State.PAUSING, State.VERIFYING):
        return f"Go on with: normalization run --plan {run.plan.hash[:12]} --foreground"
    return f"Run {run.pk} is {run.state}."


def _run_of(number: int | None) -> Run:
    found = Run.objects.filter(pk=number).first() if number else Run.objects.first()
    if found is None:
        raise NormalizationError(f"There is no run {number}." if number else "There is no run yet.")
    return found


class _bar:  # noqa: N801  used as a function
    """A progress bar over the run's rows on stderr, with rate and ETA; silent with --json."""

    def __init__(self, run: Run, *, quiet: bool) -> None:
        at = progress.progress(run)
        self._bar = tqdm(
            total=at.total,
            initial=at.scanned,
            unit="row",
            unit_scale=True,
            disable=quiet,
            file=sys.stderr,
            mininterval=0.5 if sys.stderr.isatty() else 10.0,
        )

    def __enter__(self) -> Callable[[Result], None]:
        return self._advance

    def _advance(self, result: Result) -> None:
        if result.cursor.sweep == 0:  # a later sweep looks at rows that were counted before
            self._bar.update(result.scanned)

    def __exit__(self, *_: object) -> None:
        self._bar.close()
