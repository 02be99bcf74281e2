"""Vocabulary versions and alias imports as lines for a terminal and as JSON documents."""

from collections.abc import Sequence
from typing import Any

from stageapp.alias_files import AliasDiff, Change
from stageapp.models.vocabulary import VocabularyVersion

_SHOWN = 60  # lines of each kind that a terminal gets; --json has them all


def diff_document(diff: AliasDiff, version: VocabularyVersion | None) -> dict[str, Any]:
    """Return an import's difference for JSON."""
    return {
        "added": [vars(change) for change in diff.added],
        "changed": [vars(change) for change in diff.changed],
        "removed": [vars(change) for change in diff.removed],
        "unchanged": diff.unchanged,
        "undecided": diff.undecided,
        "refused": [{"line": line, "why": why} for line, why in diff.refused],
        "version": version.number if version else None,
    }


def diff_lines(diff: AliasDiff, version: VocabularyVersion | None) -> list[str]:
    """Return an import's difference for a terminal."""
    lines = [*_changes("Added", diff.added), *_changes("Changed", diff.changed), *_changes("Removed", diff.removed)]
    lines += _cut("Refused", [f"  line {line}: {why}" for line, why in diff.refused])
    undecided = f", {diff.undecided} not filled in" if diff.undecided else ""
    lines.append(f"{len(diff.changes)} to change, {diff.unchanged} unchanged, {len(diff.refused)} refused{undecided}.")
    lines.append(f"Imported as vocabulary version {version.number}." if version else "Nothing was changed.")
    return lines


def _changes(title: str, changes: list[Change]) -> list[str]:
    return _cut(
        title, [f"  {_named(c.spelling, c.source)}: {c.old or 'nothing'} → {c.new or 'nothing'}" for c in changes]
    )


def _named(spelling: str, source: str) -> str:
    return f"{spelling!a} ({source})" if source else ascii(spelling)


def _cut(title: str, lines: list[str]) -> list[str]:
    more = [f"  … and {len(lines) - _SHOWN} more; --json lists them all"] if len(lines) > _SHOWN else []
    return [f"{title}: {len(lines)}", *lines[:_SHOWN], *more] if lines else []


def versions_document(versions: Sequence[VocabularyVersion]) -> dict[str, Any]:
    """Return versions for JSON."""
    return {"versions": [_head(version) for version in versions]}


def versions_lines(versions: Sequence[VocabularyVersion]) -> list[str]:
    """Return versions for a terminal."""
    return [f"{v.number:>6}  {v.created_at:%Y-%m-%d %H:%M}  {v.actor}: {v.reason}" for v in versions]


def version_document(version: VocabularyVersion) -> dict[str, Any]:
    """Return one version whole for JSON."""
    return {**_head(version), "diff": version.diff, **version.snapshot}


def version_lines(version: VocabularyVersion) -> list[str]:
    """Return one version whole for a terminal."""
    stages = [
        f"  {row['slug']:<16} {row['label']}{'' if row['active'] else ' (not active)'}"
        for row in version.snapshot.get("stages", [])
    ]
    aliases = [
        f"  {_named(row['spelling'], row['source'])} → {row['stage__slug'] or row['reason']}"
        for row in version.snapshot.get("aliases", [])
    ]
    return [
        *versions_lines([version]), "Stages:", *stages, "Aliases:", *aliases, *change_lines(version.diff),
    ]  # fmt: skip


def change_lines(diff: dict[str, Any]) -> list[str]:
    """Return a version's diff for a terminal."""
    lines = []
    for part, kinds in diff.items():
        for kind, rows in kinds.items():
            lines += _cut(f"{part} {kind}", [f"  {_row(row.get('new', row))}" for row in rows])
    return lines or ["It differs in nothing."]


def _row(row: dict[str, Any]) -> str:
    if "slug" in row:
        return f"{row['slug']}: {row['label']}, rank {row['rank']}{'' if row['active'] else ', not active'}"
    return f"{_named(row['spelling'], row['source'])} → {row['stage__slug'] or row['reason']}"


def _head(version: VocabularyVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "created_at": version.created_at,
        "actor": version.actor,
        "reason": version.reason,
    }
