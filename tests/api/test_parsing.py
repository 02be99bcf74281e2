import contextlib
import io
import json
import time
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError, UnsupportedMediaType

from stageapp.api import parsing
from stageapp.api.errors import BodyTooLarge
from stageapp.models.portfolio import ExactEncoder

STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-parsing.MAX_INTEGER, parsing.MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | STORABLE
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STORABLE, inner, max_size=4),
    max_leaves=10,
)


@given(VALUES)
def test_plain_json_comes_through_unchanged(value):
    text = json.dumps(value)
    as_written = json.loads(text, parse_float=Decimal)
    assert parsing.decode(text.encode()) == as_written
    assert parsing.decode(json.dumps(value, ensure_ascii=False).encode()) == as_written


@pytest.mark.parametrize(
    "text",
    ["0.35", "1e2", "1E-7", "-0.10", "123456789012.123456789012345678901234567890", "4.9e-324"],
)
def test_a_number_is_the_decimal_that_was_written(text):
    number = parsing.decode(text.encode())
    assert isinstance(number, Decimal)
    assert str(number) == str(Decimal(text))


@pytest.mark.parametrize(
    "text, message",
    [
        ("1e400", "too large"),
        ("-1e999999999", "too large"),
        ("1.8e308", "too large"),
        ("1e-401", "too close to zero"),
        ("1e-999999999", "too close to zero"),
        ("0e-999999999", "too close to zero"),
        ("0." + "1" * 99, "more than 100 characters"),
        ("1e" + "9" * 99, "more than 100 characters"),
        ("0." + "1" * 200_000, "more than 100 characters"),
    ],
)
def test_a_number_that_would_cost_much_is_refused_quickly(text, message):
    started = time.perf_counter()
    with pytest.raises(ParseError, match=message):
        parsing.decode(text.encode())
    assert time.perf_counter() - started < 0.1


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused_by_name(body):
    with contextlib.suppress(ParseError):
        ExactEncoder(ensure_ascii=False).encode(parsing.decode(body)).encode("utf-8")


@given(st.text('[]{}":,\\ue0d80123456789-+.eEINaftrulsn \x00', max_size=60))
def test_any_text_near_json_is_decoded_or_refused_by_name(text):
    with contextlib.suppress(ParseError):
        ExactEncoder(ensure_ascii=False).encode(parsing.decode(text.encode())).encode("utf-8")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \t\r\n",
        b'{"a":1,"a":2}',
        b'[{"a":1,"\\u0061":2}]',
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"1e400",
        b"[-1e999]",
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 5000,
        b'"\\u0000"',
        b'{"a\\u0000":1}',
        b'["\\ud800"]',
        b'{"\\udc00\\ud800":1}',
        b'"a\x00b"',
        b'"\t"',
        b"{} {}",
        b'{"a":1}\x00\x00',
        b'"\xe9"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b"[1,]",
        b"{'a':1}",
        b"[01]",
        b"[.5]",
        b"[+1]",
        b"[1_000]",
        b"/**/1",
    ],
)
def test_refuses(body):
    with pytest.raises(ParseError):
        parsing.decode(body)


@pytest.mark.parametrize(
    "body", [b'"\\ud83d\\ude00"', b'"\\uffff"', b"9007199254740991", b"-0.0", b"4.9e-324"]
)
def test_accepts_what_is_only_odd(body):
    assert parsing.decode(body) == json.loads(body, parse_float=Decimal)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":', '["]",'])
@pytest.mark.parametrize("closed", [True, False])
def test_nesting_of_any_depth_is_refused_quickly(opening, closed):
    closing = "".join(
        {"[": "]", "{": "}"}[c] for c in reversed(opening.replace('"]"', "")) if c in "[{"
    )
    body = (opening * 100_000 + "1" + closing * 100_000 * closed).encode()
    started = time.perf_counter()
    with pytest.raises(ParseError, match="nested deeper"):
        parsing.decode(body)
    assert time.perf_counter() - started < 0.5


def test_nesting_up_to_the_bound_is_taken():
    assert parsing.decode(b"[" * parsing.MAX_DEPTH + b"]" * parsing.MAX_DEPTH)
    with pytest.raises(ParseError, match="nested deeper"):
        parsing.decode(b"[" * (parsing.MAX_DEPTH + 1) + b"]" * (parsing.MAX_DEPTH + 1))


def test_brackets_inside_strings_do_not_count_as_nesting():
    text = "[[[[[[{{{{{{" * 10 + '\\"[' * 10 + "\\\\"
    assert parsing.decode(json.dumps([text, text]).encode()) == [text, text]


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"[' * 60_000, b'["' * 17 + b"\\" * 200_000, b'"[' * 100_000]
)
def test_the_scan_for_nesting_takes_linear_time(body):
    started = time.perf_counter()
    with pytest.raises(ParseError):
        parsing.decode(body)
    assert time.perf_counter() - started < 0.5


class _Endless(io.RawIOBase):
    """A body without an end; counts what is read of it."""

    taken = 0

    def read(self, size=-1):
        assert size >= 0, "an unbounded read"
        self.taken += size
        return b" " * size


def test_reads_no_more_than_the_bound(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    body = _Endless()
    with pytest.raises(BodyTooLarge):
        parsing.read_bounded(body)
    assert body.taken == 1001
    assert parsing.read_bounded(io.BytesIO(b"x" * 1000)) == b"x" * 1000


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json; charset="UTF-8"',
        "application/json; x=1",
    ],
)
def test_takes_json_in_utf8(kind):
    parsing.check_content_type(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "*/*",
        "application/*",
        "text/plain",
        "application/vnd.api+json",
        "application/merge-patch+json",
        "application/json; charset=latin-1",
        "application/json; charset=rot13",
        "application/json; charset=zlib",
        "application/json; charset=utf-16",
        "application/json; charset=../../x",
        "application/jsonx",
        "application/json; charset*=bogus''x",
    ],
)
def test_refuses_other_media_types_and_charsets(kind):
    with pytest.raises(UnsupportedMediaType):
        parsing.check_content_type(kind)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip"])
def test_refuses_compressed_bodies(coding):
    parsing.check_content_encoding("")
    parsing.check_content_encoding(" Identity ")
    with pytest.raises(UnsupportedMediaType):
        parsing.check_content_encoding(coding)


def test_a_hostile_body_takes_little_memory():
    body = b"[" + b"[]," * 80_000 + b"[]]"
    tracemalloc.start()
    parsing.decode(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000
