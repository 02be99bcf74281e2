"""`manage.py normalization …`: plan, approve, run, watch, verify, roll back, seal and guard."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, OperationalError
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError
from psycopg.errors import UndefinedTable

from stageapp.audit import history, rollbacks
from stageapp.audit.history import Place
from stageapp.documents.runs import EntryPage, RunInFull, RunThrottle, VerificationResult
from stageapp.infrastructure import words
from stageapp.management import (
    backup_report,
    bars,
    normalization_arguments,
    normalization_report,
    seal_report,
)
from stageapp.management.command import StageCommand, command_line_actor, not_migrated
from stageapp.models.normalization import Run, State
from stageapp.normalization import choice, drain, limits, preflight, progress, runs, verify, worker
from stageapp.normalization import plan as plans
from stageapp.normalization.batches import Result
from stageapp.sealing import guard, seal
from stageapp.sealing.preview import preview
from stageapp.targets import targets
from stageapp.targets.errors import Ambiguous, NormalizationError
from stageapp.targets.findings import Severity
from stageapp.tasks import nudge
from stageapp.unknowns import records


class Command(StageCommand):
    """Plan and carry out the normalization of a stored column."""

    help = (
        "Normalize a stored column: plan (freeze what would change), run, watch, verify, "
        "roll back, seal, guard."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        normalization_arguments.declare(verbs)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        """Run the sub-command.

        Raises:
            CommandError: it is refused or the database does not respond; nothing half-done
                remains.
        """
        try:
            getattr(self, f"_{verb}")(**options)
        except NormalizationError as error:
            code = 2 if isinstance(error, Ambiguous) else 1
            raise CommandError(str(error), returncode=code) from None
        except OperationalError as error:
            raise CommandError(
                f"PostgreSQL does not answer, or timed out: {error}".strip() + "\n"
                "Committed batches are kept; run it again to continue."
            ) from None
        except DatabaseError as error:
            if isinstance(error.__cause__, UndefinedTable):
                raise not_migrated(error) from None
            raise CommandError(
                f"PostgreSQL refused the change: {error}".strip()
                + (
                    "\n"
                    "Nothing of the failed batch was kept. Fix the cause, then run it "
                    "again to continue."
                )
            ) from None

    def _plan(self, *, target: str | None, **options: Any) -> None:
        with bars.working("reading the column", quiet=options["json"]):
            plan = plans.make_plan(choice.target(target), actor=command_line_actor())
            records.record_table(plan)
        self.print_result(
            normalization_report.plan_document(plan), normalization_report.plan_lines(plan), options
        )

    def _preflight(self, *, target: str | None, **options: Any) -> None:
        with bars.working("checking table and server", quiet=options["json"]):
            findings = preflight.look(choice.target(target))
        self.print_result(
            findings.document(), normalization_report.preflight_lines(findings), options
        )
        if findings.worst == Severity.BLOCKS:
            raise CommandError(f"A run of {findings.target} would not start; see above.")

    def _approve(self, *, hash: str, reason: str, break_glass: bool, **options: Any) -> None:
        run = plans.find_plan(hash).run
        runs.approve(run, actor=command_line_actor(), reason=reason, break_glass=break_glass)
        self._show(run, options)

    def _run(self, *, plan: str, reason: str, override_gates: str, **options: Any) -> None:
        run = plans.find_plan(plan).run
        if options["trial"]:
            result = backup_report.carry_out(run.plan, options["trial"], quiet=options["json"])
            self.print_result(result, backup_report.trial_lines(result), options)
            if not result["passed"]:
                raise CommandError(
                    "The trial did not pass; see above. The live database was not touched."
                )
            return
        if options["dry_run"]:
            with _bar(run, quiet=options["json"]) as advance_bar:
                result = worker.dry_run(run, report=advance_bar)
            self.print_result(result, normalization_report.dry_run_lines(result), options)
            return
        me = command_line_actor()
        if options["single_transaction"]:
            with bars.working("changing the column", quiet=options["json"]):
                worker.run_at_once(run, actor=me, reason=reason, override=override_gates)
            self._show(run, options)
            return
        with bars.working("checking whether it may start", quiet=options["json"]):
            runs.start(
                run, actor=me, reason=reason, override=override_gates, workers=options["shards"]
            )
        self._work(run, options, foreground=options["foreground"])

    def _rollback(
        self, *, run: int | None, target: str | None, reason: str, **options: Any
    ) -> None:
        chosen, scope = choice.run_to_roll_back(run, target), _scope(options)
        if options["dry_run"]:
            pairs = _rollback_pairs(chosen, scope, quiet=options["json"])
            lines = [*normalization_report.rollback_lines(chosen, pairs), _DRY_RUN_ENDS]
            self.print_result({"run": chosen.pk, "pairs": pairs}, lines, options)
            return
        if not (options["yes"] or chosen.state == State.ROLLING_BACK):
            # Show what would be undone and ask, on a terminal; raises CommandError without a yes.
            if options["json"] or not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise CommandError(
                    f"Rolling back run {chosen.pk} of {chosen.target} needs confirmation, "
                    "and there is no terminal to ask on. Check with --dry-run first, "
                    "then add --yes."
                )
            self.stdout.write(
                "\n".join(
                    normalization_report.rollback_lines(chosen, _rollback_pairs(chosen, scope))
                )
            )
            answer = ""
            with suppress(EOFError, KeyboardInterrupt):
                answer = input(f"Roll back run {chosen.pk} of {chosen.target}? [y/N] ")
            if answer.strip().lower() not in ("y", "yes"):
                raise CommandError("Nothing has changed.")
        runs.request_rollback(chosen, actor=command_line_actor(), reason=reason, scope=scope)
        ended = (State.DONE, State.CANCELLED) if scope else (State.ROLLED_BACK,)
        self._work(chosen, options, foreground=options["foreground"], ended=ended)

    def _history(self, *, row: str, target: str, **options: Any) -> None:
        entries = history.of_row(row, target=target, after=Place(), limit=_LONGEST_HISTORY)
        self.print_result(
            EntryPage({"next": None, "results": entries}).data,
            normalization_report.history_lines(entries),
            options,
        )

    def _workers(self, *, what: str, reason: str, **options: Any) -> None:
        if what != "show":
            drain.switch(draining=what == "drain", actor=command_line_actor(), reason=reason)
        draining = drain.draining()
        said = (
            "are draining and pick up no run: `normalization workers work` ends that"
            if draining
            else "pick up runs"
        )
        self.print_result({"draining": draining}, [f"Celery workers {said}."], options)

    def _tune(self, *, run: int | None, target: str | None, reason: str, **options: Any) -> None:
        wanted = {name: options[name] for name in ("workers", "batch_seconds", "pause_seconds")}
        self._show(
            runs.tune(choice.run(run, target), actor=command_line_actor(), reason=reason, **wanted),
            options,
        )

    def _status(self, *, run: int | None, target: str | None, **options: Any) -> None:
        if run is None and not Run.objects.exists():
            self.print_result(
                {"runs": []},
                ["There is no plan yet. Start with `normalization plan`."],
                options,
            )
            return
        self._show(choice.run(run, target), options)

    def _verify(self, *, run: int | None, target: str | None, reason: str, **options: Any) -> None:
        chosen = choice.run_to_verify(run, target)
        whole = chosen.plan.rows_total
        with bars.counting("comparing rows", whole, "row", quiet=options["json"]) as count:
            made, different = verify.verify(
                chosen,
                actor=command_line_actor(),
                reason=reason,
                full=options["full"],
                report=count,
            )
        lines = normalization_report.verification_lines(made, timezone.now(), different)
        document = dict(VerificationResult(made).data) | (
            {"different": different} if options["full"] else {}
        )
        self.print_result(document, lines, options)
        if not made.found["agrees"]:
            raise CommandError("Rows and audit log disagree; see above.")
        if not made.ok and chosen.state in _CLAIMS_ALL:
            raise CommandError(
                f"Run {chosen.pk} is {chosen.stands}, and known spellings are left; see above."
            )

    def _pause(
        self, *, run: int | None, target: str | None, reason: str, force: bool, **options: Any
    ) -> None:
        pause = runs.force_pause if force else runs.pause
        self._show(
            pause(choice.run(run, target), actor=command_line_actor(), reason=reason), options
        )

    def _resume(self, *, run: int | None, target: str | None, reason: str, **options: Any) -> None:
        chosen = runs.resume(choice.run(run, target), actor=command_line_actor(), reason=reason)
        self._work(chosen, options, foreground=False)

    def _cancel(self, *, run: int | None, target: str | None, reason: str, **options: Any) -> None:
        self._show(
            runs.cancel(choice.run(run, target), actor=command_line_actor(), reason=reason), options
        )

    def _throttle(
        self,
        *,
        run: int | None,
        target: str | None,
        reason: str,
        **options: Any,
    ) -> None:
        chosen = choice.run(run, target)
        if wanted := options["limits"]:
            limits.change(chosen, dict(wanted), actor=command_line_actor(), reason=reason)
        shown, in_force = limits.shown(chosen), limits.limits(chosen)
        document = {
            "run": chosen.pk,
            "limits": {name: one.limit for name, one in in_force.items()},
            **RunThrottle(chosen).data,
        }
        self.print_result(document, normalization_report.throttle_lines(shown, in_force), options)

    def _seal(
        self,
        *,
        target: str | None,
        allow: list[str] | None,
        null: str | None,
        dry_run: bool,
        reason: str,
        **options: Any,
    ) -> None:
        label, nulls = choice.target(target), {"allow": True, "refuse": False, None: None}[null]
        if not dry_run:
            with bars.working("sealing", quiet=options["json"]):
                now = seal.seal(
                    label, allow=allow, nulls=nulls, actor=command_line_actor(), reason=reason
                )
            self.print_result(seal_report.seal_document(now), seal_report.seal_lines(now), options)
            return
        with bars.working("reading the column", quiet=options["json"]):
            effect = preview(label, allow=allow, nulls=nulls)
        self.print_result(
            seal_report.preview_document(effect), seal_report.preview_lines(effect), options
        )
        if not effect.possible:
            raise CommandError("It cannot be sealed with these options; see above.")

    def _unseal(self, *, target: str | None, reason: str, **options: Any) -> None:
        with bars.working("waiting for the table", quiet=options["json"]):
            now = seal.unseal(choice.target(target), actor=command_line_actor(), reason=reason)
        self.print_result(seal_report.seal_document(now), seal_report.seal_lines(now), options)

    def _guard(self, *, switch: str, target: str | None, reason: str, **options: Any) -> None:
        label = choice.target(target)
        if switch == "status":
            now = guard.look(label)
        else:
            act = guard.switch_on if switch == "on" else guard.switch_off
            with bars.working("waiting for the table", quiet=options["json"]):
                now = act(label, actor=command_line_actor(), reason=reason)
        self.print_result(seal_report.guard_document(now), seal_report.guard_lines(now), options)

    def _work(
        self,
        run: Run,
        options: dict[str, Any],
        *,
        foreground: bool,
        ended: tuple[State, ...] = (State.DONE,),
    ) -> None:
        if foreground:
            try:
                with _bar(run, quiet=options["json"]) as advance_bar:
                    worker.advance(run, report=advance_bar)
            except KeyboardInterrupt:
                raise CommandError(f"Interrupted. {_after_interrupt(run)}") from None
        else:
            try:
                nudge(run)
            except (BrokerError, OSError) as error:
                self.stderr.write(
                    f"The broker does not answer ({error}); the run waits in PostgreSQL, "
                    "and the scheduler (beat) picks it up in its next sweep. To work in "
                    "this process instead, add --foreground."
                )
        self._show(run, options)
        if foreground and run.state not in ended:
            raise CommandError(f"Run {run.pk} is {run.stands}. {run.last_error}".strip())

    def _show(self, run: Run, options: dict[str, Any]) -> None:
        at = progress.progress(run)
        self.print_result(
            RunInFull(run).data,
            normalization_report.run_lines(run, at),
            options,
        )


_LONGEST_HISTORY = 10_000  # entries of one row
_DRY_RUN_ENDS = "Nothing has changed. Leave out --dry-run to apply it."
# In these states a run claims that no row holds a spelling of its plan.
_CLAIMS_ALL = (State.VERIFYING, State.DONE, State.FAILED)


def _scope(options: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a run to roll back.

    Raises:
        NormalizationError: the batches are not a range.
    """
    if options["value"] is not None:
        return {"value": options["value"]}
    if options["batches"] is None:
        return {}
    first, _, last = options["batches"].partition("-")
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise NormalizationError(
            f"--batches takes FIRST-LAST, as in 120-140, not {options['batches']!r}."
        )
    return {"batches": [int(first), int(last)]}


