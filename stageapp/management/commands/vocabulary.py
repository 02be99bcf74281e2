"""`manage.py vocabulary …`: aliases as files, and vocabulary versions."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from stageapp.management import bars
from stageapp.management.command import StageCommand, command_line_actor, database_errors
from stageapp.models.recorded import require_reason
from stageapp.models.vocabulary import VocabularyVersion
from stageapp.unknowns import alias_files
from stageapp.unknowns.alias_files import AliasDiff, Change, FileRefused
from stageapp.vocabulary import versions as vocabulary_versions
from stageapp.vocabulary.versions import NoSuchVersion

# Vocabulary versions and alias imports as lines for a terminal and as JSON documents.

_SHOWN = 60  # lines of each kind that a terminal gets; --json has them all


def diff_document(diff: AliasDiff, version: VocabularyVersion | None) -> dict[str, Any]:
    """Return an import's diff for JSON."""
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
    """Return an import's diff for a terminal."""
    lines = [
        *_changes("Added", diff.added),
        *_changes("Changed", diff.changed),
        *_changes("Removed", diff.removed),
    ]
    lines += _cut("Refused", [f"  line {line}: {why}" for line, why in diff.refused])
    undecided = f", {diff.undecided} not filled in" if diff.undecided else ""
    lines.append(
        f"{len(diff.changes)} to change, {diff.unchanged} unchanged, {len(diff.refused)} "
        f"refused{undecided}."
    )
    lines.append(
        f"Imported as vocabulary version {version.number}." if version else "Nothing was changed."
    )
    return lines


def _changes(title: str, changes: list[Change]) -> list[str]:
    return _cut(
        title,
        [
            f"  {_named(c.spelling, c.source)}: {c.old or 'nothing'} → {c.new or 'nothing'}"
            for c in changes
        ],
    )


def _named(spelling: str, source: str) -> str:
    return f"{spelling!a} ({source})" if source else ascii(spelling)


def _cut(title: str, lines: list[str]) -> list[str]:
    more = (
        [f"  … and {len(lines) - _SHOWN} more; --json lists them all"]
        if len(lines) > _SHOWN
        else []
    )
    return [f"{title}: {len(lines)}", *lines[:_SHOWN], *more] if lines else []


def versions_document(versions: Sequence[VocabularyVersion]) -> dict[str, Any]:
    """Return versions for JSON."""
    return {"versions": [_head(version) for version in versions]}


def versions_lines(versions: Sequence[VocabularyVersion]) -> list[str]:
    """Return versions for a terminal."""
    return [
        f"{v.number:>6}  {v.created_at:%Y-%m-%d %H:%M}  {v.actor}: {v.reason}" for v in versions
    ]


def version_document(version: VocabularyVersion) -> dict[str, Any]:
    """Return one complete version for JSON."""
    return {**_head(version), "diff": version.diff, **version.snapshot}


def version_lines(version: VocabularyVersion) -> list[str]:
    """Return one complete version for a terminal."""
    stages = [
        f"  {row['slug']:<16} {row['label']}{'' if row['active'] else ' (not active)'}"
        for row in version.snapshot.get("stages", [])
    ]
    aliases = [
        f"  {_named(row['spelling'], row['source'])} → {row['stage__slug'] or row['reason']}"
        for row in version.snapshot.get("aliases", [])
    ]
    return [
        *versions_lines([version]),
        "Stages:",
        *stages,
        "Aliases:",
        *aliases,
        *change_lines(version.diff),
    ]


def change_lines(diff: dict[str, Any]) -> list[str]:
    """Return a version's diff for a terminal."""
    lines = []
    for part, kinds in diff.items():
        for kind, rows in kinds.items():
            shown = []
            for row in (one.get("new", one) for one in rows):
                if "slug" in row:
                    active = "" if row["active"] else ", not active"
                    shown.append(f"  {row['slug']}: {row['label']}, rank {row['rank']}{active}")
                else:
                    meaning = row["stage__slug"] or row["reason"]
                    shown.append(f"  {_named(row['spelling'], row['source'])} → {meaning}")
            lines += _cut(f"{part} {kind}", shown)
    return lines or ["There are no differences."]


def _head(version: VocabularyVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "created_at": version.created_at,
        "actor": version.actor,
        "reason": version.reason,
    }


