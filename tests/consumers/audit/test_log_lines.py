"""Lines of access logs, as the usual servers write them, and as nobody should."""

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.consumers.audit.access_log import LogLine, Malformed, moment, parse

WHEN = datetime.datetime(2026, 11, 22, 13, 0, 7, tzinfo=datetime.UTC)
COMMON = (
    '192.0.2.7 - alice [22/Nov/2026:14:00:07 +0100] "GET /api/funds/1/companies?stage=Seed '
    'HTTP/1.1" 200 512'
)
TARGET = "/api/funds/1/companies?stage=Seed"


def test_the_common_format():
    assert parse(COMMON) == LogLine("common", "192.0.2.7", "alice", WHEN, "GET", TARGET, "")


def test_the_combined_format():
    read = parse(COMMON + ' "https://example.org/" "reporter/1.0 (\\"beta\\")" 0.003 "x"')
    assert (read.format, read.agent) == ("combined", 'reporter/1.0 ("beta")')


@pytest.mark.parametrize(
    "line, user, target",
    [
        (COMMON.replace("alice", "-"), "", TARGET),
        (COMMON.replace("alice", "Alice B. Doe"), "Alice B. Doe", TARGET),
        (
            COMMON.replace("Seed HTTP", "\\x22Seed\\x22 HTTP"),
            "alice",
            TARGET.replace("Seed", '"Seed"'),
        ),
        (COMMON.replace(" HTTP/1.1", ""), "alice", TARGET),
        (COMMON.replace("192.0.2.7", "2001:db8::7").replace(" 512", " -"), "alice", TARGET),
    ],
)
def test_what_servers_write_in_the_fields(line, user, target):
    read = parse(line)
    assert (read.user, read.target, read.time) == (user, target, WHEN)


@pytest.mark.parametrize(
    "document",
    [
        {
            "remote_addr": "192.0.2.7",
            "remote_user": "alice",
            "time_iso8601": "2026-11-22T14:00:07+01:00",
            "request": f"GET {TARGET} HTTP/1.1",
            "status": 200,
            "http_user_agent": "reporter",
        },
        {
            "remote_addr": "192.0.2.7",
            "remote_user": "alice",
            "time_local": "22/Nov/2026:14:00:07 +0100",
            "request_method": "GET",
            "request_uri": TARGET,
            "http_user_agent": "reporter",
        },
        {
            "ts": WHEN.timestamp(),
            "user_id": "alice",
            "request": {
                "remote_ip": "192.0.2.7",
                "method": "GET",
                "uri": TARGET,
                "headers": {"User-Agent": ["reporter"]},
            },
        },
        {
            "ClientHost": "192.0.2.7",
            "ClientUsername": "alice",
            "RequestMethod": "GET",
            "RequestPath": TARGET,
            "StartUTC": "2026-11-22T13:00:07Z",
            "request_User-Agent": "reporter",
        },
        {
            "client_ip": "192.0.2.7",
            "user": "alice",
            "timestamp": "2026-11-22 13:00:07",
            "method": "get",
            "path": "/api/funds/1/companies",
            "query_string": "?stage=Seed",
            "user_agent": "reporter",
        },
    ],
    ids=["nginx", "nginx in parts", "caddy", "traefik", "path and query"],
)
def test_json_of_the_usual_servers(document):
    assert parse(json.dumps(document)) == LogLine(
        "json", "192.0.2.7", "alice", WHEN, "GET", TARGET, "reporter"
    )


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "{",
        "{}",
        "[]",
        '{"remote_addr": "192.0.2.7"}',
        '{"request": "GET / HTTP/1.1"}',
        "{" * 5000,
        COMMON.replace("GET /", "\\x16\\x03\\x01 /"),
        COMMON.partition('"')[0],
        '{"remote_addr": "-", "request": "GET / HTTP/1.1"}',
        '{"a": ' + "[" * 100_000,
        '{"remote_addr": ' + "9" * 5000 + ', "uri": "/"}',
    ],
)
def test_what_is_no_request_is_refused_by_name(line):
    with pytest.raises(Malformed):
        parse(line)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "22/Foo/2026:14:00:07 +0100",
        "99/Nov/2026:14:00:07 +0100",
        "9" * 12,
        "nan",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_a_time_that_is_none_is_left_out(text):
    assert moment(text) is None


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for line in (
        text,
        "{" + text,
        COMMON + text,
        COMMON.replace("Seed", text),
        f'{{"request": {json.dumps(text)}}}',
    ):
        try:
            assert parse(line).address
        except Malformed:
            continue


_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["headers", "uri", "User-Agent"]), inner)
    ),
)


@given(
    st.dictionaries(
        st.sampled_from(["remote_addr", "uri", "request", "ts", "user", "args", "method"]), _VALUES
    )
)
def test_any_json_is_read_or_refused(document):
    try:
        assert parse(json.dumps(document)).address
    except Malformed:
        return


def test_a_time_west_of_greenwich_is_later_in_utc():
    assert moment("22/Nov/2026:08:00:07 -0500") == WHEN