def _after_interrupt(run: Run) -> str:
    """Pause a running run, so that nobody has to wait for it, and return what to do next."""
    run.refresh_from_db()
    if run.state == State.RUNNING:
        runs.pause(run, actor=command_line_actor(), reason="interrupted at the keyboard")
    if run.state == State.ROLLING_BACK:
        return f"Continue with: normalization rollback {run.pk} --foreground"
    if run.state in (State.PAUSED, State.PAUSING, State.VERIFYING):
        return (
            f"Continue with: normalization run --plan {words.short_hash(run.plan.hash)} "
            "--foreground"
        )
    return f"Run {run.pk} is {run.stands}."


def _rollback_pairs(
    run: Run, scope: dict[str, Any], *, quiet: bool = False
) -> list[dict[str, Any]]:
    with bars.working("reading the audit log", quiet=quiet):
        return rollbacks.preview(run, targets.resolve(run.target), scope)


@contextmanager
def _bar(run: Run, *, quiet: bool) -> Iterator[Callable[[Result], None]]:
    """Show a progress bar over the run's rows on stderr, with rate and ETA; silent with --json."""
    at = progress.progress(run)
    with bars.bar(at.total, "row", quiet=quiet, initial=at.scanned) as bar:

        def advance(result: Result) -> None:
            if result.cursor.sweep == 0:  # a later sweep looks at rows that were counted before
                bar.update(result.scanned)

        yield advance
