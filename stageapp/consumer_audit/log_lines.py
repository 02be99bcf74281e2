"""Read the lines of a web server's access log: common, combined, and JSON of the usual servers, each line by itself."""

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# host ident user [time] "request" status bytes, and "referer" "agent" in the combined format (Apache, mod_log_config);
# a field may hold its own quotation mark behind a backslash. What follows is a server's own business.
_LINE = re.compile(
    r'(?P<address>\S+) \S+ (?P<user>.{1,200}?) \[(?P<time>[^\]]{1,64})\] "(?P<request>(?:[^"\\]|\\.)*)" \d{3} \S+'
    r'(?: "(?:[^"\\]|\\.)*" "(?P<agent>(?:[^"\\]|\\.)*)")?'
)
_REQUEST = re.compile(r"(?P<method>[A-Z]{1,20}) (?P<target>\S+)(?: HTTP/\S+)?\Z")
_ESCAPE = re.compile(r'\\(?:x([0-9A-Fa-f]{2})|(["\\]))')
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_TIME = re.compile(r"(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\Z")

# Where nginx, Apache, Caddy, Traefik, gunicorn and the usual collectors put a field; a dot goes into an object.
_NAMES = {
    "address": ("remote_addr", "remoteip", "remote_ip", "client_ip", "ClientHost", "request.remote_ip",
                "request.client_ip", "client", "host", "h"),
    "user": ("remote_user", "ClientUsername", "user_id", "user", "u"),
    "time": ("time_iso8601", "time_local", "@timestamp", "timestamp", "time", "ts", "StartUTC", "t"),
    "request": ("request", "request_line", "r"),
    "method": ("request_method", "method", "RequestMethod", "request.method", "m"),
    "target": ("request_uri", "uri", "RequestPath", "request.uri", "url", "path", "U"),
    "query": ("query_string", "args", "query", "q"),
    "agent": ("http_user_agent", "user_agent", "agent", "request_User-Agent", "request.headers.User-Agent", "a"),
}  # fmt: skip


class Malformed(ValueError):
    """The line is no line of an access log that is known here; the text says why."""


@dataclass(frozen=True)
class LogLine:
    """One request. `user` is empty where none was logged in, `time` is None where it cannot be read."""

    format: str
    address: str
    user: str
    time: datetime.datetime | None
    method: str
    target: str
    agent: str


def parse(line: str) -> LogLine:
    """Return the request that a line tells of.

    Raises:
        Malformed: it tells of none. Nothing else, on any str.
    """
    return _from_json(line) if line.lstrip().startswith("{") else _from_text(line)


def _from_text(line: str) -> LogLine:
    found = _LINE.match(line)
    if found is None:
        raise Malformed("neither common nor combined nor JSON")
    method, target = _request(_unescaped(found["request"]))
    agent = found["agent"]
    return LogLine(
        "common" if agent is None else "combined",
        found["address"], _given(found["user"]), moment(found["time"]), method, target, _given(_unescaped(agent or "")),
    )  # fmt: skip


def _from_json(line: str) -> LogLine:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Malformed("it is not JSON") from error
    fields = {field: _text(document, names) for field, names in _NAMES.items()}
    method, target = fields["method"], fields["target"]
    if not target:
        method, target = _request(fields["request"])
    if fields["query"] and "?" not in target:
        target += "?" + fields["query"].removeprefix("?")
    address = _given(fields["address"])
    if not address:
        raise Malformed("it names no client address")
    return LogLine(
        "json", address, _given(fields["user"]), moment(fields["time"]), method.upper(), target, _given(fields["agent"])
    )


def _text(document: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of the names that has a text or a number; of a list (Caddy's headers) its first."""
    for name in names:
        found: Any = document
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, str | int | float) and not isinstance(found, bool) and found != "":
            return str(found).encode("utf-8", "replace").decode()  # a lone surrogate can be escaped in JSON
    return ""


def _request(text: str) -> tuple[str, str]:
    found = _REQUEST.match(text)
    if found is None:
        raise Malformed("it names no request")
    return found["method"], found["target"]


def _given(field: str) -> str:
    return "" if field == "-" else field


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda e: chr(int(e[1], 16)) if e[1] else e[2], field) if "\\" in field else field


def moment(text: str) -> datetime.datetime | None:
    """Return a time in the log's own notation, in ISO 8601, or in seconds since 1970; None if it is none."""
    try:
        if found := _TIME.match(text):
            day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
            offset = datetime.timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
            zone = datetime.timezone(offset)
            date = (int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))
            return datetime.datetime(*date, tzinfo=zone).astimezone(datetime.UTC)
        if re.fullmatch(r"\d{1,12}(?:\.\d{1,12})?", text):
            return datetime.datetime.fromtimestamp(float(text), datetime.UTC)
        read = datetime.datetime.fromisoformat(text)
        return read.astimezone(datetime.UTC) if read.tzinfo else read.replace(tzinfo=datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return None
