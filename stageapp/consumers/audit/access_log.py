"""The audit from a web server's access log: who calls what, and the stages in query strings.

A log holds no bodies: POST, PUT and PATCH requests are only counted. The log is read in one pass
with bounded memory; unreadable lines are counted and shown, and the rest is still read.
"""

import datetime
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from stageapp.consumers.audit.callers import SentValue
from stageapp.consumers.contacts import agent_hash
from stageapp.infrastructure import network
from stageapp.vocabulary.snapshot import Snapshot
from stageapp.vocabulary.suggestions import suggest

# Read the lines of a web server's access log: common, combined, and JSON of the usual servers, each
# line by itself.

# host ident user [time] "request" status bytes, and "referer" "agent" in the combined format
# (Apache, mod_log_config); a field may hold its own quotation mark behind a backslash. What follows
# is a server's own business.
_LINE = re.compile(
    r'(?P<address>\S+) \S+ (?P<user>.{1,200}?) \[(?P<time>[^\]]{1,64})\] "(?P<request>(?:[^"\\]|\\.)*)" \d{3} \S+'
    r'(?: "(?:[^"\\]|\\.)*" "(?P<agent>(?:[^"\\]|\\.)*)")?'
)
_REQUEST = re.compile(r"(?P<method>[A-Z]{1,20}) (?P<target>\S+)(?: HTTP/\S+)?\Z")
_ESCAPE = re.compile(r'\\(?:x([0-9A-Fa-f]{2})|(["\\]))')
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_TIME = re.compile(r"(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\Z")

# Where nginx, Apache, Caddy, Traefik, gunicorn and the usual collectors put a field; a dot goes
# into an object.
_NAMES = {
    "address": (
        "remote_addr",
        "remoteip",
        "remote_ip",
        "client_ip",
        "ClientHost",
        "request.remote_ip",
        "request.client_ip",
        "client",
        "host",
        "h",
    ),
    "user": ("remote_user", "ClientUsername", "user_id", "user", "u"),
    "time": (
        "time_iso8601",
        "time_local",
        "@timestamp",
        "timestamp",
        "time",
        "ts",
        "StartUTC",
        "t",
    ),
    "request": ("request", "request_line", "r"),
    "method": ("request_method", "method", "RequestMethod", "request.method", "m"),
    "target": ("request_uri", "uri", "RequestPath", "request.uri", "url", "path", "U"),
    "query": ("query_string", "args", "query", "q"),
    "agent": (
        "http_user_agent",
        "user_agent",
        "agent",
        "request_User-Agent",
        "request.headers.User-Agent",
        "a",
    ),
}


class Malformed(ValueError):
    """The line is not in a known access log format; the text says why."""


@dataclass(frozen=True)
class LogLine:
    """One request. `user` is empty if nobody was logged in, `time` is None if unreadable."""

    format: str
    address: str
    user: str
    time: datetime.datetime | None
    method: str
    target: str
    agent: str


def parse(line: str) -> LogLine:
    """Return the request that a line records.

    Raises:
        Malformed: it records none. No other exception, for any str.
    """
    return _from_json(line) if line.lstrip().startswith("{") else _from_text(line)


def _from_text(line: str) -> LogLine:
    match = _LINE.match(line)
    if match is None:
        raise Malformed("neither common nor combined nor JSON")
    method, target = _request(_unescaped(match["request"]))
    agent = match["agent"]
    return LogLine(
        "common" if agent is None else "combined",
        match["address"],
        _given(match["user"]),
        moment(match["time"]),
        method,
        target,
        _given(_unescaped(agent or "")),
    )


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
        raise Malformed("it has no client address")
    return LogLine(
        "json",
        address,
        _given(fields["user"]),
        moment(fields["time"]),
        method.upper(),
        target,
        _given(fields["agent"]),
    )


