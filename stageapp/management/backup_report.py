"""Output of the backup command: bars on stderr, lines for a terminal, and JSON documents."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.utils import timezone
from tqdm import tqdm

from stageapp.backups.keeping import Known
from stageapp.backups.progress import Report, silent
from stageapp.backups.verify import Verdict
from stageapp.infrastructure import words
from stageapp.management.command import command_line_actor
from stageapp.models.backups import Backup, BackupCheck
from stageapp.models.normalization import Plan, State
from stageapp.normalization.trial import TrialRefused, trial

_UNITS = {"measure": "table"}


@contextmanager
def bars(*, quiet: bool) -> Iterator[Report]:
    """Show one bar per phase on stderr, with rate and time left; none with --json."""
    if quiet:
        yield silent
        return
    current = _Bar()
    try:
        yield current.report
    finally:
        current.close()


class _Bar:
    """The bar of the current phase; each phase gets its own."""

    def __init__(self) -> None:
        self._phase, self._bar = "", tqdm(disable=True)

    def report(self, phase: str, done: int, whole: int) -> None:
        """Show the phase's progress; a `Report`."""
        if phase != self._phase:
            self.close()
            unit, every = _UNITS.get(phase, "B"), 0.5 if sys.stderr.isatty() else 10.0
            self._phase, self._bar = (
                phase,
                tqdm(
                    desc=phase,
                    total=whole or None,
                    unit=unit,
                    unit_scale=unit == "B",
                    file=sys.stderr,
                    mininterval=every,
                ),
            )
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


def backup_document(backup: Backup) -> dict[str, Any]:
    names = (
        "name",
        "origin",
        "taken_at",
        "ended_at",
        "bytes",
        "sha256",
        "rows",
        "schema",
        "vocabulary_version",
        "server_version",
    )
    return {name: getattr(backup, name) for name in names}


def backup_lines(backup: Backup) -> list[str]:
    seconds = (backup.ended_at - backup.taken_at).total_seconds()
    rows = "" if backup.rows is None else f", {backup.rows:,} rows"
    return [
        f"{backup.name}: {words.size(backup.bytes)}{rows}, data as of "
        f"{backup.taken_at:%F %T} UTC, made in {words.duration(seconds)}.",
        "Next: manage.py backup verify, then manage.py backup rehearse",
    ]


def verdict_lines(verdict: Verdict) -> list[str]:
    """Return every finding of a verdict for a terminal."""
    marks = {True: "ok    ", False: "FAILED"}
    lines = [
        f"  {marks[finding.passed]} {finding.check}: {finding.said}" for finding in verdict.findings
    ]
    return [
        f"{verdict.name}: {'good' if verdict.passed else 'NOT GOOD'} "
        f"({words.duration(verdict.seconds)})",
        *lines,
    ]


def rehearsal_lines(verdict: Verdict) -> list[str]:
    """Return a rehearsal's findings and measurements for a terminal."""
    age = (
        "unknown" if verdict.data_age is None else words.duration(verdict.data_age.total_seconds())
    )
    took = words.duration(verdict.seconds)
    return [
        *verdict_lines(verdict),
        f"  time to restore (RTO): {took}; age of the data (RPO): {age}",
    ]


def known_document(known: Known) -> dict[str, Any]:
    """Return one row of the list for JSON."""
    facts = backup_document(known.backup) if known.backup else {"name": known.name}
    age = (timezone.now() - known.backup.taken_at).total_seconds() if known.backup else None
    checks = {"verified": _check(known.verified), "rehearsed": _check(known.rehearsed)}
    return facts | checks | {"present": known.present, "age_seconds": age}


def known_lines(known: list[Known]) -> list[str]:
    """Return the list for a terminal."""
    if not known:
        return ["There is no backup yet. Make one: manage.py backup create"]
    return [
        f"{one.name}  {_size(one)}{_age(one)}  {_verdict('verified', one.verified)}, "
        f"{_verdict('rehearsed', one.rehearsed)}"
        f"{'' if one.present else '  MISSING'}"
        for one in known
    ]


def _size(known: Known) -> str:
    return words.size(known.backup.bytes) if known.backup else "not recorded"


def _age(known: Known) -> str:
    return f"  {words.age(known.backup.taken_at)} old" if known.backup else ""


def _verdict(word: str, check: BackupCheck | None) -> str:
    if check is None:
        return f"not {word}"
    ago = f"{words.age(check.created_at)} ago"
    if check.passed:
        return f"{word} {ago} in {words.duration(check.seconds)}"
    return f"FAILED to be {word} {ago}"


def _check(check: BackupCheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "passed": check.passed,
        "at": check.created_at,
        "seconds": check.seconds,
        "actor": check.actor,
    }


# A trial for the normalization command: its argument, its bars, and its lines for people.

_SHOWN = 40
_INTERRUPTED = "Interrupted. The copy was dropped; nothing else was touched."


