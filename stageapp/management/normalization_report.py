"""Plans and runs as lines for a terminal and as JSON documents."""

import datetime
from argparse import ArgumentTypeError
from collections.abc import Iterable, Sequence
from typing import Any

from stageapp.audit import proof
from stageapp.audit.history import EntryHistory
from stageapp.documents.runs import drift_since
from stageapp.infrastructure import words
from stageapp.management import seal_report
from stageapp.models.normalization import Plan, PlanEntry, Run
from stageapp.models.proofs import Verification
from stageapp.models.unknowns import DriftCheck
from stageapp.normalization import limits
from stageapp.normalization.factors import FACTORS
from stageapp.normalization.limits import Limit, Shown
from stageapp.normalization.preflight import Preflight
from stageapp.normalization.progress import Progress
from stageapp.unknowns.examples import readable

# What holds a run back, as lines for a terminal, and limits as they are typed there.


def standing_lines(shown: Shown) -> list[str]:
    """Return a status's throttle lines: the current wait, what is not measured, and time lost."""
    lines = [f"Held: {shown.hold}"] if shown.hold else []
    lines += [f"Not measured: {one['title']} ({one['note']})" for one in shown.not_measured]
    lost = [
        f"{words.duration(seconds)} for {FACTORS[name].title}"
        for name, seconds in shown.seconds.items()
        if seconds
    ]
    return [*lines, f"Waited: {', '.join(lost)}"] if lost else lines


def throttle_lines(shown: Shown, limits: dict[str, Limit]) -> list[str]:
    """Return every factor: its last reading, its limit and who set it."""
    read = {reading["factor"]: reading for reading in shown.readings}
    when = (
        f"{shown.looked_at:%Y-%m-%d %H:%M:%S} UTC"
        if shown.looked_at
        else "never: no worker has started it"
    )
    lines = [f"Checked at: {when}"]
    for name, limit in limits.items():
        say, reading = FACTORS[name].say, read.get(name)
        state = "not checked"
        if reading:
            value = "" if reading["value"] is None else f"{say(reading['value'])}, "
            note = f" ({reading['note']})" if reading["note"] else ""
            state = f"{value}{reading['state']}{note}"
        by = f", set by {limit.actor}: {limit.reason}" if limit.actor else ""
        wanted = f"limit {say(limit.limit)}" if limit.limit else "off"
        waited = words.duration(shown.seconds[name])
        lines.append(f"  {name:<16} {state}; {wanted}{by}; waited {waited}")
    return [*lines, *([f"Held: {shown.hold}"] if shown.hold else [])]


def parse_limit(text: str) -> tuple[str, float | None]:
    """Parse NAME=LIMIT; the limit is None for `default`. Raises ArgumentTypeError."""
    name, _, limit = text.partition("=")
    try:
        return name, None if limit == "default" else float(limit)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not NAME=LIMIT, with a number or `default`") from None


_QUARANTINE_SHOWN = 10
_WAYS = {"forward": "Forward", "rollback": "Rollback"}
_SHOWN = 60  # entries of each kind that a terminal gets; --json has them all


def plan_document(plan: Plan) -> dict[str, Any]:
    entries = [
        {
            "raw": e.raw,
            "source": e.source,
            "stage": e.stage or None,
            "stored": e.stored or None,
            "reason": e.reason or None,
            "rows": e.rows,
        }
        for e in plan.entries.all()
    ]
    return {
        "hash": plan.hash,
        "target": plan.target,
        "vocabulary_version": plan.vocabulary_version,
        "rows_total": plan.rows_total,
        "rows_to_change": plan.rows_to_change,
        "rows_unknown": plan.rows_unknown,
        "estimated_seconds": plan.estimated_seconds,
        "spellings": len(entries),
        "entries": entries,
    }


