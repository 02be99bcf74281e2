"""Output of the backup command and of a trial: lines for a terminal, and JSON documents."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.utils import timezone
from tqdm import tqdm

from stageapp.backups.keeping import Known
from stageapp.backups.progress import Report, silent
from stageapp.backups.verify import Verdict
from stageapp.infrastructure import words
from stageapp.management import bars
from stageapp.management.command import argument_type, command_line_actor
from stageapp.models.backups import Backup, BackupCheck
from stageapp.models.normalization import Plan, State
from stageapp.normalization.trial import TrialRefused, trial


@contextmanager
def phases(*, quiet: bool) -> Iterator[Report]:
    """Show one bar per phase of a backup, with rate and time left; none if it is quiet."""
    if quiet:
        yield silent
        return
    current, shown = "", tqdm(disable=True)

    def report(phase: str, done: int, whole: int) -> None:
        nonlocal current, shown
        if phase != current:
            shown.close()
            unit = "table" if phase == "measure" else "B"
            current, shown = phase, bars.bar(whole or None, unit, scaled=unit == "B", desc=phase)
        shown.update(done - shown.n)

    try:
        yield report
    finally:
        shown.close()


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
    lines = []
    for one in known:
        facts = "not recorded"
        if one.backup:
            facts = f"{words.size(one.backup.bytes)}  {words.age(one.backup.taken_at)} old"
        lines.append(
            f"{one.name}  {facts}  {_verdict('verified', one.verified)}, "
            f"{_verdict('rehearsed', one.rehearsed)}"
            f"{'' if one.present else '  MISSING'}"
        )
    return lines


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


# A trial for the normalization command: its share, its bars, and its lines for people.

_SHOWN = 40
_PERCENT = argument_type(
    float, "a share between 0.01% and 100%", lambda share: 0.01 <= share <= 100
)
_INTERRUPTED = "Interrupted. The copy was dropped; nothing else was touched."


def trial_percent(text: str) -> Any:
    """Parse a share such as `5%`; raises ArgumentTypeError."""
    return _PERCENT(text.strip().removesuffix("%"))


def carry_out(plan: Plan, percent: float, *, quiet: bool) -> dict[str, Any]:
    """Run a trial with bars on stderr; raises TrialRefused."""
    try:
        with phases(quiet=quiet) as report:
            return trial(plan, percent, actor=command_line_actor(), report=report)
    except KeyboardInterrupt:
        raise TrialRefused(_INTERRUPTED) from None


def trial_lines(trial: dict[str, Any]) -> list[str]:
    """Return a trial's findings for a terminal."""
    rate = f", {trial['rate']:,.0f} rows/s" if trial["rate"] else ""
    involved = ", ".join([*trial["met"]["triggers"], *trial["met"]["constraints"]]) or "none"
    changed = trial["changed"]
    lines = [
        f"Trial of plan {words.short_hash(trial['plan'])} on a copy from "
        f"{trial['backup']}, with data {words.duration(trial['data_age_seconds'])} old",
        f"Sample: {trial['rows']:,} rows ({words.percent(trial['percent'])} by key, and the "
        "first row of each spelling)",
        f"Run: {_stands(trial['run'])} in {words.duration(trial['seconds'])}{rate}, "
        f"{'verified' if trial['verified'] else 'NOT verified'}",
        f"Triggers and constraints involved: {involved}",
        *(f"{one['rows']:>12,}  {one['old']!r} → {one['new']}" for one in changed[:_SHOWN]),
    ]
    if len(changed) > _SHOWN:
        lines.append(f"{'':>12}  … and {len(changed) - _SHOWN} more; --json lists them all")
    lines += [*_trouble(trial), *_rollback_lines(trial), *_difference_lines(trial["differences"])]
    if trial["estimated_seconds"] is not None:
        lines.append(
            f"Estimate for all {trial['rows_of_plan']:,} rows: "
            f"{words.duration(trial['estimated_seconds'])}, of which "
            f"{words.duration(trial['estimated_pause_seconds'])} are pauses between batches"
        )
    return [*lines, "The trial passed." if trial["passed"] else "THE TRIAL DID NOT PASS."]


def _rollback_lines(trial: dict[str, Any]) -> list[str]:
    """Return whether the rollback restored everything."""
    same = "the md5 is the same as before"
    if not trial["restored"]:
        same = f"md5 {trial['md5_after']}, NOT {trial['md5_before']}"
    took = words.duration(trial["rollback_seconds"])
    lines = [f"Rollback: {_stands(trial['rollback'])} in {took}; {same}"]
    if error := trial["rollback_error"]:
        lines.append(f"Error of the rollback: {error}")
    return lines + [
        f"Also changed, by a trigger or by the target's rule, and not restored: {name} in "
        f"{rows:,} rows"
        for name, rows in trial["other_columns_after"].items()
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
    if trial["error"]:
        lines.append(f"Error of the run: {trial['error']}")
    if trial["rows_left"]:
        lines.append(f"LEFT: {trial['rows_left']:,} rows still contain a planned spelling")
    return [
        *lines,
        *(f"Notice, {one['times']:,} times: {one['said']}" for one in trial["notices"][:_SHOWN]),
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


def _stands(state: str) -> str:
    return State(state).said if state in State.values else state  # it may not have begun