def _text(document: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first name's text or number; of a list (Caddy's headers), its first item."""
    for name in names:
        part_of: Any = document
        for part in name.split("."):
            part_of = part_of.get(part) if isinstance(part_of, dict) else None
        if isinstance(part_of, list) and part_of:
            part_of = part_of[0]
        if (
            isinstance(part_of, str | int | float)
            and not isinstance(part_of, bool)
            and part_of != ""
        ):
            return (
                str(part_of).encode("utf-8", "replace").decode()
            )  # a lone surrogate can be escaped in JSON
    return ""


def _request(text: str) -> tuple[str, str]:
    match = _REQUEST.match(text)
    if match is None:
        raise Malformed("it has no request")
    return match["method"], match["target"]


def _given(field: str) -> str:
    return "" if field == "-" else field


def _unescaped(field: str) -> str:
    return (
        _ESCAPE.sub(lambda e: chr(int(e[1], 16)) if e[1] else e[2], field)
        if "\\" in field
        else field
    )


def moment(text: str) -> datetime.datetime | None:
    """Parse the log's own notation, ISO 8601 or seconds since 1970; None if it is none of these."""
    try:
        if match := _TIME.match(text):
            day, month, year, hour, minute, second, sign, hours, minutes = match.groups()
            offset = datetime.timedelta(hours=int(hours), minutes=int(minutes)) * (
                -1 if sign == "-" else 1
            )
            zone = datetime.timezone(offset)
            date = (
                int(year),
                _MONTHS.index(month) + 1,
                int(day),
                int(hour),
                int(minute),
                int(second),
            )
            return datetime.datetime(*date, tzinfo=zone).astimezone(datetime.UTC)
        if re.fullmatch(r"\d{1,12}(?:\.\d{1,12})?", text):
            return datetime.datetime.fromtimestamp(float(text), datetime.UTC)
        read = datetime.datetime.fromisoformat(text)
        return read.astimezone(datetime.UTC) if read.tzinfo else read.replace(tzinfo=datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return None


LONGEST_LINE = 65_536  # bytes
MOST_CLIENTS = 10_000  # told apart; all others are one
MOST_VALUES = 1_000  # of one client
MOST_AGENTS = 20  # of one client
MOST_EXAMPLES = 5  # malformed lines that are shown
OTHERS = "others"
_GZIP = b"\x1f\x8b"
_Source = io.BufferedReader | gzip.GzipFile
_BODIES = frozenset({"POST", "PUT", "PATCH"})

EndpointOf = Callable[[str], str | None]  # path → endpoint, None for what is not the API


@dataclass
class Uses:
    """How often one value came, where, and when it last did."""

    requests: int = 0
    endpoints: set[str] = field(default_factory=set)
    last: datetime.datetime | None = None


def _later(
    one: datetime.datetime | None, other: datetime.datetime | None
) -> datetime.datetime | None:
    return max(one, other) if one and other else one or other


@dataclass
class Client:
    """One client of the log: its user if the server knows one, else its address."""

    name: str
    network: str
    requests: int = 0
    bodies: int = 0  # requests whose stages are in a body, which no log has
    endpoints: Counter[str] = field(default_factory=Counter)
    user_agents: set[str] = field(default_factory=set)  # never shown; `agents` is
    last_seen: datetime.datetime | None = None
    sent: dict[str, Uses] = field(default_factory=dict)
    stages: int = 0
    unknown: int = 0

    @property
    def agents(self) -> list[str]:
        """The hashes of its programs, as in contacts; an empty one means no User-Agent."""
        return sorted(agent_hash(agent) for agent in self.user_agents)

    @property
    def unknown_share(self) -> float | None:
        """The share of unknowns among stages in its query strings, 0 to 1; None without stages."""
        return self.unknown / self.stages if self.stages else None

    def note(self, request: LogLine, endpoint: str) -> None:
        """Count one request."""
        self.requests += 1
        self.bodies += request.method in _BODIES
        self.endpoints[endpoint] += 1
        self.last_seen = _later(self.last_seen, request.time)
        if network.classify(request.address) == network.EXTERNAL:
            self.network = network.EXTERNAL  # a user who calls from both sides calls from outside
        if len(self.user_agents) < MOST_AGENTS:
            self.user_agents.add(request.agent)

    def note_stage(
        self, raw: str, endpoint: str, time: datetime.datetime | None, vocabulary: Snapshot
    ) -> None:
        """Count one stage of a query string; a canonical one only in the totals."""
        meaning = vocabulary.normalize(raw, self.name)
        self.stages += 1
        self.unknown += meaning.stage is None
        if raw == meaning.stage:
            return
        if raw not in self.sent and len(self.sent) >= MOST_VALUES:
            raw = OTHERS
        uses = self.sent.setdefault(raw, Uses())
        uses.requests += 1
        uses.endpoints.add(endpoint)
        uses.last = _later(uses.last, time)


@dataclass
class LogAudit:
    """The audit of one log."""

    lines: int = 0
    others: int = 0  # requests that are not the API's
    formats: Counter[str] = field(default_factory=Counter)
    malformed: int = 0
    malformed_examples: list[tuple[int, str, str]] = field(
        default_factory=list
    )  # line, why, its beginning
    ended_early: str = ""
    clients: dict[str, Client] = field(default_factory=dict)

    def refuse(self, line: str, why: str) -> None:
        """Count an unreadable line, and keep the first few."""
        self.malformed += 1
        if len(self.malformed_examples) < MOST_EXAMPLES:
            self.malformed_examples.append((self.lines, why, line[:120]))

    def client(self, request: LogLine) -> Client:
        """Return the client of a request; beyond MOST_CLIENTS, the one of all others."""
        name = request.user or request.address
        if name not in self.clients and len(self.clients) >= MOST_CLIENTS:
            return self.clients.setdefault(OTHERS, Client(OTHERS, network.EXTERNAL))
        return self.clients.setdefault(name, Client(name, network.classify(request.address)))


def read_log(source: io.BufferedReader, endpoint_of: EndpointOf, vocabulary: Snapshot) -> LogAudit:
    """Read a log, gzip or plain, to its end; a truncated log is reported, not raised."""
    audit, endpoint_of = LogAudit(), lru_cache(maxsize=4096)(endpoint_of)
    plain = gzip.GzipFile(fileobj=source) if source.peek(2).startswith(_GZIP) else source
    try:
        for line in _lines(plain):
            audit.lines += 1
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if not text.strip():
                continue
            try:
                if len(line) >= LONGEST_LINE:
                    raise Malformed(f"it has more than {LONGEST_LINE:,} bytes")
                request = parse(text)
                # The path and the stages in the query, read as the API reads them.
                parts = urlsplit(request.target)
                asked = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=1000)
                endpoint = endpoint_of(parts.path)
            except ValueError as error:
                audit.refuse(text, str(error))
                continue
            audit.formats[request.format] += 1
            if endpoint is None:
                audit.others += 1
                continue
            client = audit.client(request)
            client.note(request, endpoint)
            for raw in dict.fromkeys(value for name, value in asked if name == "stage"):
                client.note_stage(raw, endpoint, request.time, vocabulary)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        audit.ended_early = f"The compressed log breaks off after line {audit.lines}: {error}"
    return audit


def _lines(source: _Source) -> Iterator[bytes]:
    """Yield the lines; a line that is too long is cut and its rest dropped."""
    while line := source.readline(LONGEST_LINE):
        end = line
        while not end.endswith(b"\n") and (end := source.readline(LONGEST_LINE)):
            pass
        yield line


def still_sends(client: Client, vocabulary: Snapshot) -> list[SentValue]:
    """Return the noncanonical stages in a client's query strings, most frequent first."""
    values = []
    for raw, uses in sorted(client.sent.items(), key=lambda item: (-item[1].requests, item[0])):
        meaning = vocabulary.normalize(raw, client.name)
        values.append(
            SentValue(
                raw,
                "unknown" if meaning.stage is None else "normalized",
                meaning.stage,
                meaning.reason,
                suggest(raw, meaning, vocabulary),
                tuple(sorted(uses.endpoints)),
                uses.requests,
                uses.last.date() if uses.last else None,
            )
        )
    return values