def plan_lines(plan: Plan) -> list[str]:
    entries = list(plan.entries.all())
    changes = [e for e in entries if e.stage and e.stored != e.raw]
    unknowns = [e for e in entries if not e.stage]
    return [
        f"{plan.target}, vocabulary version {plan.vocabulary_version}",
        f"{plan.rows_total:,} rows in {len(entries)} spellings: {plan.rows_to_change:,} rows to "
        f"change, {plan.rows_unknown:,} unknown (they stay as they are)",
        _duration(plan),
        "",
        *_table("Would change", changes, lambda e: e.stored),
        *_table("Unknown", unknowns, lambda e: f"({e.reason})"),
        f"hash {plan.hash}",
        f"Next: normalization run --plan {words.short_hash(plan.hash)} --dry-run",
    ]


def _duration(plan: Plan) -> str:
    if plan.estimated_seconds is None:
        return "No duration estimate: the sampled rows are locked or refused right now."
    of_what = "by one worker, without pauses between batches; from a timed sample"
    return f"About {words.duration(plan.estimated_seconds)} of writing {of_what}"


def _table(title: str, entries: list[PlanEntry], meaning: Any) -> list[str]:
    if not entries:
        return []
    lines = []
    for e in entries[:_SHOWN]:
        raw = _printable(e.raw) + (f" from {_printable(e.source)}" if e.source else "")
        lines.append(f"{e.rows:>12,}  {raw:<44} → {meaning(e)}")
    if len(entries) > _SHOWN:
        lines.append(f"{'':>12}  … and {len(entries) - _SHOWN} more; --json lists them all")
    return [title, *lines, ""]


def preflight_lines(findings: Preflight) -> list[str]:
    """Return the findings of a preflight, worst first."""
    return [
        findings.target,
        *(f"  {one.severity:<6}  {one.what}\n          {one.means}" for one in findings.findings),
    ]


def dry_run_lines(result: dict[str, Any]) -> list[str]:
    """Return a dry run's findings for a terminal."""
    scanned, would_change = result["scanned"], result["would_change"]
    lines = [f"Dry run: of {scanned:,} rows {would_change:,} would change. Nothing was kept."]
    if apart := result["quarantined"]:
        said = "rows would go into quarantine: the database refuses to change them."
        lines.append(f"{len(apart):,} {said}")
        lines += [f"  row {one['row']} ({one['value']!r}): {one['error']}" for one in apart]
    return lines


def run_lines(run: Run, at: Progress) -> list[str]:
    eta = (
        f", about {words.duration(at.eta_seconds)} left at {at.rate:,.0f} rows/s"
        if at.eta_seconds is not None
        else ""
    )
    lines = [
        f"Run {run.pk} of {run.target} (plan {words.short_hash(run.plan.hash)}): {run.stands}",
        f"{_WAYS[at.direction]}: {at.scanned:,} of {at.total:,} rows "
        f"({words.percent(at.percent)}), {at.changed:,} changed{eta}",
    ]
    if at.shards > 1:
        lines.append(
            f"{at.shards_done} of {at.shards} shards are done; at most {run.shards} workers at "
            "once."
        )
    if at.workers:
        lines.append(
            f"Worked on by {', '.join(at.workers)}, last heartbeat {at.heartbeat_at:%H:%M:%S} UTC."
        )
    if at.stuck:
        lines.append(
            "No worker heartbeat for 5 minutes. Check the worker; `normalization pause "
            "--force` frees the run."
        )
    if at.quarantined:
        apart = run.quarantine.filter(direction=at.direction)
        lines.append(
            f"{words.count(at.quarantined, 'row is', 'rows are')} in quarantine: the database "
            f"refuses to change {'it' if at.quarantined == 1 else 'them'}."
        )
        lines += [f"  row {row.row_key}: {row.error}" for row in apart[:_QUARANTINE_SHOWN]]
    if at.skipped:
        skipped = words.count(at.skipped, "row was", "rows were")
        lines.append(f"{skipped} changed by others since and left alone.")
    if run.last_error:
        lines.append(f"Last error: {run.last_error}")
    lines += standing_lines(limits.shown(run))
    return [
        *lines,
        *_proof_lines(run, at),
        *_drift_lines(drift_since(run)),
        *seal_report.standing_lines(run.target),
    ]


