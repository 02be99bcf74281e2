"""A trial for the normalization command: its argument, its bars, and its lines for people."""

import argparse
from typing import Any

from stageapp import words
from stageapp.management import backup_report
from stageapp.management.actor import command_line_actor
from stageapp.models.normalization import Plan, State
from stageapp.normalization.trial import TrialRefused, trial

_SHOWN = 40
_INTERRUPTED = "Interrupted. The copy was dropped; nothing else was touched."


def add_argument(run: argparse.ArgumentParser) -> None:
    """Declare `--trial`."""
    run.add_argument(
        "--trial", type=_percent, metavar="PERCENT",
        help="try it on so much of a disposable copy from the newest verified backup, e.g. 5%%; changes nothing here",
    )  # fmt: skip


def carry_out(plan: Plan, percent: float, *, quiet: bool) -> dict[str, Any]:
    """Carry out a trial with bars on stderr; raises TrialRefused."""
    try:
        with backup_report.bars(quiet=quiet) as report:
            return trial(plan, percent, actor=command_line_actor(), report=report)
    except KeyboardInterrupt:
        raise TrialRefused(_INTERRUPTED) from None


def trial_lines(found: dict[str, Any]) -> list[str]:
    """Return what a trial found, for people."""
    return [
        f"Trial of plan {found['plan'][:12]} on a copy from {found['backup']}, of "
        f"{words.duration(found['data_age_seconds'])} ago",
        f"Sample: {found['rows']:,} rows ({words.percent(found['percent'])} by key, and the first row "
        "of each spelling)",
        *_run_lines(found),
        *(f"{one['rows']:>12,}  {one['old']!r} → {one['new']}" for one in found["changed"][:_SHOWN]),
        *_more(found["changed"]),
        *_trouble(found),
        *_back_lines(found),
        *_difference_lines(found["differences"]),
        *_estimate_lines(found),
        "The trial passed." if found["passed"] else "THE TRIAL DID NOT PASS.",
    ]


def _run_lines(found: dict[str, Any]) -> list[str]:
    verified = "verified" if found["verified"] else "NOT verified"
    rate = f", {found['rate']:,.0f} rows/s" if found["rate"] else ""
    met = ", ".join([*found["met"]["triggers"], *found["met"]["constraints"]]) or "none"
    return [
        f"Run: {_stands(found['run'])} in {words.duration(found['seconds'])}{rate}, {verified}",
        f"Triggers and constraints met: {met}",
    ]


def _trouble(found: dict[str, Any]) -> list[str]:
    """Return what went otherwise than the plan says."""
    lines = [f"RAISED for {one['old']!r} → {one['new']}: {one['said']}" for one in found["raised"][:_SHOWN]]
    lines += [f"UNEXPECTED, {one['rows']:,} rows: {one['old']!r} → {one['new']!r}" for one in found["unexpected"]]
    lines += [f"Error of the run: {found['error']}"] if found["error"] else []
    lines += [f"LEFT: {found['rows_left']:,} rows still hold a planned spelling"] if found["rows_left"] else []
    return [*lines, *(f"Said {one['times']:,} times: {one['said']}" for one in found["notices"][:_SHOWN])]


def _back_lines(found: dict[str, Any]) -> list[str]:
    same = "the md5 is that of before" if found["restored"] else f"md5 {found['md5_after']}, NOT {found['md5_before']}"
    took = words.duration(found["rollback_seconds"])
    lines = [f"Rollback: {_stands(found['rollback'])} in {took}; {same}"]
    lines += [f"Error of the rollback: {found['rollback_error']}"] if found["rollback_error"] else []
    return lines + [
        f"Also changed, by a trigger or by the target's rule, and not brought back: {name} in {rows:,} rows"
        for name, rows in found["other_columns_after"].items()
    ]


def _difference_lines(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    only = {"only_in_copy": "only in the copy", "only_in_plan": "only in the plan"}
    lines = [
        f"{one['rows']:>12,}  {one['raw']!r} {said} ({one['stage'] or one['reason']})"
        for name, said in only.items() for one in found[name][:_SHOWN]
    ]  # fmt: skip
    lines += [f"{one['copy']:>12,}  {one['raw']!r} in the copy, {one['plan']:,} in the plan"
              for one in found["other_counts"][:_SHOWN]]  # fmt: skip
    return ["Since the backup, or before the plan, the values changed:", *lines] if lines else []


def _estimate_lines(found: dict[str, Any]) -> list[str]:
    if found["estimated_seconds"] is None:
        return []
    return [
        f"Estimate for all {found['rows_of_plan']:,} rows: {words.duration(found['estimated_seconds'])}, of which "
        f"{words.duration(found['estimated_pause_seconds'])} are rests between batches"
    ]


def _stands(state: str) -> str:
    return State(state).said if state in State.values else state  # it may not have begun


def _more(shown: list[dict[str, Any]]) -> list[str]:
    return [f"{'':>12}  … and {len(shown) - _SHOWN} more; --json lists them all"] if len(shown) > _SHOWN else []


def _percent(text: str) -> float:
    percent = float(text.strip().removesuffix("%"))
    if not 0.01 <= percent <= 100:
        raise argparse.ArgumentTypeError("between 0.01% and 100%")
    return percent
