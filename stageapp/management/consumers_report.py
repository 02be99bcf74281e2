"""The consumer audit as lines for a terminal and as JSON documents."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from stageapp.consumers.audit import code
from stageapp.consumers.audit.access_log import LogAudit, still_sends
from stageapp.consumers.audit.callers import Caller, SentValue
from stageapp.consumers.audit.code import CodeAudit
from stageapp.consumers.audit.source_tree import MAX_BYTES
from stageapp.infrastructure import words
from stageapp.vocabulary.snapshot import Snapshot, load, shipped

_SHOWN = 20  # values of one caller that a terminal gets; --json and --csv have them all
_CLIENTS = 50  # clients of a log that a terminal gets
NO_BODIES = (
    "A log contains no request bodies: what is sent by POST, PUT or PATCH is missing "
    "here. `manage.py consumers` shows it."
)


def audit_document(callers: Sequence[Caller], days: int) -> dict[str, Any]:
    consumers = [
        {
            "name": caller.name,
            "status": caller.status,
            "scopes": caller.scopes,
            "last_seen": caller.last_seen,
            "endpoints": caller.endpoints,
            "networks": caller.networks,
            "agents": caller.agents,
            "stages_sent": caller.values,
            "unknown_sent": caller.unknown,
            "unknown_share": caller.unknown_share,
            "still_sends": [vars(value) for value in caller.still_sends],
            "contacts": [
                {
                    "endpoint": c.endpoint,
                    "agent": c.agent_hash,
                    "network": c.network,
                    "requests": c.requests,
                    "first_seen": c.first_seen,
                    "last_seen": c.last_seen,
                }
                for c in caller.contacts
            ],
        }
        for caller in callers
    ]
    return {"days": days, "consumers": consumers}


def audit_lines(callers: Sequence[Caller], days: int) -> list[str]:
    if not callers:
        return [
            "There are no consumers. `manage.py consumers token --name NAME --scope "
            "read` creates one."
        ]
    lines = []
    for one in callers:
        seen = f"last seen {one.last_seen:%Y-%m-%d %H:%M:%S} UTC" if one.last_seen else "never seen"
        lines.append(f"{_printable(one.name)} ({_list([one.status, *one.scopes])}), {seen}")
        if one.contacts:
            agents = [agent or "none" for agent in one.agents]
            lines.append(
                f"  calls {_counts(one.endpoints)}; from {_list(one.networks)}; agents "
                f"{_list(agents)}"
            )
        lines += [f"  {_share(one.unknown, one.values)}", *_value_lines(one.still_sends), ""]
    sending = sum(bool(caller.still_sends) for caller in callers)
    return [
        *lines,
        f"{len(callers)} callers, {sending} of them sent something not canonical in the last "
        f"{days} days.",
    ]


def _share(unknown: int, values: int) -> str:
    if not values:
        return "sent no stage"
    return (
        f"sent {values:,} stages, {unknown:,} of them unknown "
        f"({words.percent(100 * unknown / values)})"
    )


def _value_lines(values: Sequence[SentValue]) -> list[str]:
    lines = []
    for value in values[:_SHOWN]:
        last = f", last {value.last_sent:%Y-%m-%d}" if value.last_sent else ""
        shown = value.examples[0] if value.examples else _printable(value.value)
        meant = f", maybe {_list(value.suggestions)}" if value.suggestions else ""
        advice = f"unknown: {value.reason or 'unmapped'}{meant}"
        if value.send:
            advice = f"→ send {value.send}"
        lines.append(
            f"  {value.requests:>10,}  {shown:<32} {advice} ({_list(value.endpoints)}{last})"
        )
    if len(values) > _SHOWN:
        lines.append(f"  … and {len(values) - _SHOWN} more; --json and --csv list them all")
    return lines


def log_document(audit: LogAudit, vocabulary: Snapshot) -> dict[str, Any]:
    """Return a log's audit for JSON."""
    return {
        "lines": audit.lines,
        "formats": dict(audit.formats),
        "other_requests": audit.others,
        "malformed": audit.malformed,
        "ended_early": audit.ended_early,
        "note": NO_BODIES,
        "malformed_examples": [
            {"line": line, "why": why, "begins": begins}
            for line, why, begins in audit.malformed_examples
        ],
        "clients": [
            {
                "name": c.name,
                "network": c.network,
                "requests": c.requests,
                "requests_with_body": c.bodies,
                "last_seen": c.last_seen,
                "agents": c.agents,
                "endpoints": dict(c.endpoints),
                "stages_sent": c.stages,
                "unknown_sent": c.unknown,
                "unknown_share": c.unknown_share,
                "still_sends": [vars(value) for value in still_sends(c, vocabulary)],
            }
            for c in audit.clients.values()
        ],
    }


