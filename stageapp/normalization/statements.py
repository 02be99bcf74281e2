"""The SQL of a batch: one statement reads the checkpoint, changes rows, logs them and moves on.

A batch is one message to PostgreSQL and one answer: between several messages a session would keep
its row locks while it waits for the client, and each wait costs a network round trip.
"""

from typing import Any, NamedTuple

from stageapp.normalization import leases
from stageapp.targets.targets import Target

# a batch to be undone that is so much larger than ours goes in one, rather than leave a small rest
REST = 1.3

# The shard as it stands, locked, if it is still this worker's and the run in the state that the
# batch is for. The position comes from the database, never from memory: after a cut connection only
# the database knows whether the last batch was committed.
_PLACE = """
    SELECT c.id, c.run_id, c.direction, c.round, c.shard, c.sweep, c.position, c.batches + 1 AS number, c.lower, c.upper
      FROM stageapp_checkpoint c JOIN stageapp_run r ON r.id = c.run_id
     WHERE c.id = %(checkpoint)s AND c.token = %(token)s AND r.state = %(state)s AND NOT c.finished
       FOR UPDATE OF c"""

_GIVEN_PLACE = """
    SELECT %(sweep)s::int AS sweep, %(position)s::text AS position, %(number)s::int AS number,
           %(lower)s::text AS lower, %(upper)s::text AS upper"""

# From an exclusive lower end, NULL where the shard begins with the table, to an inclusive upper
# one. Without a place there is neither, and no row is found.
_ENDS = """, ends AS MATERIALIZED (
    SELECT coalesce(nullif({position}, '')::{type}, nullif(lower, '')::{type}) AS above,
           nullif(upper, '')::{type} AS up_to
      FROM place
)"""

_WINDOW = """, seen AS MATERIALIZED (
    SELECT count(*) AS rows, {first} AS first, {last} AS last
      FROM (SELECT t.{key} AS k FROM {table} t
             WHERE t.{key} >= (SELECT coalesce(above, '{least}') FROM ends)
               AND t.{key} IS DISTINCT FROM (SELECT above FROM ends)
               AND t.{key} <= (SELECT coalesce(up_to, '{greatest}') FROM ends)
             ORDER BY t.{key} LIMIT %(size)s) AS s
)"""

# Each row is compared with the value it is about to lose, under its lock: one that somebody changes
# in between is left alone. With the batch's settings the planner walks the key's index, so that
# rows are locked in key order.
_CHANGED_BY_MAP = """, changed AS (
    UPDATE {table} AS t SET {column} = w._new{touch}
      FROM unnest(%(sources)s::text[], %(olds)s::text[], %(news)s::text[])
           WITH ORDINALITY AS w(_source, _old, _new, _pair)
     WHERE t.{key} >= (SELECT first FROM seen) AND t.{key} <= (SELECT last FROM seen)
       AND {value} = w._old{same_source} AND {rows} AND t.{key} <> ALL(%(apart)s::{key_type}[])
    RETURNING t.{key} AS k, w._pair AS pair, {other} AS other
)"""

_PAIRS_OF_MAP = (
    "SELECT * FROM unnest(%(olds)s::text[], %(news)s::text[]) WITH ORDINALITY AS w(old, new, pair)"
)

# What a trigger of the table made of the new value, if it has one; NULL where the row holds what
# was written. From row to block numbers and NULLs are carried, not texts to be sorted: that was a
# tenth of a batch's time.
_OTHER = "CASE WHEN {value} = w.{new} THEN NULL ELSE coalesce({value}, '') END"

# A position within a batch is batch:key, one between two of them the batch that is undone.
_UNDONE = """, undone AS MATERIALIZED (
    SELECT b.id, p.rest, CASE WHEN NOT p.rest AND b.changed <= {rest} * %(size)s
                              THEN greatest(%(size)s, b.changed + 1) ELSE %(size)s END AS most
      FROM (SELECT *, split_part(position, ':', 2) <> '' AS rest FROM place) AS p, stageapp_batch b
     WHERE b.id = (
           SELECT f.id FROM stageapp_batch f
            WHERE f.run_id = %(run)s AND f.direction = 'forward' AND f.changed > 0
              AND f.id BETWEEN %(first)s AND (SELECT least(%(until)s, {newest}) FROM place)
              AND (f.places IS NULL OR f.places && (SELECT int8range({low}, {high}, '[]') FROM place))
            ORDER BY f.id DESC LIMIT 1)
)"""
_NEWEST = (
    "nullif(split_part(position, ':', 1), '')::bigint - (split_part(position, ':', 2) = '')::int"
)

