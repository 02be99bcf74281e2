"""The part of a trial that runs in the copy: sample, try, run, verify, roll back, compare."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from django.db import DatabaseError, connection, transaction

from stageapp.models.normalization import UNFINISHED, Plan, Run, State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, verify, worker
from stageapp.normalization.statements import Change
from stageapp.normalization.trial import tries
from stageapp.normalization.trial.compare import Before
from stageapp.targets.errors import NormalizationError, PreflightRefused, TooManyQuarantined
from stageapp.targets.targets import Target, resolve
from stageapp.vocabulary import snapshot

# The sample of a trial: all other rows are taken out of the copy, so that the engine itself meets
# the sample alone.
#
# A row is in it by a hash of its key: the same rows each time, and those of 5 % are among those of
# 10 %. The first row of each planned spelling among the target's rows is added, so that a rare
# spelling is tried too.

# Ten thousandths of the 32-bit numbers that keys are hashed to, by a hash that is the same in every
# version.
_TAKEN = "('x' || left(md5(t.{key}::text), 8))::bit(32)::bigint %% 10000 < %s"
_FIRST = """
SELECT DISTINCT ON (w._source, w._old) t.{key}
  FROM {table} t JOIN unnest(%s::text[], %s::text[]) AS w(_source, _old)
    ON t.{column} = w._old AND {source} = w._source AND {rows}
 ORDER BY w._source, w._old, t.{key}
"""
# What other tables say of the rows is nothing that a change of the column could break, unless it is
# said of the column.
_POINTING_HERE = """
SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.conrelid::regclass, c.conname)
  FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid = %s::regclass AND c.conparentid = 0
   AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.confrelid AND a.attnum = ANY(c.confkey)
                      AND '"' || a.attname || '"' = %s)
"""


def keep(
    target: Target, percent: float, changes: Sequence[Change], unplanned: Sequence[Change]
) -> int:
    """Delete all rows of the target's table outside the sample; return how many are left.

    `unplanned` are changes that are not in the plan; their rows are not in the sample.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(_POINTING_HERE, [target.table, target.column])
        for (drop,) in cursor.fetchall():
            cursor.execute(drop)
        # Without the table's own triggers: they are there for people's deletions, and are on again
        # afterwards.
        cursor.execute(f"ALTER TABLE {target.table} DISABLE TRIGGER USER")
        _take_out(target, percent, changes, unplanned)
        cursor.execute(f"ALTER TABLE {target.table} ENABLE TRIGGER USER")
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {target.table}")
        cursor.execute(f"SELECT count(*) FROM {target.table}")
        return int(cursor.fetchone()[0])


def _take_out(
    target: Target, percent: float, changes: Sequence[Change], unplanned: Sequence[Change]
) -> None:
    names = {
        "key": target.key,
        "table": target.table,
        "column": target.column,
        "source": target.source("t"),
        "rows": target.rows_of("t"),
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE stage_trial_first ON COMMIT DROP AS " + _FIRST.format(**names),
            [
                [change.source for change in changes],
                [change.old for change in changes],
            ],
        )
        cursor.execute(
            f"DELETE FROM {target.table} t WHERE NOT ({_TAKEN.format(**names)}) "
            f"AND t.{target.key} NOT IN (SELECT {target.key} FROM stage_trial_first)",
            [round(percent * 100)],
        )
        condition, olds = target.holds_any([(change.source, change.old) for change in unplanned])
        cursor.execute(f"DELETE FROM {target.table} WHERE {condition}", olds)


Tell = Callable[[str, int, int], None]
_ACTOR, _REASON = "trial", "trial on a disposable copy"
_SHOWN = 100  # of each kind of difference
_VERIFIABLE = (State.DONE, State.FAILED, State.PAUSED)


def carry_out(
    label: str, percent: float, changes: Sequence[Change], entries: list[dict[str, Any]], tell: Tell
) -> dict[str, Any]:
    """Run a trial in this process's database, which must be a copy; return the result.

    Raises:
        NormalizationError: the copy was taken while a run was active.
    """
    if busy := Run.objects.filter(target=label, state__in=UNFINISHED).first():
        raise NormalizationError(
            f"The backup was taken while run {busy.pk} was {busy.stands}. When that run "
            "is over, make and verify a new backup, and try again."
        )
    target = resolve(label)
    tell("sample", 0, 4)
    copied = plans.make_plan(label, actor="trial")
    differences = _differences(copied, entries)
    unplanned = sorted(set(plans.changes(copied)) - set(changes))
    sampled = keep(target, percent, changes, unplanned)
    tell("try", 1, 4)
    raised, notices = tries.each(target, changes)
    tell("run", 2, 4)
    before = Before(target)
    result = _run(label, target, changes, before, notices)
    tell("run", 4, 4)
    good = (
        result["run"] == "done"
        and result["verified"]
        and result["restored"]
        and not result["unexpected"]
    )
    return {
        "passed": good and not raised and not result["rows_left"],
        "rows": sampled,
        **result,
        "differences": differences,
        "raised": raised[:_SHOWN],
        "notices": tries.counted(notices)[:_SHOWN],
        "met": tries.met_by(target),
    }


