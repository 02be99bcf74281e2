"""The sample of a trial: all other rows are taken out of the copy, so that the engine itself meets the sample alone.

A row is in it by a hash of its key: the same rows each time, and those of 5 % are among those of 10 %. The first row of
each planned spelling among the target's rows is added, so that a rare spelling is tried too.
"""

from collections.abc import Sequence

from django.db import connection, transaction

from stageapp.normalization.change import Change
from stageapp.normalization.targets import Target

# Ten thousandths of the 32-bit numbers that keys are hashed to, by a hash that is the same in every version.
_TAKEN = "('x' || left(md5(t.{key}::text), 8))::bit(32)::bigint %% 10000 < %s"
_FIRST = """
SELECT DISTINCT ON (w._source, w._old) t.{key}
  FROM {table} t JOIN unnest(%s::text[], %s::text[]) AS w(_source, _old)
    ON t.{column} = w._old AND {source} = w._source AND {rows}
 ORDER BY w._source, w._old, t.{key}
"""
# What other tables say of the rows is nothing that a change of the column could break, unless it is said of the column.
_POINTING_HERE = """
SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.conrelid::regclass, c.conname)
  FROM pg_constraint c WHERE c.contype = 'f' AND c.confrelid = %s::regclass AND c.conparentid = 0
   AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.confrelid AND a.attnum = ANY(c.confkey)
                      AND '"' || a.attname || '"' = %s)
"""


def keep(target: Target, percent: float, changes: Sequence[Change], unplanned: Sequence[Change]) -> int:
    """Take all rows but the sample out of the target's table; return how many are left.

    `unplanned` are changes that the plan does not know; rows that they would be made to are not in the sample.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(_POINTING_HERE, [target.table, target.column])
        for (drop,) in cursor.fetchall():
            cursor.execute(drop)
        # Without the table's own triggers: they are there for people's deletions, and are on again afterwards.
        cursor.execute(f"ALTER TABLE {target.table} DISABLE TRIGGER USER")
        _take_out(target, percent, changes, unplanned)
        cursor.execute(f"ALTER TABLE {target.table} ENABLE TRIGGER USER")
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {target.table}")
        cursor.execute(f"SELECT count(*) FROM {target.table}")
        return int(cursor.fetchone()[0])


def _take_out(target: Target, percent: float, changes: Sequence[Change], unplanned: Sequence[Change]) -> None:
    names = {
        "key": target.key, "table": target.table, "column": target.column, "source": target.source("t"),
        "rows": target.rows_of("t"),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE stage_trial_first ON COMMIT DROP AS " + _FIRST.format(**names), [
            [change.source for change in changes], [change.old for change in changes],
        ])  # fmt: skip
        cursor.execute(
            f"DELETE FROM {target.table} t WHERE NOT ({_TAKEN.format(**names)}) "
            f"AND t.{target.key} NOT IN (SELECT {target.key} FROM stage_trial_first)",
            [round(percent * 100)],
        )
        condition, olds = target.holds_any([(change.source, change.old) for change in unplanned])
        cursor.execute(f"DELETE FROM {target.table} WHERE {condition}", olds)
