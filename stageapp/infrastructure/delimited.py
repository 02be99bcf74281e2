"""Delimited text (CSV, RFC 4180), read row by row in constant memory and written safely.

An unreadable row is yielded with the reason and never repaired: what is stored must be what was
written.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO

DELIMITERS = (",", ";", "\t", "|")
MAX_LINE = 1_000_000  # characters; a longer line means that this is no table
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ON_FAULT = "stage-mark-undecodable"


class UnreadableTable(Exception):
    """The whole text is not a table; the message says what to do."""


@dataclass(frozen=True)
class Row:
    """A row and its first line number; `fault` says why its cells must not be used."""

    line: int
    cells: list[str]
    fault: str = ""


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Replace undecodable bytes with a lone surrogate, which no encoding can produce."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udc00", error.end


codecs.register_error(_ON_FAULT, _mark)


def open_text(source: io.RawIOBase, encoding: str) -> io.TextIOWrapper:
    """Open the source as text with undecodable bytes marked and without a byte order mark.

    Raises:
        UnreadableTable: the encoding does not exist, or the source is UTF-16 without saying so.
    """
    try:
        name = codecs.lookup(encoding).name
        "a".encode(name)
        b"a".decode(name, _ON_FAULT) if not name.startswith("utf-") else ""
    except (LookupError, UnicodeError):  # the latter of codecs for host names, as idna
        raise UnreadableTable(
            f"The encoding {encoding!r} does not exist, or is not one of texts. Common ones are utf-8, cp1252, "
            "latin-1 and utf-16."
        ) from None
    buffered = io.BufferedReader(source)
    if name == "utf-16" and not buffered.peek(2).startswith(_WIDE_MARKS):
        raise UnreadableTable(
            "The text is not UTF-16: the mark at its beginning is missing. Try utf-8, or utf-16-le."
        )
    utf8 = name in ("utf-8", "utf-8-sig")
    if utf8 and buffered.peek(2).startswith(_WIDE_MARKS):
        raise UnreadableTable("The file is UTF-16, not UTF-8. Use: --encoding utf-16")
    return io.TextIOWrapper(buffered, "utf-8-sig" if utf8 else name, _ON_FAULT, newline="")


class Table:
    """A header and the rows below it.

    Raises:
        UnreadableTable: there is no header, or a line is too long.
    """

    def __init__(self, text: io.TextIOBase, *, wanted: str, delimiter: str | None = None) -> None:
        self._text = text
        self._faults: list[str] = []
        self._line = 0
        header = self._header_line()
        self.delimiter = delimiter or _guess(header, wanted)
        self.columns = [name.strip() for name in _split(header, self.delimiter)]

    def __iter__(self) -> Iterator[Row]:
        """Yield every row that is not blank; a wrong number of cells is a fault."""
        reader = csv.reader(self._lines(), delimiter=self.delimiter, strict=True)
        while True:
            first, self._faults = self._line + 1, []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Row(first, [], _quoting_fault(error))
                continue
            fault = self._faults[0] if self._faults else ""
            if not fault and len(cells) != len(self.columns):
                fault = f"{len(cells)} columns, the header has {len(self.columns)}"
            if cells or self._faults:
                yield Row(first, cells, fault)

    def _header_line(self) -> str:
        for line in self._lines():
            if line.strip():
                if self._faults:
                    raise UnreadableTable(f"The header (line {self._line}) has {self._faults[0]}.")
                return line
        raise UnreadableTable("The file is empty. Its first line must contain the column names.")

    def _lines(self) -> Iterator[str]:
        while line := self._text.readline(MAX_LINE):
            self._line += 1
            if len(line) == MAX_LINE:
                raise UnreadableTable(
                    f"Line {self._line} has more than {MAX_LINE:,} characters: this is "
                    "not delimited text."
                )
            if "\x00" in line:
                self._faults.append("a NUL character, which the database cannot store")
            if not line.isascii() and _LONE_SURROGATE.search(line):
                self._faults.append("bytes that cannot be decoded; check --encoding")
            yield line


def _guess(header: str, wanted: str) -> str:
    """Return the delimiter that yields the wanted column, else the one with the most columns."""

    def fit(delimiter: str) -> tuple[bool, int]:
        names = [name.strip() for name in _split(header, delimiter)]
        return wanted.strip() in names, len(names)

    return max(DELIMITERS, key=fit)


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except (
        csv.Error
    ):  # a quoted name over two lines, or a quote in another place than this delimiter wants
        return [line]


def _quoting_fault(error: csv.Error) -> str:
    if "field limit" in str(error):
        return (
            f"a field of more than {csv.field_size_limit():,} characters; is a quote left "
            "open above?"
        )
    if "end of data" in str(error):
        return "a quote that is never closed"
    return f"unbalanced quotes ({error})"


# Cells that a spreadsheet shows as text: what it would take for a formula is marked, and the mark
# is taken off again.
#
# A leading apostrophe is the mark (OWASP, CSV Injection). A cell that has apostrophes before such a
# character of its own gets one more, so that every cell comes back as it was.

# Some programs also take the full-width forms for the start of a formula.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def safe(cell: str) -> str:
    """Return the cell, with a leading apostrophe if a spreadsheet might evaluate it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def plain(cell: str) -> str:
    """Undo `safe`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def write(file: TextIO, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write a header and rows as CSV (RFC 4180), with safe cells; return the number of rows."""
    writer = csv.writer(file)
    writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([safe(str(cell)) for cell in row])
        count += 1
    return count


class CountedBytes(io.RawIOBase):
    """A byte stream that counts what it passes on, as a pipe has no position."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)
