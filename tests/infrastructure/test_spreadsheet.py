"""Cells that a spreadsheet must not calculate, and that come back as they were."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stageapp.infrastructure import delimited

# Characters that decide: what begins a formula, the mark itself, what CSV quotes.
HOSTILE = st.text(
    st.one_of(st.sampled_from("'=+-@\t\r\n＝＋－＠\",;\0 "), st.characters(codec="utf-8")),
    max_size=12,
)


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_what_a_spreadsheet_would_calculate_is_marked(begin):
    assert delimited.safe(f"{begin}1+1") == f"'{begin}1+1"


@pytest.mark.parametrize("cell", ["Seed", "", "Series A+", "'quoted'", " =1", "1-2"])
def test_any_other_cell_stays_as_it_is(cell):
    assert delimited.safe(cell) == cell


@given(HOSTILE)
@example("'=1")
@example("''=1")
@example("'")
def test_every_cell_comes_back_as_it_was(cell):
    assert delimited.plain(delimited.safe(cell)) == cell


@given(HOSTILE)
def test_no_marked_cell_begins_like_a_formula(cell):
    assert delimited.safe(cell)[:1] not in set("=+-@\t\r\n＝＋－＠")


@given(st.lists(st.tuples(HOSTILE, HOSTILE), max_size=5))
def test_a_written_file_reads_back_cell_by_cell(rows):
    file = io.StringIO(newline="")
    assert delimited.write(file, ["a", "b"], rows) == len(rows)
    header, *read = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert header == ["a", "b"]
    assert [tuple(map(delimited.plain, row)) for row in read] == rows
