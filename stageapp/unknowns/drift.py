"""Drift check: find values that bypassed the API into a column that a run has normalized.

A bulk update, raw SQL or another service does not go through the validator. The column shows the
result: a value that is not a canonical stage, in more rows than the run left. Unknown values go to
the unknown queue as a bypass; known spellings need no decision, only another run, and appear in
the target's status.
"""

import datetime
import re
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from stageapp import conf
from stageapp.audit import proof
from stageapp.infrastructure import events
from stageapp.models.normalization import Run
from stageapp.models.proofs import TargetWrite
from stageapp.models.unknowns import DriftCheck
from stageapp.targets import targets
from stageapp.targets.errors import NormalizationError
from stageapp.targets.targets import Target
from stageapp.targets.values import distinct_values
from stageapp.unknowns import records
from stageapp.unknowns.examples import example
from stageapp.vocabulary import snapshot
from stageapp.vocabulary.snapshot import Snapshot

# PostgreSQL's counters are a hint: a crash sets them back. So the rows are read now and then
# without one.
READ_ANYWAY_AFTER = datetime.timedelta(hours=1)
SHOWN_VALUES = 50


@dataclass(frozen=True)
class Drifted:
    """A value that is not canonical, in more rows than the run left."""

    source: str
    value: str
    rows: int
    stage: str | None
    reason: str | None


def watch() -> list[DriftCheck]:
    """Check every target with a standing run; return one result per target."""
    checks = [
        check(label, run)
        for label in conf.targets()
        if (run := proof.standing_run(label)) is not None
    ]
    DriftCheck.objects.exclude(target__in=[look.target for look in checks]).delete()
    return checks


def latest(target: str) -> DriftCheck | None:
    """Return a target's latest drift check, or None if it is not checked."""
    return DriftCheck.objects.filter(target=target).first()


def check(label: str, run: Run) -> DriftCheck:
    """Check one target unless it is unchanged since the last check; read errors go to `problem`."""
    now, before = timezone.now(), latest(label)
    try:
        target = targets.resolve(label)
        writes = _writes(
            target
        )  # before the rows: a write in between is then read twice, never missed
        meaning_of = snapshot.load()
        state = {
            "run": run.pk,
            "writes": writes,
            "vocabulary_version": meaning_of.version,
            "options": proof.options(target),
        }
        # Whether other tables or the time say which rows are the target's: that changes without a
        # write to it.
        elsewhere = re.search(
            r"\bselect\b|\bnow\(|\bcurrent_|_timestamp\(", target.where, re.IGNORECASE
        )
        if (
            before is not None
            and elsewhere is None
            and not before.problem
            and now - before.checked_at < READ_ANYWAY_AFTER
            and all(getattr(before, name) == value for name, value in state.items())
        ):
            DriftCheck.objects.filter(pk=before.pk).update(looked_at=now)
            before.looked_at = now
            return before
        drifted = _drifted(target, run, meaning_of)
    except NormalizationError as problem:
        events.drift_watch_failed(target=label, error=str(problem))
        new = {"checked_at": now, "writes": -1}
        return _store(label, run=run.pk, looked_at=now, problem=str(problem), new=new)
    return _keep(label, drifted, state, now, before)


def _writes(target: Target) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd), 0) FROM pg_stat_user_tables "
            # A partitioned table's rows are in its partitions.
            "WHERE relid = ANY(%s::regclass[]) OR relid IN (SELECT relid FROM "
            "pg_partition_tree(%s::regclass))",
            # A new row of a child's table makes one that stood in its parent's the target's.
            [[target.table, *(link.table for link in target.links)], target.table],
        )
        return int(cursor.fetchone()[0])


def _drifted(target: Target, run: Run, meaning_of: Snapshot) -> list[Drifted]:
    """Return the values in more rows than the run left; it leaves no known spellings."""
    held = distinct_values(
        target,
        besides=target.canonical(meaning_of.labels),
        seconds=conf.settings.drift_timeout_seconds,
    )
    entries = run.plan.entries.filter(stage="", raw__in=[raw for _, raw, _ in held])
    left = {
        (source, raw): rows for source, raw, rows in entries.values_list("source", "raw", "rows")
    }
    drifted = []
    for source, raw, rows in held:
        meaning = meaning_of.normalize(raw, source)
        more = rows if meaning.stage else rows - left.get((source, raw), 0)
        if more > 0:
            drifted.append(Drifted(source, raw, more, meaning.stage, meaning.reason))
    return drifted


def _keep(
    label: str,
    drifted: list[Drifted],
    state: dict[str, Any],
    now: datetime.datetime,
    before: DriftCheck | None,
) -> DriftCheck:
    unknown = [(value.source, value.value, value.rows) for value in drifted if value.stage is None]
    known_rows = sum(value.rows for value in drifted if value.stage is not None)
    drifted.sort(key=lambda value: -value.rows)
    with transaction.atomic():
        records.record_bypass(label, unknown)
        look = _store(
            label,
            checked_at=now,
            looked_at=now,
            problem="",
            known_rows=known_rows,
            unknown_rows=sum(rows for _, _, rows in unknown),
            spellings=[
                {
                    "value": example(value.value),
                    "stage": value.stage,
                    "reason": value.reason,
                    "rows": value.rows,
                }
                for value in drifted[:SHOWN_VALUES]
            ],
            **state,
        )
        if known_rows and (
            before is None or (before.run, before.spellings) != (look.run, look.spellings)
        ):
            # Kept, for the next look may find them gone: by then the rows have changed once more.
            proof.record_write(
                label,
                TargetWrite.DRIFT,
                known_rows,
                actor="the drift check",
                reason=f"compared with run {look.run}",
            )
    if drifted:
        events.drift_found(
            target=label, known_rows=known_rows, unknown_rows=look.unknown_rows, values=len(drifted)
        )
    return look


def _store(label: str, *, new: dict[str, Any] | None = None, **columns: Any) -> DriftCheck:
    look, _ = DriftCheck.objects.update_or_create(
        target=label, defaults=columns, create_defaults={**columns, **(new or {})}
    )
    return look
