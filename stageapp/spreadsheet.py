"""Cells that a spreadsheet shows as text: what it would take for a formula is marked, and the mark is taken off again.

A leading apostrophe is the mark (OWASP, CSV Injection). A cell that has apostrophes before such a character of
its own gets one more, so that every cell comes back as it was.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from typing import TextIO

# Some programs also take the full-width forms for the start of a formula.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def safe(cell: str) -> str:
    """Return the cell with a leading apostrophe where a spreadsheet might calculate it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def plain(cell: str) -> str:
    """Return the cell that `safe` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def write(file: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write a header and rows as CSV (RFC 4180), every cell safe; return the number of rows."""
    writer = csv.writer(file)
    writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([safe(str(cell)) for cell in row])
        count += 1
    return count
