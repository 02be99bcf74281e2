"""The figures of the engine as a block for docs/benchmarks.md: each with what is asked of it
beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Figures:
    """What was measured: a list of values for each name; `settings` are PostgreSQL's."""

    of: dict[str, list[float]]
    rows: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)


def block(figures: Figures, medians: Mapping[str, float], took: float) -> str:
    """Return the block."""
    settings = ", ".join(f"{name} {value}" for name, value in figures.settings.items())
    head = [
        f"{figures.rows:,} rows, {figures.plan['to_change']:,} to change; PostgreSQL: {settings}.",
        f"Medians of {len(figures.of['bare'])}; all of it took {took / 60:.1f} minutes.",
        "",
        "| what | seconds |",
        "|---|---|",
        *(
            f"| {label} | {_spread(figures.of[name])} |"
            for label, name in _SECONDS
            if name in figures.of
        ),
        "",
        "| what | asked for | measured |",
        "|---|---|---|",
    ]
    measured = _Measured(medians, figures.plan["to_change"])
    return "\n".join(
        head + [f"| {what} | {asked} | {value} |" for what, asked, value in measured.lines()]
    )


_SECONDS = (
    ("bare `UPDATE … FROM (VALUES …)`", "bare"),
    ("the same in batches of 10,000 keys, a transaction each, no log", "bare in batches"),
    ("two bare ones beside each other, half of the keys each", "two bare halves"),
    ("our run, 1 worker, until no row is left", "run 1"),
    ("the same with its verification", "run 1, all"),
    ("our run, 2 workers", "run 2"),
    ("the same with its verification", "run 2, all"),
    ("our run, 1 worker, default pause, beside a writer", "run, default pause beside a writer"),
    ("bare `UPDATE` back, the old values kept in a table beside", "bare back"),
    ("our rollback, 1 worker", "rollback 1"),
    ("our rollback, 2 workers", "rollback 2"),
    ("the plan", "plan"),
)


_NAMES = {
    "run 1": "our run, 1 worker,",
    "run 2": "our run, 2 workers,",
    "rollback 1": "our rollback, 1 worker,",
    "rollback 2": "our rollback, 2 workers,",
    "bare in batches": "bare batches",
    "two bare halves": "two bare halves",
}


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    return (
        f"{middle:.2f}"
        if len(ordered) == 1
        else f"{middle:.2f} ({ordered[0]:.2f} to {ordered[-1]:.2f})"
    )


class _Measured:
    """The medians against what is asked for."""

    def __init__(self, medians: Mapping[str, float], to_change: int) -> None:
        self._m, self._to_change = medians, to_change

    def lines(self) -> list[tuple[str, str, str]]:
        """Return (what, asked for, measured) for all that was measured."""
        return [*self._throughput(), *self._one_by_one(), *self._locks(), *self._log()]

    def _throughput(self) -> list[tuple[str, str, str]]:
        wanted = (
            ("run 1", "the bare one", "bare", "≥ 95 %"),
            ("bare in batches", "the bare one", "bare", "—"),
            ("run 1", "the bare one in batches", "bare in batches", "—"),
            ("run 2", "the bare one", "bare", "≥ 175 %"),
            ("two bare halves", "the bare one", "bare", "—"),
            ("run 2", "two bare halves", "two bare halves", "—"),
            ("rollback 1", "the bare one back", "bare back", "≥ 80 %"),
            ("rollback 2", "the bare one back", "bare back", "≥ 130 %"),
        )
        return [
            (
                f"throughput of {_NAMES.get(name, name)} against {label}",
                asked,
                f"{100 * self._m[against] / self._m[name]:.0f} %",
            )
            for name, label, against, asked in wanted
        ]

    def _one_by_one(self) -> list[tuple[str, str, str]]:
        ours = self._to_change / self._m["run 1"]
        return [
            (
                f"against {label}: {self._m[name]:,.0f} rows/s, ours {ours:,.0f}",
                f"≥ {least} ×",
                f"{ours / self._m[name]:.1f} ×",
            )
            for label, name, least in (
                ("a loop of `iterator()`, `bulk_update`, `bulk_create`", "loop rows/s", 5),
                ("`save()` row by row, no log", "save rows/s", 20),
            )
            if name in self._m
        ]

    def _locks(self) -> list[tuple[str, str, str]]:
        longest = max(
            self._m[f"{name}, longest batch ms"]
            for name in ("run 1", "run 2", "rollback 1", "rollback 2")
        )
        sizes = ", ".join(
            f"{self._m[f'{name}, rows of a batch']:,.0f}" for name in ("run 1", "run 2")
        )
        lines = [(f"longest batch (rows of a batch: {sizes})", "≤ 250 ms", f"{longest:.0f} ms")]
        if "writer quiet p99" not in self._m:
            return lines
        quiet = self._m["writer quiet p99"]
        for beside in ("run 1", "run 2", "run, default pause", "bare"):
            p50, p99, most = (self._m[f"writer {beside} p{percent}"] for percent in (50, 99, 100))
            what = (
                f"a writer of single rows beside {beside}: p50 {p50:.2f}, p99 {p99:.2f}, "
                f"most {most:,.0f} ms"
            )
            lines.append(
                (what, "—" if beside == "bare" else "p99 ≤ 3 × quiet", f"{p99 / quiet:.1f} ×")
            )
        lines.append(
            (
                f"the writer alone: p50 {self._m['writer quiet p50']:.2f}, p99 {quiet:.2f} ms",
                "—",
                "—",
            )
        )
        return lines

    def _log(self) -> list[tuple[str, str, str]]:
        blocks, naive = self._m["blocks bytes"], self._m["naive bytes"]
        each = f"{blocks / self._to_change:.1f} of {naive / self._to_change:.1f} bytes a change"
        slowest = f"{self._m['history median ms']:.1f} ms, most {self._m['history max ms']:.1f} ms"
        return [
            (
                f"audit log with its batches and indexes, against a row for each change: {each}",
                "≤ 10 %",
                f"{100 * blocks / naive:.1f} %",
            ),
            ("history of one row, of 200 at random", "< 5 ms", slowest),
            ("peak memory of a worker", "—", f"{self._m['run 1, peak MB']:.0f} MB"),
        ]
