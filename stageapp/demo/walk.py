"""The whole rollout without a browser, for real: observe, warn, plan, run, verify, enforce."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from django.db import DatabaseError
from kombu.exceptions import KombuError

from stageapp import conf
from stageapp.audit import log
from stageapp.demo import sample
from stageapp.demo.callers import REASON, STAGES, Answer, Caller
from stageapp.demo.site import Children
from stageapp.mode import store
from stageapp.models.batches import Direction
from stageapp.models.normalization import Plan, State
from stageapp.models.portfolio import Fund
from stageapp.normalization import choice, leases, runs, verify, worker
from stageapp.normalization import plan as plans
from stageapp.people import EVERYTHING, Person
from stageapp.rollout.changes import Wish, change_mode
from stageapp.targets import targets
from stageapp.targets.errors import NormalizationError
from stageapp.tasks import advance_run
from stageapp.traffic import windows

Write = Callable[[str], Any]


class StepFailed(Exception):
    """A check of the step failed; later steps would mean nothing."""


class Report:
    """Prints each check as it is made, and counts them."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._began = time.monotonic()
        self._steps = 0
        self.held = 0
        self.failed = 0

    def step(self, title: str) -> None:
        """Begin a step; the previous one must have passed.

        Raises:
            StepFailed: it has not.
        """
        if self.failed:
            raise StepFailed
        self._steps += 1
        self._write(f"\n{self._steps}. {title}")

    def note(self, text: str) -> None:
        self._write(f"           {text}")

    def check(self, name: str, *, expected: Any, measured: Any) -> None:
        """Print and count a check, which passes if the result is as expected."""
        if expected == measured:
            self.held += 1
            self._write(f"   ok      {name}: {_shown(measured)}")
        else:
            self.failed += 1
            self._write(f"   FAILED  {name}: expected {_shown(expected)}, found {_shown(measured)}")

    def verdict(self) -> bool:
        """Print and return the verdict."""
        took = f"{time.monotonic() - self._began:.0f} s"
        if self.failed or not self.held:
            self._write(
                f"\nNOT PASSED: {self.failed} checks failed, {self.held} passed, in {took}."
            )
            return False
        self._write(f"\nPASSED: all {self.held} checks in {self._steps} steps passed, in {took}.")
        return True


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items()) or "none"
    return str(value)


ACTOR = "demo"
_COUNTS_LIMIT = 20.0  # seconds until the web processes have written their counts
_ROWS_A_SECOND = 1000.0  # far below what a worker does
# What the parts say when they refuse or do not answer: the step did not hold.
_REFUSALS = (NormalizationError, store.ModeError, DatabaseError, KombuError, OSError, HTTPException)


