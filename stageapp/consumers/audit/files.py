"""Audits as CSV: a row per value that a caller still sends, one for a caller that sends none."""

import datetime
from collections.abc import Iterable, Iterator, Sequence
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
    senders = (
        (
            [
                caller.name,
                caller.status,
                " ".join(caller.scopes),
                _last_seen(caller.last_seen),
                " ".join(caller.networks),
                _agents(caller.agents),
                " ".join(caller.endpoints),
                _share(caller.unknown_share),
            ],
            caller.still_sends,
        )
        for caller in callers
    )
    return delimited.write(file, COLUMNS, _rows(senders))


def _rows(
    senders: Iterable[tuple[Sequence[object], Sequence[SentValue]]],
) -> Iterator[list[object]]:
    for head, values in senders:
        for value in values:
            yield [
                *head,
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
        if not values:
            yield [*head, *[""] * VALUE_COLUMNS]


def _last_seen(seen: datetime.datetime | None) -> str:
    return f"{seen:%Y-%m-%d %H:%M:%S}" if seen else ""


def _agents(agents: Iterable[str]) -> str:
    return " ".join(agent or "none" for agent in agents)


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.4f}"


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
    senders = (
        (
            [
                client.name,
                client.network,
                client.requests,
                client.bodies,
                _last_seen(client.last_seen),
                _agents(client.agents),
                " ".join(sorted(client.endpoints)),
                _share(client.unknown_share),
            ],
            still_sends(client, vocabulary),
        )
        for client in audit.clients.values()
    )
    return delimited.write(file, LOG_COLUMNS, _rows(senders))