def _run(
    label: str, target: Target, changes: Sequence[Change], before: Before, notices: list[str]
) -> dict[str, Any]:
    """Run, verify and roll back the sample with the engine, comparing after each direction."""
    run = plans.make_plan(label, actor="trial").run
    began = time.monotonic()
    try:
        runs.start(run, actor=_ACTOR, reason=_REASON)
    except PreflightRefused as refused:
        return _not_begun(str(refused), before, _left(target, changes))
    with tries.heard(notices):
        error = _advance(run)
    seconds = time.monotonic() - began
    run.refresh_from_db()
    changed, other = before.changed(), before.other_columns()
    planned = {tuple(change) for change in changes}
    result = {
        "run": str(run.state),
        "error": error or run.last_error,
        "seconds": round(seconds, 3),
        "rate": round(before.rows / seconds, 1) if before.rows and seconds else None,
        "verified": run.state in _VERIFIABLE and _verified(run),
        "changed": [one for one in changed if _pair(one) in planned],
        "unexpected": [one for one in changed if _pair(one) not in planned][:_SHOWN],
        "rows_left": _left(target, changes),
        "other_columns": other,
    }
    return result | _back(run, before)


def _verified(run: Run) -> bool:
    return bool(verify.compare(run, resolve(run.target), snapshot.load())["ok"])


def _not_begun(error: str, before: Before, left: int) -> dict[str, Any]:
    """Return the result for a run that the preflight would not let start."""
    other = before.other_columns()
    return {
        "run": "refused",
        "error": error,
        "seconds": 0.0,
        "rate": None,
        "verified": False,
        "changed": [],
        "unexpected": [],
        "rows_left": left,
        "other_columns": other,
        "rollback": "not needed",
        "rollback_error": "",
        "rollback_seconds": 0.0,
        "md5_before": before.stages_md5,
        "md5_after": before.stages_md5,
        "restored": True,
        "rows_restored": True,
        "other_columns_after": other,
    }


def _back(run: Run, before: Before) -> dict[str, Any]:
    began = time.monotonic()
    error = _advance(runs.request_rollback(run, actor=_ACTOR, reason=_REASON))
    run.refresh_from_db()
    stages_md5, rows_md5 = before.md5_now()
    return {
        "rollback": str(run.state),
        "rollback_error": error,
        "rollback_seconds": round(time.monotonic() - began, 3),
        "md5_before": before.stages_md5,
        "md5_after": stages_md5,
        "restored": stages_md5 == before.stages_md5,
        "rows_restored": rows_md5 == before.rows_md5,
        "other_columns_after": before.other_columns(),
    }


def _advance(run: Run) -> str:
    """Run to the end; return the database's error, if any."""
    try:
        worker.advance(run)
    except (DatabaseError, TooManyQuarantined) as error:
        return str(error).strip()
    return ""


def _pair(one: dict[str, Any]) -> tuple[str, str, str]:
    return one["source"], one["old"], one["new"]


def _left(target: Target, changes: Sequence[Change]) -> int:
    condition, olds = target.holds_any([(change.source, change.old) for change in changes])
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {target.table} WHERE {condition}", olds)
        return int(cursor.fetchone()[0])


def _differences(copied: Plan, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how the copy's distinct values differ from the plan's, made at another time."""
    names = ("source", "raw", "stage", "reason", "rows")
    copy = {
        (entry.source, entry.raw): {name: getattr(entry, name) for name in names}
        for entry in copied.entries.all()
    }
    plan = {(entry["source"], entry["raw"]): entry for entry in entries}
    off = [
        {"source": key[0], "raw": key[1], "plan": plan[key]["rows"], "copy": copy[key]["rows"]}
        for key in plan.keys() & copy.keys()
        if plan[key]["rows"] != copy[key]["rows"]
    ]
    return {
        "only_in_copy": [copy[key] for key in sorted(copy.keys() - plan.keys())][:_SHOWN],
        "only_in_plan": [plan[key] for key in sorted(plan.keys() - copy.keys())][:_SHOWN],
        "other_counts": sorted(off, key=lambda one: (one["source"], one["raw"]))[:_SHOWN],
    }