class Command(StageCommand):
    """Export and import aliases as CSV, and show or restore versions."""

    help = "Export and import aliases as CSV; list, show and restore versions of the vocabulary."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        export = verbs.add_parser("export", help="write every alias as CSV")
        export.add_argument("file", nargs="?", help="- or nothing: standard output")
        taking = verbs.add_parser(
            "import",
            help="read aliases from CSV (also from a filled-in queue file): all lines, or none",
            description="Columns: spelling, and stage or reason; optionally source and comment. "
            "Check with --dry-run first.",
        )
        taking.add_argument("file", help="a CSV file; - is standard input")
        taking.add_argument(
            "--dry-run", action="store_true", help="show the difference, change nothing"
        )
        taking.add_argument(
            "--remove-missing",
            action="store_true",
            help="remove aliases missing from the file",
        )
        taking.add_argument("--encoding", default="utf-8", help="default: %(default)s")
        versions = verbs.add_parser("versions", help="list the versions, the newest first")
        versions.add_argument(
            "--limit", type=int, default=20, help="how many; default: %(default)s"
        )
        show = verbs.add_parser("show", help="show one complete version")
        restore = verbs.add_parser("restore", help="restore an older version, as a new one")
        restore.add_argument(
            "--dry-run", action="store_true", help="show the difference, change nothing"
        )
        for verb in (show, restore):
            verb.add_argument("number", type=int, help="the version's number")
        for verb in (taking, restore):
            verb.add_argument(
                "--reason", default="", help="why; kept in the history; required without --dry-run"
            )
        for verb in (taking, versions, show, restore):
            verb.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        """Run the sub-command.

        Raises:
            CommandError: it is refused or the database does not respond; nothing has changed.
        """
        if verb in ("import", "restore") and not options["dry_run"]:
            advice = "Give --reason TEXT, or look first: --dry-run."
            require_reason(
                options["reason"], lambda said: CommandError(f"{said} {advice}", returncode=2)
            )
        try:
            with (
                database_errors(", nothing was changed"),
                bars.working(verb, quiet=options.get("json", False)),
            ):
                getattr(self, f"_{verb}")(**options)
        except (FileRefused, NoSuchVersion, ValueError) as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from None

    def _export(self, *, file: str | None, **_: Any) -> None:
        if file in (None, "-"):
            alias_files.export_aliases(sys.stdout)
            return
        with Path(file).open("w", encoding="utf-8", newline="") as target:
            count = alias_files.export_aliases(target)
        self.stderr.write(f"{count} aliases written to {file}.")

    def _import(
        self, *, file: str, dry_run: bool, remove_missing: bool, encoding: str, **options: Any
    ) -> None:
        if file == "-":
            diff = alias_files.compare(
                sys.stdin.buffer, encoding=encoding, remove_missing=remove_missing
            )
        else:
            with Path(file).open("rb") as source:
                diff = alias_files.compare(source, encoding=encoding, remove_missing=remove_missing)
        version = None
        if not dry_run and not diff.refused:
            version = alias_files.apply(diff, actor=command_line_actor(), reason=options["reason"])
        self.print_result(diff_document(diff, version), diff_lines(diff, version), options)
        if diff.refused:
            raise CommandError(f"{len(diff.refused)} lines are refused, so nothing was imported.")

    def _versions(self, *, limit: int, **options: Any) -> None:
        versions = list(VocabularyVersion.objects.defer("snapshot")[: max(0, limit)])
        self.print_result(versions_document(versions), versions_lines(versions), options)

    def _show(self, *, number: int, **options: Any) -> None:
        version = vocabulary_versions.at(number)
        self.print_result(version_document(version), version_lines(version), options)

    def _restore(self, *, number: int, dry_run: bool, reason: str, **options: Any) -> None:
        if dry_run:
            diff = vocabulary_versions.difference_from_now(number)
            self.print_result(diff, change_lines(diff), options)
            return
        version = vocabulary_versions.restore(number, actor=command_line_actor(), reason=reason)
        made = version.number if version else None
        said = (
            f"Version {number} was restored, as version {made}."
            if made
            else f"The vocabulary is the same as in version {number}."
        )
        self.print_result({"restored": number, "version": made}, [said], options)