_WANTED = """, wanted AS MATERIALIZED (
    SELECT u.k, l.id AS pair, l.new AS old, l.old AS new FROM stageapp_normalizationlog l, unnest(l.{array}) AS u(k)
     WHERE l.batch_id = (SELECT id FROM undone)
       AND (u.k > (SELECT above FROM ends)) IS NOT FALSE AND (u.k <= (SELECT up_to FROM ends)) IS NOT FALSE
       AND (l.old = %(value)s COLLATE "C") IS NOT FALSE{not_undone}
     ORDER BY 1 LIMIT (SELECT most FROM undone)
), seen AS MATERIALIZED (
    SELECT count(*) AS rows, {last} AS last FROM wanted
)"""

# As a set that is hashed once: asked for each row anew, a batch of which half is undone took longer
# than it may.
_NOT_UNDONE = """
       AND u.k NOT IN (SELECT unnest(d.{array}) FROM stageapp_normalizationlog d
                         JOIN stageapp_batch b ON b.id = d.batch_id WHERE b.undoes_id = (SELECT id FROM undone))"""

_CHANGED_BY_UNDO = """, changed AS (
    UPDATE {table} AS t SET {column} = w.new{touch}
      FROM wanted AS w
     WHERE t.{key} = w.k AND {held} = w.old
    RETURNING t.{key} AS k, w.pair, {other} AS other
)"""

_PAIRS_OF_UNDO = (
    "SELECT id AS pair, new AS old, old AS new FROM stageapp_normalizationlog WHERE batch_id "
    "= (SELECT id FROM undone)"
)

# Rows come in key order, and so do a block's keys. Older PostgreSQL has no max() of UUIDs; they are
# sorted.
_KEYS = {"keys": "array_agg(k::bigint)", "uuids": "array_agg(k ORDER BY k)"}
_FIRST = {"keys": "min(k)::bigint", "uuids": "(array_agg(k ORDER BY k))[1]"}
_LAST = {"keys": "max(k)::bigint", "uuids": "(array_agg(k ORDER BY k))[count(*)]"}
_LEAST = {"keys": str(-(2**63)), "uuids": "00000000-0000-0000-0000-000000000000"}
_GREATEST = {"keys": str(2**63 - 1), "uuids": "ffffffff-ffff-ffff-ffff-ffffffffffff"}

_LOGGED = """, ident AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('stageapp_batch', 'id')) AS batch FROM seen WHERE rows > 0
), blocks AS (
    SELECT p.old, coalesce(b.other, p.new) AS new, b.keys, b.first, b.last
      FROM (SELECT pair, other, {keys} AS keys, {first} AS first, {last} AS last FROM changed GROUP BY 1, 2) AS b
      JOIN ({pairs}) AS p ON p.pair = b.pair
     WHERE p.old <> coalesce(b.other, p.new) COLLATE "C"
), logged AS (
    INSERT INTO stageapp_normalizationlog (batch_id, old, new, {array})
    SELECT (SELECT batch FROM ident), old, new, keys FROM blocks
), total AS MATERIALIZED (
    SELECT coalesce(sum(cardinality(keys)), 0)::bigint AS changed,
           CASE WHEN count(*) > 0
                THEN int8range(min(stageapp_place(first)), max(stageapp_place(last)), '[]') END AS places
      FROM blocks
)"""

_SAVED = f""", written AS (
    INSERT INTO stageapp_batch (id, run_id, direction, round, shard, sweep, number, last_key, undoes_id, places,
                                scanned, changed, seconds, committed_at)
    SELECT i.batch, p.run_id, p.direction, p.round, p.shard, p.sweep, p.number, a.position, a.undoes,
           n.places, s.rows, n.changed,
           extract(epoch FROM clock_timestamp() - statement_timestamp()), clock_timestamp()
      FROM place p, seen s, ident i, total n, after a
), moved AS (
    UPDATE stageapp_checkpoint c
       SET position = a.position, finished = a.finished, batches = c.batches + (s.rows > 0)::int,
           scanned = c.scanned + s.rows, changed = c.changed + n.changed, skipped = c.skipped + a.skipped,
           updated_at = clock_timestamp(), {leases.RENEWED}
      FROM place p, seen s, total n, after a
     WHERE c.id = p.id
)"""

_AFTER_CHANGES = """, after AS (
    SELECT coalesce(s.last::text, p.position) AS position, s.rows = 0 AS finished, NULL::bigint AS undoes, 0 AS skipped
      FROM place p, seen s
)"""