@dataclass
class Walk:
    """The steps, in order, and what they share."""

    report: Report
    children: Children
    caller: Caller
    truth: sample.Truth
    fund: int = 0
    companies_before: int = 0
    plan: Plan | None = None
    column: Counter[str] = field(default_factory=Counter)

    def wait(self, done: Callable[[], bool], seconds: float) -> None:
        """Wait until it is done or the time is over; the check that follows tells which."""
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            self.children.check()
            time.sleep(0.1)

    def set_mode(self, mode: str, *, override: str = "") -> None:
        """Change the mode and wait as long as the slowest process may take to follow."""
        change_mode(Person(ACTOR, EVERYTHING), Wish(mode, "demo", override=override))
        self.wait(lambda: False, conf.settings.refresh_seconds + 1)

    def walk(self) -> bool:
        """Take every step, print the report, and return whether all checks passed."""
        try:
            for step in (
                self.read_sample,
                self.observe,
                self.warn,
                self.make_plan,
                self.dry_run,
                self.run,
                self.verify,
                self.enforce,
                self.leave,
            ):
                step()
        except StepFailed:
            self.report.note("The remaining steps were skipped.")
        except _REFUSALS as error:
            self.report.check(
                "the step ends",
                expected="without an error",
                measured=f"{type(error).__name__}: {error}",
            )
        return self.report.verdict()

    def read_sample(self) -> None:
        self.report.step("The sample: a table as users write it")
        self.column, self.fund = sample.column(), Fund.objects.all()[0].pk
        self.report.check("rows", expected=self.truth.rows, measured=self.column.total())
        self.report.check(
            "spellings", expected=len(self.truth.spellings), measured=len(self.column)
        )
        self.report.note(
            "e.g. " + ", ".join(f"{raw!r} {rows:,}" for raw, rows in self.column.most_common(8))
        )

    def observe(self) -> None:
        self.report.step("Observe (mode off): callers notice nothing, everything is counted")
        self.set_mode("off")
        answers = self.caller.round(self.fund)
        sent = Counter(answer.verdict for answer in answers)
        well_formed = [answer for answer in answers if answer.verdict != "malformed"]
        self._check_all(
            "well-formed requests accepted", well_formed, lambda answer: answer.accepted
        )
        self._check_all(
            "answers without any mention of validation",
            well_formed,
            lambda answer: answer.is_silent,
        )
        self._check_all(
            "malformed bodies refused", _of(answers, "malformed"), lambda answer: answer.is_problem
        )
        self.wait(lambda: windows.summary().total >= len(answers), _COUNTS_LIMIT)
        counted = windows.summary()
        self.report.check(
            "counted",
            expected=dict(sorted(sent.items())),
            measured={name: getattr(counted, name) for name in sorted(sent)},
        )
        for mode, outcomes in counted.outcomes.items():
            self.report.note(
                f"in {mode} this traffic gets: "
                + ", ".join(f"{n} {name}" for name, n in outcomes.items())
            )

    def warn(self) -> None:
        self.report.step("Warn: the same requests pass, and say what is wrong with them")
        self.set_mode("warn")
        answers = [
            answer for answer in self.caller.round(self.fund) if answer.verdict != "malformed"
        ]
        self._check_all("requests accepted", answers, lambda answer: answer.accepted)
        self._check_all(
            "X-Stage-Mode: warn",
            answers,
            lambda answer: answer.headers.get("x-stage-mode") == "warn",
        )
        self._check_all(
            "a stage_validation block with the verdict", answers, lambda answer: answer.warns
        )
        self._check_all(
            f"unknown stages reported with the reason {REASON}",
            _of(answers, "unknown"),
            lambda answer: answer.names_reason,
        )
        self.companies_before = _companies_of(answers, "canonical")
        self.report.note(
            f"The first fund has {self.companies_before:,} companies at {STAGES['canonical'][1]}, by "
            "meaning."
        )

    def make_plan(self) -> None:
        self.report.step("Plan: what a run would change, frozen and hashed")
        self.plan = plans.make_plan(targets.default_label(), actor=ACTOR)
        self.report.check("rows read", expected=self.truth.rows, measured=self.plan.rows_total)
        self.report.check(
            "rows to change", expected=self.truth.to_change, measured=self.plan.rows_to_change
        )
        self.report.check(
            "unknown rows, to stay as they are",
            expected=self.truth.unknown,
            measured=self.plan.rows_unknown,
        )
        wrong = [
            e.raw for e in self.plan.entries.all() if (e.stage or None) != sample.MEANING[e.raw]
        ]
        self.report.check(
            "spellings that a reader would understand differently", expected=[], measured=wrong
        )
        reasons: Counter[str] = Counter()
        for entry in self.plan.entries.filter(stage=""):
            reasons[entry.reason] += entry.rows
        self.report.note(
            "unknown because: "
            + ", ".join(f"{reason} {rows:,}" for reason, rows in reasons.most_common())
        )
        self.report.note(f"hash {self.plan.hash}")

    def dry_run(self) -> None:
        self.report.step("Dry run: the same code, every batch rolled back")
        assert self.plan is not None
        result = worker.dry_run(self.plan.run)
        self.report.check(
            "rows that would change",
            expected=self.plan.rows_to_change,
            measured=result["would_change"],
        )
        self.report.check(
            "the column is unchanged", expected=True, measured=sample.column() == self.column
        )

    def run(self) -> None:
        self.report.step("Run: a Celery worker executes it, batch by batch")
        assert self.plan is not None
        run, began = self.plan.run, time.monotonic()
        runs.start(
            run, actor=ACTOR, reason="demo", override="the demo uses companies created for it"
        )
        advance_run.delay(run.pk)

        def over() -> bool:
            run.refresh_from_db()
            return run.state in (State.DONE, State.FAILED)

        self.wait(over, 60 + self.truth.rows / _ROWS_A_SECOND)
        workers = set(run.checkpoints.values_list("holder", flat=True))
        self.report.check("state", expected="done", measured=str(run.state))
        self.report.check(
            "done by another process", expected=True, measured=leases.name() not in workers
        )
        logged = log.count(run, Direction.FORWARD)
        self.report.check("audit entries", expected=self.plan.rows_to_change, measured=logged)
        after = sample.column()
        self.report.check(
            "the column contains what was planned",
            expected=True,
            measured=after == self.truth.normalized,
        )
        self.report.note(
            f"{run.batches.count()} batches in {time.monotonic() - began:.1f} s by "
            f"{', '.join(sorted(workers))}"
        )

    def verify(self) -> None:
        self.report.step("Verify: rows against audit log")
        assert self.plan is not None
        made, _ = verify.verify(self.plan.run, actor=ACTOR, reason="the demo verifies again")
        results = made.found
        self.report.check("rows and audit log agree", expected=True, measured=results["ok"])
        self.report.check(
            "rows as written",
            expected=self.plan.rows_to_change,
            measured=results["rows_as_written"],
        )
        self.report.check(
            "rows left with a planned spelling", expected=0, measured=results["rows_left"]
        )

    def enforce(self) -> None:
        self.report.step("Enforce: an unknown stage is refused, a known one is not")
        self.report.note(
            "The demo overrides the gates: callers had no time to change. The reason is kept "
            "in the history."
        )
        self.set_mode("enforce", override="demo: callers have had no time to change")
        answers = self.caller.round(self.fund)
        known = _of(answers, "canonical") + _of(answers, "normalized")
        unknown = _of(answers, "unknown")
        self._check_all("known stages accepted", known, lambda answer: answer.accepted)
        self._check_all(
            "unknown stages refused with 400 and a problem document",
            unknown,
            lambda a: a.is_problem,
        )
        self._check_all(
            "refusals that list the valid stages",
            unknown,
            lambda a: "seed" in a.body.get("valid_stages", []),
        )
        self.report.check(
            "companies found by meaning, as before the run",
            expected=self.companies_before,
            measured=_companies_of(answers, "normalized"),
        )

    def leave(self) -> None:
        self.report.step("Leave it normalized: nothing is left to do, and everything can be undone")
        again = plans.make_plan(targets.default_label(), actor=ACTOR)
        self.report.check(
            "rows that a new plan would change", expected=0, measured=again.rows_to_change
        )
        newest = choice.run_to_roll_back(None)
        self.report.check(
            "run that a rollback would undo",
            expected=self.plan and self.plan.run.pk,
            measured=newest.pk,
        )

    def _check_all(self, name: str, answers: list[Answer], holds: Callable[[Answer], bool]) -> None:
        """Check a condition on every answer, and show the answers that fail self."""
        wrong = [answer for answer in answers if not holds(answer)]
        self.report.check(name, expected=len(answers), measured=len(answers) - len(wrong))
        for answer in wrong[:3]:
            self.report.note(
                f"{answer.endpoint} ({answer.verdict}): {answer.status} {str(answer.body)[:300]}"
            )


def _of(answers: list[Answer], verdict: str) -> list[Answer]:
    return [answer for answer in answers if answer.verdict == verdict]


def _companies_of(answers: list[Answer], verdict: str) -> int:
    counts = [
        answer.body.get("count", -1)
        for answer in _of(answers, verdict)
        if "companies" in answer.endpoint
    ]
    return int(counts[0])
