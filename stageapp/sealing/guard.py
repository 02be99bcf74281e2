"""The guard: triggers that turn known spellings into stages on every write, and count them.

A write of a stage costs only a comparison: PostgreSQL evaluates the trigger's WHEN and calls
nothing. The mapping is that of `normalize_stage()` at the time of the write. An unknown value
stays byte for byte as it is, and so does any value for which the trigger raises an error: a write
never fails because of the guard.
"""

import datetime
from dataclasses import dataclass

from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

from stageapp import conf
from stageapp.infrastructure import events
from stageapp.models.recorded import require_reason
from stageapp.models.sealing import GuardChange, GuardCount
from stageapp.sealing.allowed import literal, require_own_table, stored_stages
from stageapp.sealing.state import refusal_of, short_digest
from stageapp.targets import columns, lock_wait, targets
from stageapp.targets.errors import SealRefused, TargetError
from stageapp.targets.lock_wait import LockWait
from stageapp.targets.targets import Target
from stageapp.vocabulary import snapshot

# The SQL of a guard: its function, its two triggers, and whether PostgreSQL has them.

# Reading is inside the block, where a failure leaves no trace; counting is behind it: a write
# inside such a block takes a transaction number of its own, and a bulk writer would take one for
# each row.
_FUNCTION = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp
AS $guard$
#variable_conflict use_column
DECLARE
    written text := NEW.{column};
    meant text;
BEGIN
    BEGIN
{belongs}        meant := stageapp_guard_meaning_v1(written, {source});
{as_stored}        IF meant IS NULL OR meant = written THEN
            RETURN NEW;
        END IF;
        -- A seal that lets this very value stay may be older than the stage that it means by now.
        IF EXISTS (SELECT FROM (SELECT s.allowed, s.stages FROM stageapp_seal s
                                 WHERE s.target = {label} AND s.action NOT IN ('abandoned', 'unsealed')
                                 ORDER BY s.id DESC LIMIT 1) AS newest
                    WHERE newest.allowed ? written AND NOT newest.stages ? meant) THEN
            RETURN NEW;
        END IF;
        NEW.{column} := meant;
    EXCEPTION WHEN OTHERS THEN
        NEW.{column} := written;
        PERFORM stageapp_guard_failed_v1({label}, written, SQLERRM);
        RETURN NEW;
    END;
    PERFORM stageapp_guard_count_v1({label}, written, meant, '');
    RETURN NEW;
END
$guard$
"""

# A row of another kind is none of ours. One that becomes ours by this update is read, as its column
# need not change.
_BELONGS = """
        IF NOT EXISTS (SELECT FROM (SELECT NEW.*) AS row WHERE {rows}) THEN
            RETURN NEW;
        END IF;
        IF TG_OP = 'UPDATE' THEN
            IF NEW.{column} IS NOT DISTINCT FROM OLD.{column}
               AND EXISTS (SELECT FROM (SELECT OLD.*) AS row WHERE {rows}) THEN
                RETURN NEW;
            END IF;
        END IF;
"""
# A label that is not read as its own stage is not written.
_AS_LABEL = """
        meant := (SELECT s.label FROM stageapp_stage s
                   WHERE s.slug = meant AND stageapp_guard_meaning_v1(s.label, {source}) = s.slug);