_AFTER_UNDOING = """, after AS (
    SELECT CASE WHEN u.id IS NULL THEN p.position WHEN s.rows < u.most THEN u.id::text ELSE u.id || ':' || s.last
            END AS position,
           u.id IS NULL AS finished, u.id AS undoes, s.rows - n.changed AS skipped
      FROM place p CROSS JOIN seen s CROSS JOIN total n LEFT JOIN undone u ON true
)"""

_RESULT = """
SELECT p.sweep, a.position, p.number + (s.rows > 0)::int, p.lower, p.upper, a.finished, s.rows, n.changed, a.skipped
  FROM place p, seen s, total n, after a"""

_QUARANTINED = f""", kept AS (
    INSERT INTO stageapp_quarantinedrow (run_id, direction, shard, row_key, value, error, created_at)
    SELECT p.run_id, p.direction, p.shard, t.{{key}}::text, left(coalesce({{value}}, ''), 1000),
           left(%(error)s, 2000), now()
      FROM place p, {{table}} t WHERE t.{{key}} = (SELECT last FROM seen)
), moved AS (
    UPDATE stageapp_checkpoint c
       SET position = coalesce(s.last::text, c.position), finished = s.rows = 0, scanned = c.scanned + s.rows,
           quarantined = c.quarantined + s.rows, updated_at = clock_timestamp(), {leases.RENEWED}
      FROM place p, seen s WHERE c.id = p.id
)
SELECT p.sweep, coalesce(s.last::text, p.position), p.number, p.lower, p.upper, s.rows = 0, s.rows, 0, 0
  FROM place p, seen s"""


# In the place of a batch's undoing: the row that it would begin with is passed over.
_NOT_GIVEN_BACK = f""", after AS (
    SELECT CASE WHEN u.id IS NULL THEN p.position WHEN s.rows < u.most THEN u.id::text
                ELSE u.id || ':' || s.last END AS position,
           u.id IS NULL AS finished
      FROM place p CROSS JOIN seen s LEFT JOIN undone u ON true
), kept AS (
    INSERT INTO stageapp_quarantinedrow (run_id, direction, shard, row_key, value, error, created_at)
    SELECT p.run_id, p.direction, p.shard, t.{{key}}::text, left(coalesce({{value}}, ''), 1000),
           left(%(error)s, 2000), now()
      FROM place p, {{table}} t WHERE t.{{key}} = (SELECT last FROM seen)
), moved AS (
    UPDATE stageapp_checkpoint c
       SET position = a.position, finished = a.finished, scanned = c.scanned + s.rows,
           quarantined = c.quarantined + s.rows, updated_at = clock_timestamp(), {leases.RENEWED}
      FROM place p, seen s, after a WHERE c.id = p.id
)
SELECT p.sweep, a.position, p.number, p.lower, p.upper, a.finished, s.rows, 0, 0
  FROM place p, seen s, after a"""

_NEXT_ROW = """
SELECT p.sweep, coalesce(s.last::text, p.position), p.number, p.lower, p.upper, s.rows = 0,
       s.rows, 0, 0, s.last::text, (SELECT {value} FROM {table} t WHERE t.{key} = s.last)
  FROM place p, seen s"""

# A row that no lease holds: its shard is the one with its key. A rollback has counted it as changed
# since, which it is not.
_SET_APART = """
WITH shard AS (
    SELECT c.id, c.run_id, c.direction, c.shard
      FROM stageapp_checkpoint c JOIN stageapp_run r ON r.id = c.run_id
     WHERE c.run_id = %(run)s AND c.direction = %(direction)s AND c.round = %(round)s
       AND r.state = %(state)s
       AND (%(key)s::{type} > nullif(c.lower, '')::{type}) IS NOT FALSE
       AND (%(key)s::{type} <= nullif(c.upper, '')::{type}) IS NOT FALSE
       AND NOT EXISTS (
           SELECT FROM stageapp_quarantinedrow q
            WHERE q.run_id = c.run_id AND q.direction = c.direction AND q.row_key = %(key)s)
     ORDER BY c.shard LIMIT 1
), kept AS (
    INSERT INTO stageapp_quarantinedrow (run_id, direction, shard, row_key, value, error, created_at)
    SELECT run_id, direction, shard, %(key)s, left(%(value)s, 1000), left(%(error)s, 2000), now()
      FROM shard
)
UPDATE stageapp_checkpoint c
   SET quarantined = c.quarantined + 1, skipped = c.skipped - (c.skipped > 0)::int,
       updated_at = clock_timestamp()
  FROM shard s WHERE c.id = s.id"""


