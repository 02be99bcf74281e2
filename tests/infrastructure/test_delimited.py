"""Delimited text is read row by row as it is written; what cannot be read is named by its line."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.infrastructure.delimited import MAX_LINE, Table, UnreadableTable, open_text


def table(content: bytes, encoding: str = "utf-8", **more) -> Table:
    return Table(open_text(io.BytesIO(content), encoding), wanted="stage", **more)


def rows(content: bytes, **more) -> list[tuple[int, list[str], str]]:
    return [(row.line, row.cells, row.fault) for row in table(content, **more)]


def faults(content: bytes, **more) -> list[tuple[int, str]]:
    return [(line, fault) for line, _, fault in rows(content, **more) if fault]


def test_rows_come_with_the_number_of_their_first_line():
    found = rows(b'id,stage\n1,Seed\n\n2,"Series\nA"\n3,x\n')
    assert found == [(2, ["1", "Seed"], ""), (4, ["2", "Series\nA"], ""), (6, ["3", "x"], "")]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_line_ending_ends_a_row(ending):
    found = rows(ending.join(["id,stage", "1,Seed", "2,x"]).encode())
    assert found == [(2, ["1", "Seed"], ""), (3, ["2", "x"], "")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_under_which_the_header_names_the_column(delimiter):
    content = f"id, a and b{delimiter}stage{delimiter}sum\n1{delimiter}Seed{delimiter}3\n".encode()
    assert table(content).delimiter == delimiter


def test_a_delimiter_that_is_given_is_used():
    assert table(b"id~stage\n", delimiter="~").columns == ["id", "stage"]


def test_columns_are_named_without_the_spaces_around_them():
    assert table(b"\xef\xbb\xbf\nid ; stage \n").columns == ["id", "stage"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-be", "shift_jis"]
)
def test_every_encoding_that_is_named_is_read(encoding):
    value = "シード" if encoding == "shift_jis" else "Série A"
    assert rows(f"id,stage\n1,{value}\n".encode(encoding), encoding=encoding) == [
        (2, ["1", value], "")
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    assert table(b"\xef\xbb\xbfstage,id\n").columns == ["stage", "id"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_that_nobody_announced_is_recognised(encoding):
    mark = "\ufeff".encode(encoding)
    with pytest.raises(UnreadableTable, match="--encoding utf-16"):
        table(mark + "stage\nSeed\n".encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-9", "", "a b", "hex"])
def test_an_encoding_that_is_none_is_refused(encoding):
    with pytest.raises(UnreadableTable, match="The encoding"):
        table(b"stage\n", encoding=encoding)


@pytest.mark.parametrize(
    "line, fault",
    [
        (b"1", "1 columns, the header has 2"),
        (b"1,Seed,x", "3 columns, the header has 2"),
        (b"1,S\xe9rie A", "bytes that cannot be decoded; check --encoding"),
        (b"1,S\xed\xa0\x80", "bytes that cannot be decoded; check --encoding"),
        (b"1,Se\x00ed", "NUL"),
        (b'1,"Seed"x', "quotes"),
    ],
)
def test_a_bad_row_is_named_and_the_rows_around_it_are_read(line, fault):
    found = rows(b"id,stage\n0,Seed\n" + line + b"\n2,x\n")
    assert [(number, bool(why)) for number, _, why in found] == [(2, False), (3, True), (4, False)]
    assert fault in found[1][2]


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest():
    assert faults(b'id,stage\n1,Seed\n2,"Seed\n3,x\n') == [(3, "a quote that is never closed")]


def test_a_quote_that_swallows_a_large_file_is_named_where_it_opens():
    content = b'id,stage\n1,"Seed\n' + b"2,Series A\n" * 20_000
    assert faults(content)[0][0] == 2
    assert "is a quote left open above?" in faults(content)[0][1]


def test_a_fault_inside_a_row_of_several_lines_belongs_to_its_first_line():
    assert [line for line, _ in faults(b'id,stage\n1,"a\nb\xff\nc"\n2,x\n')] == [2]


@pytest.mark.parametrize("content", [b"", b"\n\n\r\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(content):
    with pytest.raises(UnreadableTable, match="empty"):
        table(content)


def test_a_header_that_does_not_decode_is_refused():
    with pytest.raises(
        UnreadableTable,
        match=r"header \(line 1\) has bytes that cannot be decoded; check --encoding\.$",
    ):
        table(b"st\xe4ge,id\n")


class Endless(io.RawIOBase):
    """Bytes without a line's end, for ever; tells how much was taken."""

    taken = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        buffer[:] = b"x" * len(buffer)
        self.taken += len(buffer)
        return len(buffer)


def test_an_endless_line_ends_the_reading_early():
    source = Endless()
    with pytest.raises(UnreadableTable, match="more than 1,000,000 characters"):
        Table(open_text(source, "utf-8"), wanted="stage")
    assert source.taken < 2 * MAX_LINE


CELL = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=8)


@given(st.lists(st.tuples(CELL, CELL), max_size=6), st.sampled_from([",", ";", "\t", "|"]))
def test_what_a_csv_writer_writes_is_read_back_unchanged(written, delimiter):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(
        [("id", "stage"), *written]
    )
    found = rows(text.getvalue().encode())
    assert [cells for _, cells, _ in found] == [list(row) for row in written]
    assert [fault for _, _, fault in found if fault] == []


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_named_error(content):
    try:
        found = rows(content)
    except UnreadableTable:
        return
    assert all(fault or len(cells) for _, cells, fault in found)