"""

# The engine sets stageapp.normalizing for its own batches, so that a rollback brings back what it
# has to.
_TRIGGER = """
CREATE OR REPLACE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW
    WHEN (NEW.{column}::text COLLATE "C" <> ALL (ARRAY[{stages}]::text[]){changed}
          AND current_setting('stageapp.normalizing', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION {function}()
"""


def name(target: Target) -> str:
    """Return the name of the function, which is also the prefix of its triggers' names."""
    return f"stageapp_guard_{short_digest(target)}"


def function(target: Target) -> str:
    """Return the statement that creates the function, next to the tables that it reads."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        (schema,) = cursor.fetchone()
    source = target.source("NEW")
    return _FUNCTION.format(
        function=name(target),
        schema=schema,
        column=target.column,
        source=source,
        label=literal(target.label),
        as_stored=_AS_LABEL.format(source=source) if target.form == "label" else "",
        belongs=_BELONGS.format(rows=target.rows, column=target.column) if target.where else "",
    )


def trigger(target: Target, event: str, stages: tuple[str, ...]) -> str:
    """Return the statement for the INSERT or UPDATE trigger, which skips these stored stages."""
    # With a `where` a row may become the target's by a change of another column.
    by_column = event == "UPDATE" and not target.where
    of_column = f"UPDATE OF {target.column}" if by_column else event
    changed = f" AND NEW.{target.column} IS DISTINCT FROM OLD.{target.column}" if by_column else ""
    return _TRIGGER.format(
        name=f"{name(target)}_{event.lower()}",
        event=of_column,
        table=target.table,
        column=target.column,
        stages=", ".join(literal(stage) for stage in stages),
        changed=changed,
        function=name(target),
    )


def in_force(target: Target) -> int:
    """Return how many of the two triggers exist and are not disabled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = ANY(%s) "
            "AND tgenabled IN ('O', 'A')",
            [target.table, [f"{name(target)}_{event}" for event in ("insert", "update")]],
        )
        return int(cursor.fetchone()[0])


STATES = {
    "off": "off",
    "on": "on: known spellings are stored as stages, regardless of the writer",
    "missing": "recorded as on, but its triggers are missing or disabled: switch it on again",
}


@dataclass(frozen=True)
class GuardState:
    """Whether a target is guarded: the record compared with PostgreSQL's catalog."""

    target: str
    state: str
    change: GuardChange | None

    @property
    def meaning(self) -> str:
        return STATES[self.state]


def look(label: str) -> GuardState:
    """Compare the record with PostgreSQL's catalog.

    Raises:
        TargetError: the target cannot be resolved.
    """
    target = targets.resolve(label)
    change = GuardChange.objects.filter(target=label).first()
    both = in_force(target) == 2
    recorded = change is not None and change.on
    return GuardState(label, "on" if both else "missing" if recorded else "off", change)


def switch_on(label: str, *, actor: str, reason: str, how: LockWait = lock_wait.LONG) -> GuardState:
    """Guard the target, or update its guard to the current vocabulary version.

    Raises:
        SealRefused: there is no reason, the column is inherited, or the table's lock could not be
            acquired.
        TargetError: there is no such target, its table or column cannot be normalized, or its
            `where` cannot be evaluated.
    """
    target, meaning_of = targets.resolve(label), snapshot.load()
    why = require_reason(reason, SealRefused)
    require_own_table(target, "guarded", "a trigger")
    columns.require_plain(target)
    # Hold that PostgreSQL understands the target's `where`: with one that it does not, the guard
    # would do nothing.
    try:
        _execute(f"SELECT FROM (SELECT * FROM {target.table}) AS row WHERE {target.rows} LIMIT 0")
    except ProgrammingError as error:
        raise TargetError(
            f"The where={target.where} of {target.label} cannot be evaluated: {error}".strip()
        ) from None

    def step() -> None:
        _execute(function(target))
        for event in ("INSERT", "UPDATE"):
            _execute(trigger(target, event, stored_stages(target, meaning_of)))
        _record(label, meaning_of.version, on=True, actor=actor, reason=why)

    lock_wait.take(target, step, how)
    return look(label)


def switch_off(
    label: str, *, actor: str, reason: str, how: LockWait = lock_wait.LONG
) -> GuardState:
    """Remove the guard from the target; its counts stay.

    Raises:
        SealRefused: it is off, there is no reason, or the table's lock could not be acquired.
        TargetError: there is no such target.
    """
    target, before = targets.resolve(label), look(label)
    why = require_reason(reason, SealRefused)
    if before.state == "off":
        raise SealRefused(f"{label} has no guard.")

    def step() -> None:
        for event in ("INSERT", "UPDATE"):
            _execute(f"DROP TRIGGER IF EXISTS {name(target)}_{event.lower()} ON {target.table}")
        _execute(f"DROP FUNCTION IF EXISTS {name(target)}()")
        _record(label, snapshot.newest_version(), on=False, actor=actor, reason=why)

    lock_wait.take(target, step, how)
    return look(label)


def why_refused(label: str, value: str) -> str:
    """Return why a sealed column would reject a write, after the guard; empty if it would not."""
    if label not in conf.targets():
        return ""
    meaning_of = snapshot.load()
    stage = meaning_of.normalize(value).stage if look(label).state == "on" else None
    return refusal_of(
        label, targets.resolve(label).stored(stage, meaning_of.labels) if stage else value
    )


def _record(label: str, version: int, *, on: bool, actor: str, reason: str) -> None:
    GuardChange.objects.create(
        target=label, on=on, vocabulary_version=version, actor=actor, reason=reason
    )
    transaction.on_commit(
        lambda: events.guard_switched(target=label, on=on, actor=actor, reason=reason)
    )


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


# What the guard converts: one row a conversion, rolled up into counts per day.

_AT_ONCE = 10_000

# One statement, so that a conversion is in its own row or in a count, never in both or neither.
_ROLL_UP_SQL = """
WITH taken AS (
    DELETE FROM stageapp_guardconversion
     WHERE id IN (SELECT id FROM stageapp_guardconversion ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING target, (at AT TIME ZONE 'UTC')::date AS day, raw, stage, writer, problem, at
), counted AS (
    INSERT INTO stageapp_guardcount AS kept (target, day, raw, stage, writer, problem, count, last_at)
    SELECT target, day, raw, stage, writer, problem, count(*), max(at) FROM taken
     GROUP BY target, day, raw, stage, writer, problem ORDER BY target, day, raw, stage, writer, problem
    ON CONFLICT (target, day, raw, stage, writer, problem) DO UPDATE
       SET count = kept.count + EXCLUDED.count, last_at = GREATEST(kept.last_at, EXCLUDED.last_at)
)
SELECT count(*) FROM taken
"""

_CAUGHT_SQL = """
SELECT raw, stage, writer, problem, sum(count)::bigint, max(last_at)
  FROM (SELECT raw, stage, writer, problem, count, last_at FROM stageapp_guardcount WHERE target = %s AND day >= %s
         UNION ALL
        SELECT raw, stage, writer, problem, 1, at FROM stageapp_guardconversion
         WHERE target = %s AND (at AT TIME ZONE 'UTC')::date >= %s) AS all_of_them
 GROUP BY raw, stage, writer, problem ORDER BY 5 DESC, raw, writer LIMIT %s
"""

_TOTALS_SQL = """
SELECT coalesce(sum(count) FILTER (WHERE stage <> ''), 0)::bigint,
       coalesce(sum(count) FILTER (WHERE stage = ''), 0)::bigint
  FROM (SELECT stage, count FROM stageapp_guardcount WHERE target = %s AND day >= %s
         UNION ALL
        SELECT stage, 1 FROM stageapp_guardconversion
         WHERE target = %s AND (at AT TIME ZONE 'UTC')::date >= %s) AS all_of_them
"""


@dataclass(frozen=True)
class Caught:
    """Conversions of one spelling by one writer; without a stage, the guard failed (`problem`)."""

    raw: str
    stage: str
    writer: str
    problem: str
    count: int
    last_at: datetime.datetime


def roll_up() -> int:
    """Roll up all recorded conversions; return their number. Safe to run concurrently."""
    done = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(_ROLL_UP_SQL, [_AT_ONCE])
            (taken,) = cursor.fetchone()
            if not taken:
                return done
            done += taken


def forget_old() -> int:
    """Delete counts past their retention; return how many."""
    last = timezone.now().date() - datetime.timedelta(days=conf.settings.sighting_retention_days)
    return GuardCount.objects.filter(day__lt=last).delete()[0]


def caught(label: str, *, days: int, most: int) -> list[Caught]:
    """Return a target's guard counts of the last `days` days (UTC), the most frequent first."""
    since = _since(days)
    with connection.cursor() as cursor:
        cursor.execute(_CAUGHT_SQL, [label, since, label, since, most])
        return [Caught(*row) for row in cursor.fetchall()]


def totals(label: str, *, days: int) -> tuple[int, int]:
    """Return the guard's conversions and failures in the last `days` days (UTC)."""
    since = _since(days)
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS_SQL, [label, since, label, since])
        turned, failed = cursor.fetchone()
    return turned, failed


def _since(days: int) -> datetime.date:
    return timezone.now().date() - datetime.timedelta(days=days - 1)