def forward(target: Target) -> str:
    """Return the statement that maps the next rows of a shard and advances its checkpoint.

    Parameters: checkpoint, token, state, size, sources, olds, news, apart.
    """
    return _forward(target, _PLACE, _SAVED)


def dry(target: Target) -> str:
    """Return the same statement for a given position, without a checkpoint; to be rolled back.

    Parameters: sweep, position, number, lower, upper, size, sources, olds, news, apart.
    """
    return _forward(target, _GIVEN_PLACE, "")


def rollback(target: Target, *, again: bool) -> str:
    """Return the statement that undoes the next rows of the newest forward batch not undone yet.

    `again`: an earlier rollback may have undone part of it. Rows that hold another value by now
    are left alone and counted. Parameters: checkpoint, token, state, size, run, first, until,
    value.
    """
    names = _names(target, new="new")
    return "".join(
        [
            _undoing(target, names, again=again),
            _CHANGED_BY_UNDO.format(**names),
            _LOGGED.format(pairs=_PAIRS_OF_UNDO, **names),
            _AFTER_UNDOING,
            _SAVED,
            _RESULT,
        ]
    )


def skip_undoing(target: Target, *, again: bool) -> str:
    """Return the statement that quarantines the first row of the next rollback batch.

    Parameters: those of `rollback` (size is 1), error.
    """
    names = _names(target, new="new")
    return _undoing(target, names, again=again) + _NOT_GIVEN_BACK.format(**names)


def _undoing(target: Target, names: dict[str, Any], *, again: bool) -> str:
    """Return the part that finds the next rows to undo."""
    undone = _UNDONE.format(
        rest=REST,
        newest=_NEWEST,
        low=f"stageapp_place(nullif(lower, '')::{target.stored_key})",
        high=f"stageapp_place(nullif(upper, '')::{target.stored_key})",
    )
    wanted = _WANTED.format(not_undone=_NOT_UNDONE.format(**names) if again else "", **names)
    ends = _ENDS.format(position="split_part(position, ':', 2)", type=target.stored_key)
    return f"WITH place AS MATERIALIZED ({_PLACE}\n){ends}{undone}{wanted}"


def skip_row(target: Target) -> str:
    """Return the statement that quarantines the next row and moves the checkpoint past it.

    Parameters: checkpoint, token, state, size (always 1), error.
    """
    return _start(target, _PLACE) + _QUARANTINED.format(**_names(target, new=""))


def next_row(target: Target) -> str:
    """Return the statement that reads the first row of a batch at a given position.

    Parameters: sweep, position, number, lower, upper, size (always 1).
    """
    return _start(target, _GIVEN_PLACE) + _NEXT_ROW.format(**_names(target, new=""))


def set_apart(target: Target) -> str:
    """Return the statement that quarantines a row outside every leased shard.

    Parameters: run, direction, round, state, key, value, error.
    """
    return _SET_APART.format(type=target.stored_key)


def _forward(target: Target, place: str, saved: str) -> str:
    names = _names(target, new="_new")
    same_source = f" AND {target.source('t')} = w._source" if target.source_column else ""
    changed = _CHANGED_BY_MAP.format(same_source=same_source, rows=target.rows_of("t"), **names)
    logged = _LOGGED.format(pairs=_PAIRS_OF_MAP, **names)
    return "".join([_start(target, place), changed, logged, _AFTER_CHANGES, saved, _RESULT])


def _start(target: Target, place: str) -> str:
    ends = _ENDS.format(position="position", type=target.stored_key)
    return f"WITH place AS MATERIALIZED ({place}\n){ends}{_WINDOW.format(**_names(target, new=''))}"


def _names(target: Target, *, new: str) -> dict[str, Any]:
    array, value = target.array, target.value("t")
    return {
        "table": target.table,
        "column": target.column,
        "key": target.key,
        "value": value,
        "array": array,
        "key_type": target.key_type,
        "touch": f", {target.touched} = now()" if target.touched else "",
        "keys": _KEYS[array],
        "first": _FIRST[array],
        "last": _LAST[array],
        "least": _LEAST[array],
        "greatest": _GREATEST[array],
        "held": target.logged("t"),
        "other": _OTHER.format(value=value, new=new),
    }


# One line of a plan's frozen map.


class Change(NamedTuple):
    """One mapping of the plan; `source` is empty if the target has no source column."""

    source: str
    old: str
    new: str
