"""`consumers --code`: its options, and what it found as lines for a terminal and as a JSON document."""

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from stageapp.consumer_audit.code import CodeAudit, StageLiteral
from stageapp.consumer_audit.code import scan as scan_code
from stageapp.consumer_audit.source_tree import MAX_BYTES
from stageapp.vocabulary import Snapshot, load, shipped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the code search."""
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN", help="with --code: leave out files or folders"
    )
    parser.add_argument(
        "--max-bytes", type=int, default=MAX_BYTES, help="with --code: leave out larger files; default: %(default)s"
    )
    parser.add_argument(
        "--shipped-vocabulary", action="store_true",
        help="with --code or --access-log: use the vocabulary that the product ships with; needs no database",
    )  # fmt: skip


def scan(options: dict[str, Any]) -> CodeAudit:
    """Search the paths.

    Raises:
        CommandError: a path does not exist; wrong usage.
    """
    if missing := [path for path in options["code"] if not Path(path).exists()]:
        raise CommandError(f"There is no {missing[0]}.", returncode=2)
    return scan_code(
        options["code"], vocabulary_of(options), max_bytes=options["max_bytes"], exclude=options["exclude"]
    )


def vocabulary_of(options: dict[str, Any]) -> Snapshot:
    """Return the vocabulary to read with, from the database unless the options say otherwise."""
    return shipped() if options["shipped_vocabulary"] else load()


def document(audit: CodeAudit) -> dict[str, Any]:
    """Return the findings for JSON."""
    left = audit.left
    return {
        "literals": [vars(literal) for literal in audit.literals],
        "files": audit.files, "characters": audit.characters, "ignored": audit.ignored,
        "left_out": {
            "too_large": [{"path": path, "bytes": size} for path, size in left.too_large],
            "unreadable": [{"path": path, "why": why} for path, why in left.unreadable],
            "binary": left.binary, "other": left.other,
        },
    }  # fmt: skip


def lines(audit: CodeAudit) -> list[str]:
    """Return the findings for a terminal, as file:line:column, and what was left out."""
    left = audit.left
    ignored = f", {audit.ignored:,} silenced by a comment" if audit.ignored else ""
    return [
        *map(_line, audit.literals),
        *(f"Left out: {path}: {size:,} bytes; --max-bytes takes larger ones" for path, size in left.too_large),
        *(f"Not read: {path}: {why}" for path, why in left.unreadable),
        f"{audit.files:,} files, {audit.characters:,} characters{ignored}; left out: "
        f"{len(left.too_large):,} too large, {left.binary:,} binary, {left.other:,} of no language that is read.",
    ]


def _line(found: StageLiteral) -> str:
    if found.send:
        advice = f'write "{found.send}"'
    else:
        meant = f", maybe {' or '.join(found.suggestions)}" if found.suggestions else ""
        advice = f"unknown stage ({found.reason}){meant}"
    return f"{found.path}:{found.line}:{found.column}: {found.literal!a}: {advice}"


def verdict(audit: CodeAudit) -> str:
    """Return what a failing search says last."""
    known = sum(literal.send is not None for literal in audit.literals)
    return (
        f"{known} stage literals are not canonical, {len(audit.literals) - known} are unknown. Write the slugs, "
        "or end a line that is meant so with the comment `stages: ignore`."
    )
