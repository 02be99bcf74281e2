"""Find database objects that quote an old spelling, which silently match nothing after a run.

The check reads views, functions, indexes, constraints, policies, rules, triggers, defaults and
publication filters.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from django.db import connection

from stageapp.targets.columns import Column, unquoted
from stageapp.targets.findings import Finding, warns
from stageapp.targets.targets import Target

_LITERAL = re.compile(r"(?<![A-Za-z0-9_])[Ee]?'((?:[^']|'')*)'")
_LONGEST = 256
_SHOWN = 4

_DEFINITIONS = """
WITH RECURSIVE above (oid) AS (
    SELECT %(table)s::oid
    UNION
    SELECT r.ev_class FROM above JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = above.oid
      JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
)
SELECT CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END, c.oid::regclass::text, pg_get_viewdef(c.oid)
  FROM above JOIN pg_class c USING (oid) WHERE c.relkind IN ('v', 'm')
UNION ALL
SELECT 'rule', r.rulename, pg_get_ruledef(r.oid) FROM pg_rewrite r
 WHERE r.ev_class = %(table)s AND r.rulename <> '_RETURN'
UNION ALL
SELECT CASE WHEN i.indpred IS NULL THEN 'index' ELSE 'partial index' END, i.indexrelid::regclass::text,
       concat_ws(' ', pg_get_expr(i.indpred, i.indrelid), pg_get_expr(i.indexprs, i.indrelid))
  FROM above JOIN pg_index i ON i.indrelid = above.oid
UNION ALL
SELECT 'trigger', t.tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t
 WHERE t.tgrelid = %(table)s AND NOT t.tgisinternal
UNION ALL
SELECT 'constraint', c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c WHERE c.conrelid = %(table)s
UNION ALL
SELECT 'constraint', c.conname, pg_get_constraintdef(c.oid)
  FROM pg_constraint c JOIN pg_attribute a ON a.atttypid = c.contypid
 WHERE a.attrelid = %(table)s AND a.attnum = %(number)s
UNION ALL
SELECT 'policy', p.polname, concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  FROM pg_policy p WHERE p.polrelid = %(table)s
UNION ALL
SELECT CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated column' END, a.attname,
       pg_get_expr(d.adbin, d.adrelid)
  FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = %(table)s
UNION ALL
SELECT 'publication', p.pubname, pg_get_expr(r.prqual, r.prrelid)
  FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = %(table)s
UNION ALL
SELECT 'function', f.oid::regprocedure::text, coalesce(pg_get_function_sqlbody(f.oid), f.prosrc)
  FROM pg_proc f JOIN pg_language l ON l.oid = f.prolang
 WHERE f.prokind IN ('f', 'p') AND l.lanname NOT IN ('c', 'internal')
   AND f.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e')
"""

# What it means for whoever relies on it.
_MEANS = {
    "view": "it would silently find fewer rows",
    "materialized view": "it would silently find fewer rows after its next refresh",
    "rule": "it would no longer apply",
    "index": "queries on this expression would no longer find the rows",
    "partial index": "rows leave it or never enter it, and queries that rely on it find fewer",
    "trigger": "its condition would no longer be true",
    "constraint": "it still allows (or requires) a spelling that no longer exists",
    "policy": "it would show or hide other rows",
    "default": "new rows get the old spelling again",
    "generated column": "it is recomputed for each changed row, with a different result",
    "publication": "it would publish different rows",
    "function": "a comparison in it would no longer be true",
}


class Definition(NamedTuple):
    """A database object and its definition."""

    kind: str
    name: str
    text: str


def findings(target: Target, column: Column, is_old: Callable[[str], bool]) -> Iterator[Finding]:
    """Yield a warning for each definition that quotes a spelling for which `is_old` is true."""
    for kind, name, text in definitions(target, column):
        if quoted := sorted({literal for literal in literals(text) if is_old(literal)}):
            shown = ", ".join(ascii(literal) for literal in quoted[:_SHOWN])
            more = f" and {len(quoted) - _SHOWN} more" if len(quoted) > _SHOWN else ""
            yield warns(f"The {kind} {name} quotes {shown}{more}", _MEANS[kind])


def definitions(target: Target, column: Column) -> list[Definition]:
    """Return what depends on the table, and the functions whose text names its table or column."""
    with connection.cursor() as cursor:
        cursor.execute(_DEFINITIONS, {"table": column.table, "number": column.number})
        definitions = [Definition(*row) for row in cursor.fetchall() if row[2]]
    names = "|".join(re.escape(unquoted(name)) for name in (target.table, target.column))
    named = re.compile(rf"(?<!\w)(?:{names})(?!\w)", re.IGNORECASE)
    return [one for one in definitions if one.kind != "function" or named.search(one.text)]


def literals(text: str) -> set[str]:
    """Return the string literals of an SQL text; the items of a list ('{a,b}') are separate."""
    texts: set[str] = set()
    for match in _LITERAL.findall(text):
        literal = match.replace("''", "'")
        if literal.startswith("{") and literal.endswith("}"):
            texts |= {part.strip('"') for part in literal[1:-1].split(",")}
        texts.add(literal)
    return {literal for literal in texts if 0 < len(literal) <= _LONGEST}