def add_argument(run: argparse.ArgumentParser) -> None:
    """Declare `--trial`."""
    run.add_argument(
        "--trial",
        type=_percent,
        metavar="PERCENT",
        help="try it on this share of a disposable copy from the newest verified backup, e.g. "
        "5%%; changes nothing here",
    )


def carry_out(plan: Plan, percent: float, *, quiet: bool) -> dict[str, Any]:
    """Run a trial with bars on stderr; raises TrialRefused."""
    try:
        with bars(quiet=quiet) as report:
            return trial(plan, percent, actor=command_line_actor(), report=report)
    except KeyboardInterrupt:
        raise TrialRefused(_INTERRUPTED) from None


def trial_lines(trial: dict[str, Any]) -> list[str]:
    """Return a trial's findings for a terminal."""
    return [
        f"Trial of plan {words.short_hash(trial['plan'])} on a copy from "
        f"{trial['backup']}, with data {words.duration(trial['data_age_seconds'])} old",
        f"Sample: {trial['rows']:,} rows ({words.percent(trial['percent'])} by key, and the "
        "first row of each spelling)",
        *_run_lines(trial),
        *(
            f"{one['rows']:>12,}  {one['old']!r} → {one['new']}"
            for one in trial["changed"][:_SHOWN]
        ),
        *_more(trial["changed"]),
        *_trouble(trial),
        *_back_lines(trial),
        *_difference_lines(trial["differences"]),
        *_estimate_lines(trial),
        "The trial passed." if trial["passed"] else "THE TRIAL DID NOT PASS.",
    ]


def _run_lines(run: dict[str, Any]) -> list[str]:
    verified = "verified" if run["verified"] else "NOT verified"
    rate = f", {run['rate']:,.0f} rows/s" if run["rate"] else ""
    met = ", ".join([*run["met"]["triggers"], *run["met"]["constraints"]]) or "none"
    return [
        f"Run: {_stands(run['run'])} in {words.duration(run['seconds'])}{rate}, {verified}",
        f"Triggers and constraints involved: {met}",
    ]


def _trouble(trial: dict[str, Any]) -> list[str]:
    """Return where the trial differed from the plan."""
    lines = [
        f"RAISED for {one['old']!r} → {one['new']}: {one['said']}"
        for one in trial["raised"][:_SHOWN]
    ]
    lines += [
        f"UNEXPECTED, {one['rows']:,} rows: {one['old']!r} → {one['new']!r}"
        for one in trial["unexpected"]
    ]
    lines += [f"Error of the run: {trial['error']}"] if trial["error"] else []
    lines += (
        [f"LEFT: {trial['rows_left']:,} rows still contain a planned spelling"]
        if trial["rows_left"]
        else []
    )
    return [
        *lines,
        *(f"Notice, {one['times']:,} times: {one['said']}" for one in trial["notices"][:_SHOWN]),
    ]


def _back_lines(back: dict[str, Any]) -> list[str]:
    same = (
        "the md5 is the same as before"
        if back["restored"]
        else f"md5 {back['md5_after']}, NOT {back['md5_before']}"
    )
    took = words.duration(back["rollback_seconds"])
    lines = [f"Rollback: {_stands(back['rollback'])} in {took}; {same}"]
    lines += [f"Error of the rollback: {back['rollback_error']}"] if back["rollback_error"] else []
    return lines + [
        f"Also changed, by a trigger or by the target's rule, and not restored: {name} in "
        f"{rows:,} rows"
        for name, rows in back["other_columns_after"].items()
    ]


def _difference_lines(differences: dict[str, list[dict[str, Any]]]) -> list[str]:
    only = {"only_in_copy": "only in the copy", "only_in_plan": "only in the plan"}
    lines = [
        f"{one['rows']:>12,}  {one['raw']!r} {said} ({one['stage'] or one['reason']})"
        for name, said in only.items()
        for one in differences[name][:_SHOWN]
    ]
    lines += [
        f"{one['copy']:>12,}  {one['raw']!r} in the copy, {one['plan']:,} in the plan"
        for one in differences["other_counts"][:_SHOWN]
    ]
    return ["The values in the copy and in the plan differ:", *lines] if lines else []


def _estimate_lines(trial: dict[str, Any]) -> list[str]:
    if trial["estimated_seconds"] is None:
        return []
    return [
        f"Estimate for all {trial['rows_of_plan']:,} rows: "
        f"{words.duration(trial['estimated_seconds'])}, of which "
        f"{words.duration(trial['estimated_pause_seconds'])} are pauses between batches"
    ]


def _stands(state: str) -> str:
    return State(state).said if state in State.values else state  # it may not have begun


def _more(shown: list[dict[str, Any]]) -> list[str]:
    return (
        [f"{'':>12}  … and {len(shown) - _SHOWN} more; --json lists them all"]
        if len(shown) > _SHOWN
        else []
    )


def _percent(text: str) -> float:
    percent = float(text.strip().removesuffix("%"))
    if not 0.01 <= percent <= 100:
        raise argparse.ArgumentTypeError("must be between 0.01% and 100%")
    return percent