def log_lines(audit: LogAudit, vocabulary: Snapshot) -> list[str]:
    """Return a log's audit for a terminal, clients with the most requests first."""
    clients = sorted(audit.clients.values(), key=lambda client: (-client.requests, client.name))
    lines = []
    for client in clients[:_CLIENTS]:
        seen = f", last seen {client.last_seen:%Y-%m-%d %H:%M:%S} UTC" if client.last_seen else ""
        lines.append(f"{_printable(client.name)} ({client.network}){seen}")
        agents = [agent or "none" for agent in client.agents]
        lines.append(f"  calls {_counts(client.endpoints)}; agents {_list(agents)}")
        lines.append(
            f"  {_share(client.unknown, client.stages)} in query strings; {client.bodies:,} "
            "requests with a body"
        )
        lines += [*_value_lines(still_sends(client, vocabulary)), ""]
    if len(clients) > _CLIENTS:
        lines += [
            f"… and {len(clients) - _CLIENTS} more clients; --json and --csv list them all",
            "",
        ]
    return lines + log_summary(audit)


def log_summary(audit: LogAudit) -> list[str]:
    """Return how much of a log could be read."""
    read = (
        f"{audit.lines:,} lines ({_counts(audit.formats)})"
        if audit.formats
        else f"{audit.lines:,} lines"
    )
    lines = [
        f"{read}, {audit.others:,} requests to other paths, {audit.malformed:,} malformed lines."
    ]
    lines += [
        f"  line {number}: {why}: {begins!a}" for number, why, begins in audit.malformed_examples
    ]
    return [*lines, *filter(None, [audit.ended_early]), NO_BODIES]


def _counts(counts: dict[str, int]) -> str:
    return _list(f"{name} {count:,}" for name, count in counts.items())


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def _printable(raw: str) -> str:
    return raw if raw.isprintable() and raw else ascii(raw)


# `consumers --code`: its options, and what it found as lines for a terminal and as a JSON document.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the code search."""
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="with --code: leave out files or folders",
    )
    parser.add_argument(
        "--max-bytes",
        type=int,
        default=MAX_BYTES,
        help="with --code: leave out larger files; default: %(default)s",
    )
    parser.add_argument(
        "--shipped-vocabulary",
        action="store_true",
        help="with --code or --access-log: use the vocabulary shipped with the product; needs "
        "no database",
    )


def scan(options: dict[str, Any]) -> CodeAudit:
    """Search the paths.

    Raises:
        CommandError: a path does not exist (a usage error).
    """
    if missing := [path for path in options["code"] if not Path(path).exists()]:
        raise CommandError(f"There is no file or folder {missing[0]}.", returncode=2)
    return code.scan(
        options["code"],
        vocabulary_of(options),
        max_bytes=options["max_bytes"],
        exclude=options["exclude"],
    )


def vocabulary_of(options: dict[str, Any]) -> Snapshot:
    """Return the vocabulary to read with: the database's, or the shipped one on request."""
    return shipped() if options["shipped_vocabulary"] else load()


def document(audit: CodeAudit) -> dict[str, Any]:
    left = audit.left
    return {
        "literals": [vars(literal) for literal in audit.literals],
        "files": audit.files,
        "characters": audit.characters,
        "ignored": audit.ignored,
        "left_out": {
            "too_large": [{"path": path, "bytes": size} for path, size in left.too_large],
            "unreadable": [{"path": path, "why": why} for path, why in left.unreadable],
            "binary": left.binary,
            "other": left.other,
        },
    }


def lines(audit: CodeAudit) -> list[str]:
    """Return the findings for a terminal as file:line:column, and what was skipped."""
    left, shown = audit.left, []
    for one in audit.literals:
        meant = f", maybe {' or '.join(one.suggestions)}" if one.suggestions else ""
        advice = f'write "{one.send}"' if one.send else f"unknown stage ({one.reason}){meant}"
        shown.append(f"{one.path}:{one.line}:{one.column}: {one.literal!a}: {advice}")
    ignored = f", {audit.ignored:,} silenced by a comment" if audit.ignored else ""
    return [
        *shown,
        *(
            f"Left out: {path}: {size:,} bytes; raise --max-bytes to include it"
            for path, size in left.too_large
        ),
        *(f"Not read: {path}: {why}" for path, why in left.unreadable),
        f"{audit.files:,} files, {audit.characters:,} characters{ignored}; left out: "
        f"{len(left.too_large):,} too large, {left.binary:,} binary, {left.other:,} in an "
        "unsupported language.",
    ]


def verdict(audit: CodeAudit) -> str:
    """Return the closing line of a failing search."""
    known = sum(literal.send is not None for literal in audit.literals)
    return (
        f"{known} stage literals are not canonical, {len(audit.literals) - known} are "
        "unknown. Write the slugs, or end an intentional line with the comment `stages: "
        "ignore`."
    )
