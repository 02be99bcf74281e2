"""The unknown queue as CSV: a person fills in `stage` or `reason`, and the alias import takes the file back."""

import json
from collections.abc import Iterator
from typing import TextIO

from stageapp import spreadsheet
from stageapp.unknowns.decisions import spelling_of
from stageapp.unknowns.queue import queue, suggestions
from stageapp.vocabulary import load

COLUMNS = (
    "spelling", "source", "stage", "reason", "comment",
    "unknown_because", "suggestion", "impact", "rows", "imported", "requests", "first_seen", "last_seen", "examples",
)  # fmt: skip


def export_queue(file: TextIO, state: str | None = "open") -> int:
    """Write the entries in a state (None: in any), the greatest impact first; return how many.

    `examples` is a JSON list of JSON strings, so that a NUL or a lone surrogate is kept.
    """
    return spreadsheet.write(file, COLUMNS, _rows(state))


def _rows(state: str | None) -> Iterator[list[object]]:
    meaning_of = load()
    for entry in queue(state).iterator(chunk_size=1000):
        yield [
            spelling_of(entry) if entry.takes_alias else "", "", "", "", "",
            entry.reason, " ".join(suggestions(entry, meaning_of)),
            entry.impact, entry.rows, entry.imported, entry.requests,
            f"{entry.first_seen:%Y-%m-%d %H:%M}", f"{entry.last_seen:%Y-%m-%d %H:%M}", json.dumps(entry.examples),
        ]  # fmt: skip
