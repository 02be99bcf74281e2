"""The audit from a web server's access log: who calls which endpoint, and which stages stand in query strings.

A log holds no bodies: what is sent by POST, PUT and PATCH is only counted. Everything is read in one pass, in
bounded memory; a line that cannot be read is counted and shown, and the rest of the log goes on.
"""

import datetime
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

from stageapp import network
from stageapp.consumer_audit import log_lines
from stageapp.consumer_audit.callers import SentValue
from stageapp.consumer_audit.log_lines import LogLine, Malformed
from stageapp.contacts import agent_hash
from stageapp.suggestions import suggest
from stageapp.vocabulary import Snapshot

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
    """How often one value came, where, and when last."""

    requests: int = 0
    endpoints: set[str] = field(default_factory=set)
    last: datetime.datetime | None = None


@dataclass
class Client:
    """One client of the log: its user where the server knows one, else its address."""

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
        """Return the hashes of its programs, as contacts have them; an empty one stands for no User-Agent."""
        return sorted(agent_hash(agent) for agent in self.user_agents)

    @property
    def unknown_share(self) -> float | None:
        """Return the share of unknowns among the stages in its query strings, from 0 to 1; None if there are none."""
        return self.unknown / self.stages if self.stages else None


@dataclass
class LogAudit:
    """What one log tells."""

    lines: int = 0
    others: int = 0  # requests that are not the API's
    formats: Counter[str] = field(default_factory=Counter)
    malformed: int = 0
    malformed_examples: list[tuple[int, str, str]] = field(default_factory=list)  # line, why, its beginning
    ended_early: str = ""
    clients: dict[str, Client] = field(default_factory=dict)

    def refuse(self, line: str, why: str) -> None:
        """Count a line that cannot be read, and keep the first few."""
        self.malformed += 1
        if len(self.malformed_examples) < MOST_EXAMPLES:
            self.malformed_examples.append((self.lines, why, line[:120]))


def read_log(source: io.BufferedReader, endpoint_of: EndpointOf, vocabulary: Snapshot) -> LogAudit:
    """Read a log, gzip or plain, to its end; what breaks off is told and not raised."""
    audit, endpoint_of = LogAudit(), lru_cache(maxsize=4096)(endpoint_of)
    try:
        for line in _lines(_plain(source)):
            audit.lines += 1
            _take(audit, line, endpoint_of, vocabulary)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        audit.ended_early = f"The compressed log breaks off after line {audit.lines}: {error}"
    return audit


def _plain(source: io.BufferedReader) -> _Source:
    return gzip.GzipFile(fileobj=source) if source.peek(2).startswith(_GZIP) else source


def _lines(source: _Source) -> Iterator[bytes]:
    """Yield the lines; one that is too long comes cut, its rest is dropped."""
    while line := source.readline(LONGEST_LINE):
        end = line
        while not end.endswith(b"\n") and (end := source.readline(LONGEST_LINE)):
            pass
        yield line


def _take(audit: LogAudit, line: bytes, endpoint_of: EndpointOf, vocabulary: Snapshot) -> None:
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if not text.strip():
        return
    try:
        if len(line) >= LONGEST_LINE:
            raise Malformed(f"it has more than {LONGEST_LINE:,} bytes")
        request = log_lines.parse(text)
        path, stages = _asked(request.target)
        endpoint = endpoint_of(path)
    except ValueError as error:
        audit.refuse(text, str(error))
        return
    audit.formats[request.format] += 1
    if endpoint is None:
        audit.others += 1
        return
    client = _client(audit, request)
    _count(client, request, endpoint)
    for raw in dict.fromkeys(stages):
        _count_stage(client, raw, endpoint, request.time, vocabulary)


def _asked(target: str) -> tuple[str, list[str]]:
    """Return the path of a request and the stages in its query, read as the API reads them."""
    parts = urlsplit(target)
    asked = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=1000)
    return parts.path, [value for name, value in asked if name == "stage"]


def _client(audit: LogAudit, request: LogLine) -> Client:
    name = request.user or request.address
    if name not in audit.clients and len(audit.clients) >= MOST_CLIENTS:
        return audit.clients.setdefault(OTHERS, Client(OTHERS, network.EXTERNAL))
    return audit.clients.setdefault(name, Client(name, network.classify(request.address)))


def _count(client: Client, request: LogLine, endpoint: str) -> None:
    client.requests += 1
    client.bodies += request.method in _BODIES
    client.endpoints[endpoint] += 1
    client.last_seen = _later(client.last_seen, request.time)
    if network.classify(request.address) == network.EXTERNAL:
        client.network = network.EXTERNAL  # a user who calls from both sides calls from outside
    if len(client.user_agents) < MOST_AGENTS:
        client.user_agents.add(request.agent)


def _count_stage(client: Client, raw: str, endpoint: str, time: datetime.datetime | None, vocabulary: Snapshot) -> None:
    meaning = vocabulary.normalize(raw, client.name)
    client.stages += 1
    client.unknown += meaning.stage is None
    if raw == meaning.stage:
        return
    if raw not in client.sent and len(client.sent) >= MOST_VALUES:
        raw = OTHERS
    uses = client.sent.setdefault(raw, Uses())
    uses.requests += 1
    uses.endpoints.add(endpoint)
    uses.last = _later(uses.last, time)


def _later(one: datetime.datetime | None, other: datetime.datetime | None) -> datetime.datetime | None:
    return max(one, other) if one and other else one or other


def still_sends(client: Client, vocabulary: Snapshot) -> list[SentValue]:
    """Return what is not canonical among the stages of a client's query strings, the most frequent first."""
    found = []
    for raw, uses in sorted(client.sent.items(), key=lambda item: (-item[1].requests, item[0])):
        meaning = vocabulary.normalize(raw, client.name)
        found.append(
            SentValue(
                raw, "unknown" if meaning.stage is None else "normalized", meaning.stage, meaning.reason,
                suggest(raw, meaning, vocabulary), tuple(sorted(uses.endpoints)), uses.requests,
                uses.last.date() if uses.last else None,
            )
        )  # fmt: skip
    return found
