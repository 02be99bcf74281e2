"""Measure the normalization engine beside what one would do without it.

`python -m tests.benchmarks.normalization_speed` prints the block for docs/benchmarks.md; 2,000,000
rows take about 15 minutes. A PostgreSQL of its own; every measurement gets a fresh copy of one
template database, made file by file and checkpointed. The ways take turns; figures are medians over
the rounds.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import speed_crew, speed_report
from tests.benchmarks.speed_crew import Writer, at_work, order
from tests.benchmarks.speed_report import Figures
from tests.benchmarks.speed_table import MAP, TABLE, Server, fill, server

BARE = (
    f"UPDATE {TABLE} AS t SET stage = m.new FROM (VALUES "
    + ", ".join(["(%s, %s)"] * len(MAP))
    + ") AS m(old, new) "
    "WHERE t.stage = m.old"
)
# How much of the bare one is to be had at all: batches without any log, and two sessions with half
# of the keys each.
BETWEEN = f"{BARE} AND t.id > %s AND t.id <= %s"
BATCH_ROWS = 10_000
# A bare way back needs the old values from somewhere: here the spelling that a table beside has
# kept for each key.
KEEP = f"CREATE UNLOGGED TABLE kept AS SELECT id, stage AS old FROM {TABLE} WHERE stage = ANY(%s)"
BARE_BACK = f"UPDATE {TABLE} AS t SET stage = k.old FROM kept k WHERE t.id = k.id"
NAIVE_LOG = (
    "INSERT INTO stageapp_loggedchange (run, row_key, old, new, at) "
    "SELECT 1, row_key::bigint, old, new, now() FROM stageapp_auditentry"
)
BYTES = "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name"
BLOCKS = ["stageapp_normalizationlog", "stageapp_batch"]


@dataclass
class Bench:
    """One whole measurement."""

    server: Server
    rows: int
    figures: Figures = field(default_factory=lambda: Figures(defaultdict(list)))

    def prepare(self) -> None:
        """Build the template, with a plan made."""
        self.server.create()
        with at_work(self.server) as crew:
            order(*crew, do="migrate")
            fill(self.server, self.rows)
            began = time.perf_counter()
            [self.figures.plan] = order(*crew, do="plan")
            self.note("plan", time.perf_counter() - began)
        self.server.execute("VACUUM")
        self.server.keep()
        self.figures.settings = self.server.settings()
        self.figures.rows = self.rows

    def note(self, name: str, value: float) -> None:
        """Keep a figure, and say on stderr that it is there."""
        self.figures.of[name].append(value)
        print(f"{time.strftime('%H:%M:%S')} {name}: {value:,.4g}", file=sys.stderr, flush=True)

    def bare(self) -> None:
        """Time the bare UPDATE, and a bare one back."""
        self.server.copy()
        self.server.execute(KEEP, [[old for old, _ in MAP]])
        self.server.execute("CREATE UNIQUE INDEX ON kept (id)")
        self.server.execute("VACUUM ANALYZE kept")
        self.server.settle(vacuum=False)
        self.note("bare", self.server.timed(BARE, _values()))
        self.server.settle()
        self.note("bare back", self.server.timed(BARE_BACK))

    def ceilings(self) -> None:
        """Time the bare UPDATE in batches, each a transaction of its own, and two of them, each
        on half of the keys.
        """
        self.server.copy()
        self.note("bare in batches", self._between(0, self.rows, step=BATCH_ROWS))
        self.server.copy()
        halves = [
            threading.Thread(
                target=self._between,
                args=[first, first + self.rows // 2],
                kwargs={"step": self.rows},
            )
            for first in (0, self.rows // 2)
        ]
        began = time.perf_counter()
        for half in halves:
            half.start()
        for half in halves:
            half.join()
        self.note("two bare halves", time.perf_counter() - began)

    def _between(self, first: int, last: int, *, step: int) -> float:
        with self.server.connect() as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute("SET enable_seqscan = off")
            began = time.perf_counter()
            for above in range(first, last, step):
                connection.execute(BETWEEN, [*_values(), above, min(last, above + step)])
            return time.perf_counter() - began

    def ours(self, workers: int, *, last: bool) -> None:
        """Time our run, and its rollback."""
        self.server.copy()
        with at_work(self.server, workers) as crew:
            self._keep(f"run {workers}", speed_crew.forward(crew))
            self.server.settle()
            if last:
                self.audit_bytes()
            self._keep(f"rollback {workers}", speed_crew.backward(crew))
            if last:
                [history] = order(crew[0], do="history", keys=200)
                self.note("history median ms", history["median_ms"])
                self.note("history max ms", history["max_ms"])

    def audit_bytes(self) -> None:
        """Measure the log of the run that just ended, and the same as a row for each change."""
        self.note("blocks bytes", self.server.execute(BYTES, [BLOCKS])[0][0])
        self.note("log seconds", self.server.timed(NAIVE_LOG))
        self.note("naive bytes", self.server.execute(BYTES, [["stageapp_loggedchange"]])[0][0])
        self.server.settle()

    def _keep(self, name: str, went: speed_crew.Went) -> None:
        self.note(name, went.seconds)
        self.note(f"{name}, all", went.whole_seconds)
        self.note(f"{name}, longest batch ms", went.longest_batch * 1000)
        self.note(f"{name}, rows of a batch", went.batch_rows)
        self.note(f"{name}, peak MB", went.peak / 1e6)

    def rounds(self, number: int) -> None:
        """Let the ways take turns."""
        for round in range(1, number + 1):
            self.bare()
            self.ceilings()
            self.ours(1, last=round == number)
            self.ours(2, last=False)

    def one_by_one(self, loop_rows: int, save_rows: int) -> None:
        """Time the typical loop on the first rows, and save() on others."""
        self.server.copy()
        with at_work(self.server) as crew:
            [looped] = order(*crew, do="loop", up_to=loop_rows)
            self.note("loop rows/s", looped["rows"] / looped["seconds"])
            [saved] = order(*crew, do="save", above=loop_rows, rows=save_rows)
            self.note("save rows/s", saved["rows"] / saved["seconds"])

    def beside_a_writer(self) -> None:
        """Measure what a writer of single rows feels: alone, beside our run, beside the bare
        UPDATE.
        """
        self.server.copy()
        with Writer(self.server, self.rows) as writer:
            time.sleep(10)
        self._felt("quiet", writer)
        for name, workers, pause in (
            ("run 1", 1, 0.0),
            ("run 2", 2, 0.0),
            ("run, default pause", 1, None),
        ):
            self.server.copy()
            with at_work(self.server, workers) as crew, Writer(self.server, self.rows) as writer:
                went = speed_crew.forward(crew, pause=pause)
            self._felt(name, writer)
            self.note(f"{name} beside a writer", went.seconds)
        self.server.copy()
        with Writer(self.server, self.rows) as writer:
            self.server.timed(BARE, _values())
        self._felt("bare", writer)

    def _felt(self, beside: str, writer: Writer) -> None:
        for percent in (50, 99, 100):
            self.note(f"writer {beside} p{percent}", writer.percentile(percent))


def _values() -> list[str]:
    return [part for pair in MAP for part in pair]


def memory(of: Server, sizes: list[int]) -> None:
    """Print the peak memory of a worker, and the time of a row, at each number of rows."""
    print(
        "| rows | peak RSS of the worker, MB | µs a row, writing | µs a row, with verification "
        "|\n|---|---|---|---|"
    )
    for rows in sizes:
        bench = Bench(of, rows)
        bench.prepare()
        of.copy()
        with at_work(of) as crew:
            went = speed_crew.forward(crew)
        each = [seconds / rows * 1e6 for seconds in (went.seconds, went.whole_seconds)]
        print(f"| {rows:,} | {went.peak / 1e6:.1f} | {each[0]:.2f} | {each[1]:.2f} |", flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument(
        "--rounds", type=int, default=3, help="the figures are medians over so many"
    )
    parser.add_argument(
        "--loop-rows", type=int, default=100_000, help="of the table, for the typical Django loop"
    )
    parser.add_argument(
        "--save-rows", type=int, default=50_000, help="changed one by one with save()"
    )
    parser.add_argument(
        "--memory", type=int, nargs="+", metavar="ROWS", help="instead: memory at so many rows each"
    )
    parser.add_argument(
        "--only-rounds", action="store_true", help="instead: bare UPDATE and our run alone"
    )
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as of:
        if options.memory:
            memory(of, options.memory)
            return
        began = time.monotonic()
        bench = Bench(of, options.rows)
        bench.prepare()
        bench.rounds(options.rounds)
        if not options.only_rounds:
            bench.one_by_one(
                min(options.loop_rows, options.rows // 2), min(options.save_rows, options.rows // 4)
            )
            bench.beside_a_writer()
        medians = {name: statistics.median(found) for name, found in bench.figures.of.items()}
        print(speed_report.block(bench.figures, medians, time.monotonic() - began))


if __name__ == "__main__":
    main()
