"""The SQL of a guard: its function, its two triggers, and whether PostgreSQL has them."""

from django.db import connection

from stageapp.normalization.seal_state import short_digest
from stageapp.normalization.seal_values import literal
from stageapp.normalization.targets import Target

# Reading is inside the block, where a failure leaves no trace; counting is behind it: a write inside such a block
# takes a transaction number of its own, and a bulk writer would take one for each row.
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

# A row of another kind is none of ours. One that becomes ours by this update is read, as its column need not change.
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

# The engine sets stageapp.normalizing for its own batches, so that a rollback brings back what it has to.
_TRIGGER = """
CREATE OR REPLACE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW
    WHEN (NEW.{column}::text COLLATE "C" <> ALL (ARRAY[{stages}]::text[]){changed}
          AND current_setting('stageapp.normalizing', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION {function}()
"""


def name(target: Target) -> str:
    """Return the name of the function, and how those of its triggers begin."""
    return f"stageapp_guard_{short_digest(target)}"


def function(target: Target) -> str:
    """Return the statement that makes the function, beside the tables that it reads."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        (schema,) = cursor.fetchone()
    source = target.source("NEW")
    return _FUNCTION.format(
        function=name(target), schema=schema, column=target.column, source=source, label=literal(target.label),
        as_stored=_AS_LABEL.format(source=source) if target.form == "label" else "",
        belongs=_BELONGS.format(rows=target.rows, column=target.column) if target.where else "",
    )  # fmt: skip


def trigger(target: Target, event: str, stages: tuple[str, ...]) -> str:
    """Return the statement that makes one trigger, for INSERT or UPDATE, past which these stored stages go."""
    # With a `where` a row may become the target's by a change of another column.
    by_column = event == "UPDATE" and not target.where
    of_column = f"UPDATE OF {target.column}" if by_column else event
    changed = f" AND NEW.{target.column} IS DISTINCT FROM OLD.{target.column}" if by_column else ""
    return _TRIGGER.format(
        name=f"{name(target)}_{event.lower()}", event=of_column, table=target.table, column=target.column,
        stages=", ".join(literal(stage) for stage in stages), changed=changed, function=name(target),
    )  # fmt: skip


def in_force(target: Target) -> int:
    """Return how many of the two triggers are there and not disabled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = ANY(%s) "
            "AND tgenabled IN ('O', 'A')",
            [target.table, [f"{name(target)}_{event}" for event in ("insert", "update")]],
        )
        return int(cursor.fetchone()[0])
