"""Audits as CSV: a row per value that a caller still sends, one for a caller that sends none."""

from collections.abc import Iterable, Iterator
from typing import TextIO

from stageapp.consumers.audit.access_log import LogAudit, still_sends
from stageapp.consumers.audit.callers import Caller, SentValue
from stageapp.infrastructure import delimited
from stageapp.vocabulary.snapshot import Snapshot

COLUMNS = (
    "consumer",
    "status",
    "scopes",
    "last_seen",
    "networks",
    "agents",
    "endpoints",
    "unknown_share",
    "value",
    "outcome",
    "send_instead",
    "reason",
    "suggestions",
    "sent_to",
    "requests",
    "last_sent",
    "examples",
)
VALUE_COLUMNS = len(COLUMNS) - COLUMNS.index("value")


def export_audit(file: TextIO, callers: Iterable[Caller]) -> int:
    """Write callers and what they still send; return the number of rows."""
    return delimited.write(file, COLUMNS, _rows(callers))


def _rows(callers: Iterable[Caller]) -> Iterator[list[object]]:
    for caller in callers:
        share, seen = caller.unknown_share, caller.last_seen
        head = [
            caller.name,
            caller.status,
            " ".join(caller.scopes),
            f"{seen:%Y-%m-%d %H:%M:%S}" if seen else "",
            " ".join(caller.networks),
            " ".join(agent or "none" for agent in caller.agents),
            " ".join(caller.endpoints),
            "" if share is None else f"{share:.4f}",
        ]
        for value in caller.still_sends:
            yield [*head, *value_cells(value)]
        if not caller.still_sends:
            yield [*head, *[""] * VALUE_COLUMNS]


def value_cells(value: SentValue) -> list[object]:
    """Return one value as cells in column order."""
    return [
        value.value,
        value.outcome,
        value.send or "",
        value.reason or "",
        " ".join(value.suggestions),
        " ".join(value.endpoints),
        value.requests,
        value.last_sent or "",
        " ".join(value.examples),
    ]


LOG_COLUMNS = (
    "client",
    "network",
    "requests",
    "with_body",
    "last_seen",
    "agents",
    "endpoints",
    "unknown_share",
    *COLUMNS[COLUMNS.index("value") :],
)


def export_log(file: TextIO, audit: LogAudit, vocabulary: Snapshot) -> int:
    """Write an access log's clients and the stages they sent; return the number of rows."""
    return delimited.write(file, LOG_COLUMNS, _log_rows(audit, vocabulary))


def _log_rows(audit: LogAudit, vocabulary: Snapshot) -> Iterator[list[object]]:
    for client in audit.clients.values():
        share, seen = client.unknown_share, client.last_seen
        head = [
            client.name,
            client.network,
            client.requests,
            client.bodies,
            f"{seen:%Y-%m-%d %H:%M:%S}" if seen else "",
            " ".join(agent or "none" for agent in client.agents),
            " ".join(sorted(client.endpoints)),
            "" if share is None else f"{share:.4f}",
        ]
        values = still_sends(client, vocabulary)
        yield from ([*head, *value_cells(value)] for value in values)
        if not values:
            yield [*head, *[""] * VALUE_COLUMNS]