def _proof_lines(run: Run, at: Progress) -> list[str]:
    """Return what is left of the run, its newest verification, and whether that is still valid."""
    known = proof.of_run(run)
    words = at.standing.words
    lines = [f"{words[:1].upper()}{words[1:]}."] if words else []
    if known.verification is None:
        return lines
    lines += verification_lines(known.verification, known.now)
    if known.stands:
        return [*lines, f"The proof is valid: {known.evidence}."]
    return [*lines, *(f"The proof is not valid: {doubt.text}" for doubt in known.doubts)]


def _drift_lines(look: DriftCheck | None) -> list[str]:
    if look is None:
        return []
    if look.problem:
        return [f"Drift check: {look.problem}"]
    seen = f"The drift check ran {words.ago(look.looked_at)}"
    rows = look.known_rows + look.unknown_rows
    if not rows:
        return [f"{seen}: nothing was written outside the API."]
    held = words.count(rows, "row holds", "rows hold")
    lines = [f"{seen}: {held} something other than a stage again."]
    for one in look.spellings[:_SHOWN]:
        value = _printable(readable(one["value"]))
        lines.append(f"{one['rows']:>12,}  {value} → {one['stage'] or one['reason']}")
    if look.known_rows == 1:
        lines.append("1 of them is a known spelling: a new plan and run normalize it.")
    elif look.known_rows:
        known = f"{look.known_rows:,} of them are known spellings"
        lines.append(f"{known}: a new plan and run normalize them.")
    if look.unknown_rows:
        unknown = words.count(look.unknown_rows, "of them is", "of them are")
        lines.append(f"{unknown} unknown: see `unknowns list`.")
    return lines


def history_lines(entries: Iterable[EntryHistory]) -> list[str]:
    """Return one row's history for a terminal."""
    lines = [
        f"{e.batch.committed_at:%Y-%m-%d %H:%M:%S} UTC  run {e.batch.run_id}, batch {e.batch_id}, "
        f"{e.batch.direction}: {_printable(e.old)} → {_printable(e.new)}"
        for e in (one.entry for one in entries)
    ]
    return lines or ["The audit log has no entry for this row."]


def rollback_lines(run: Run, pairs: list[dict[str, Any]]) -> list[str]:
    """Return the effect of a rollback for a terminal."""
    rows, left = sum(pair["rows"] for pair in pairs), sum(pair["changed_since"] for pair in pairs)
    lines = [
        f"{pair['rows']:>12,}  {_printable(pair['new'])} → {_printable(pair['old'])}"
        + (
            f"  ({pair['changed_since']:,} changed since are left alone)"
            if pair["changed_since"]
            else ""
        )
        for pair in pairs[:_SHOWN]
    ]
    return [
        f"Rolling back run {run.pk} would give {rows:,} rows their old value back, and leave "
        f"{left:,} that changed since.",
        *lines,
    ]


def verification_lines(
    made: Verification, now: datetime.datetime, different: Sequence[dict[str, Any]] = ()
) -> list[str]:
    results = made.found
    verdict = "agree" if results.get("agrees", made.ok) else "DISAGREE"
    counts = [
        (results["rows_as_written"], "rows as written"),
        (results.get("rows_undone", 0), "rolled back"),
        (results["rows_changed_since"], "changed since"),
        (results["rows_deleted_since"], "deleted since"),
        (results["rows_left"], "left with a planned spelling"),
        (
            results.get("rows_unplanned", 0),
            "left with a known spelling that is not in the plan",
        ),
        (results.get("quarantined", 0), "in quarantine"),
        (results.get("rows_unknown", 0), "unknown"),
    ]
    return [
        f"Verified {words.ago(made.ended_at, now)} by {made.actor}: rows and audit log {verdict}: "
        f"{results['entries']:,} entries, "
        + ", ".join(f"{rows:,} {what}" for rows, what in counts)
        + ".",
        *(f"  {doubt.text}" for doubt in proof.faults(made)),
        *(
            f"  row {d['row']}: written {d['written']!r}, now {d['now']!r}"
            for d in different[:_SHOWN]
        ),
    ]


def _printable(raw: str) -> str:
    shown = raw if len(raw) <= 40 else raw[:40] + "…"
    return ascii(shown) if not shown.isprintable() else repr(shown)
