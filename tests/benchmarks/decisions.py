"""Measure what two decisions of docs/architecture.md rest on: `python -m
tests.benchmarks.decisions`.

How a plan counts, and in which form the audit log keeps its entries. Medians of three, on one
table.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks.speed_crew import at_work, order
from tests.benchmarks.speed_table import MAP, TABLE, fill, server

BATCH = 10_000  # rows looked at
GROUP_BY = f"SELECT stage, count(*) FROM {TABLE} GROUP BY 1"
_DISTINCT = f"""
WITH RECURSIVE value AS (
    SELECT min(stage) AS v FROM {TABLE}
     UNION ALL SELECT (SELECT min(stage) FROM {TABLE} WHERE stage > v) FROM value WHERE v IS NOT NULL
)"""
SKIP_SCAN = (
    f"{_DISTINCT} SELECT v, (SELECT count(*) FROM {TABLE} WHERE stage = v) FROM value WHERE "
    "v IS NOT NULL"
)
VALUES_ALONE = f"{_DISTINCT} SELECT v FROM value WHERE v IS NOT NULL"
ALONE = "SET max_parallel_workers_per_gather = 0"

# Each form: its table, how a batch is written from the changes of a range, and how one key is
# looked up.
FORMS = {
    "a row for each change, two texts": (
        "CREATE TABLE rows_form (id bigserial PRIMARY KEY, run bigint, k bigint, old text, new "
        "text, at timestamptz);CREATE INDEX ON rows_form (k)",
        "INSERT INTO rows_form (run, k, old, new, at) SELECT 1, k, old, new, now() FROM changes "
        "WHERE {range}",
        "SELECT old, new FROM rows_form WHERE k = %(k)s",
    ),
    "a row for each change, a code for the pair": (
        "CREATE TABLE codes_form (k bigint, pair smallint, batch int); CREATE INDEX ON "
        "codes_form (k)",
        "INSERT INTO codes_form SELECT k, pair, %(from)s FROM changes WHERE {range}",
        "SELECT pair FROM codes_form WHERE k = %(k)s",
    ),
    "an array of keys for each batch and pair": (
        "CREATE TABLE arrays_form (id bigserial PRIMARY KEY, places int8range, old text, new "
        "text, keys bigint[]);CREATE INDEX ON arrays_form USING gist (places)",
        "INSERT INTO arrays_form (places, old, new, keys) SELECT int8range(min(k), max(k), "
        "'[]'), old, new, array_agg(k ORDER BY k) FROM changes WHERE {range} GROUP BY old, new",
        "SELECT old, new FROM arrays_form WHERE places @> %(k)s::bigint AND %(k)s = ANY(keys)",
    ),
    "the same, as differences": (
        "CREATE TABLE deltas_form (id bigserial PRIMARY KEY, places int8range, old text, new "
        "text, deltas int[]);CREATE INDEX ON deltas_form USING gist (places)",
        "INSERT INTO deltas_form (places, old, new, deltas) SELECT int8range(min(k), max(k), "
        "'[]'), old, new, array_agg(delta ORDER BY k) FROM (SELECT k, old, new, (k - lag(k, 1, "
        "0) OVER (PARTITION BY old, new ORDER BY k))::int AS delta FROM changes WHERE {range}) "
        "AS d GROUP BY old, new",
        "SELECT old, new FROM deltas_form f WHERE places @> %(k)s::bigint AND %(k)s IN (SELECT "
        "sum(d) OVER (ORDER BY place) FROM unnest(f.deltas) WITH ORDINALITY AS u(d, place))",
    ),
}
_RANGE = "k > %(from)s AND k <= %(to)s"


def timed(connection: psycopg.Connection[Any], statement: str) -> float:
    """Return the median seconds of three executions."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        connection.execute(statement).fetchall()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def counting(connection: psycopg.Connection[Any]) -> None:
    """Print how long each way of counting takes, with the table vacuumed and after half of it
    was rewritten.
    """
    ways = {
        "`GROUP BY`": GROUP_BY,
        "index skip scan, exact counts": SKIP_SCAN,
        "the values alone": VALUES_ALONE,
    }
    print(
        "| how a plan counts | vacuumed, ms | the same, no parallel workers | half just "
        "rewritten | no index |"
    )
    print("|---|---|---|---|---|")
    states: list[Callable[[], object]] = [
        lambda: None,
        lambda: connection.execute(ALONE),
        lambda: (
            connection.execute("RESET ALL"),
            connection.execute(f"UPDATE {TABLE} SET name = name WHERE id % 2 = 0"),
        ),
        lambda: (
            connection.execute(f"VACUUM {TABLE}"),
            connection.execute("DROP INDEX company_stage"),
        ),
    ]
    found: dict[str, list[str]] = {name: [] for name in ways}
    for number, state in enumerate(states):
        state()
        for name, way in ways.items():
            slow = number == len(states) - 1 and way != GROUP_BY  # a sequential scan for each value
            found[name].append("—" if slow else f"{timed(connection, way) * 1000:,.0f}")
    for name, figures in found.items():
        print(f"| {name} | {' | '.join(figures)} |")


def forms(connection: psycopg.Connection[Any], rows: int) -> None:
    """Print how large each form of the log becomes, how long it takes to write, and to look up
    one row.
    """
    connection.execute(
        f"CREATE TABLE changes AS SELECT t.id AS k, m.old, m.new, m.pair::smallint FROM {TABLE} "
        "t JOIN unnest(%s::text[], %s::text[]) WITH ORDINALITY AS m(old, new, pair) ON m.old = "
        "t.stage",
        [[old for old, _ in MAP], [new for _, new in MAP]],
    )
    connection.execute("CREATE UNIQUE INDEX ON changes (k)")
    connection.execute("VACUUM ANALYZE changes")
    number = connection.execute("SELECT count(*) FROM changes").fetchone()[0]
    print(
        "\n| form of the log | bytes a change | µs a change to write | ms to look up one row "
        "|\n|---|---|---|---|"
    )
    for name, (table, write, look_up) in FORMS.items():
        connection.execute(table)
        began = time.perf_counter()
        for start in range(0, rows, BATCH):
            connection.execute(write.format(range=_RANGE), {"from": start, "to": start + BATCH})
        took = time.perf_counter() - began
        relation = table.split()[2]
        connection.execute(f"VACUUM ANALYZE {relation}")
        size = connection.execute(
            "SELECT pg_total_relation_size(%s::regclass)", [relation]
        ).fetchone()[0]
        print(
            f"| {name} | {size / number:.1f} | {took / number * 1e6:.2f} | "
            f"{_look_up(connection, look_up, rows):.2f} |"
        )


def _look_up(connection: psycopg.Connection[Any], statement: str, rows: int) -> float:
    took = []
    for key in random.Random(1).sample(range(1, rows), 200):
        began = time.perf_counter()
        connection.execute(statement, {"k": key}).fetchall()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as of:
        of.create()
        with at_work(of) as crew:
            order(*crew, do="migrate")
        fill(of, rows)
        with of.connect() as connection:
            forms(connection, rows)
            counting(connection)


if __name__ == "__main__":
    main()
