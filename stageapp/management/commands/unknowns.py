"""`manage.py unknowns …`: the queue of unmapped values, and decisions on them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from stageapp.infrastructure import words
from stageapp.management import bars
from stageapp.management.command import StageCommand, command_line_actor, database_errors
from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import REASONS, VocabularyVersion
from stageapp.unknowns import decisions
from stageapp.unknowns.decisions import DecisionRefused, Preview, preview, undo
from stageapp.unknowns.queue import STATES, export_queue, places, queue, suggestions
from stageapp.vocabulary.snapshot import load

# The unknown queue as lines for a terminal and as JSON documents.

_WIDTH = 44


def queue_document(entries: Sequence[UnknownEntry]) -> dict[str, Any]:
    """Return entries for JSON; `examples` are themselves JSON strings."""
    meaning_of = load()
    return {
        "entries": [
            {
                "number": e.pk,
                "key": e.key,
                "reason": e.reason,
                "state": e.state,
                "examples": e.examples,
                "suggestions": suggestions(e, meaning_of),
                "impact": e.impact,
                "rows": e.rows,
                "imported": e.imported,
                "requests": e.requests,
                "first_seen": e.first_seen,
                "last_seen": e.last_seen,
                "decided_by": e.decided_by,
                "decided_at": e.decided_at,
                "decided_why": e.decided_why,
                "seen_at": [vars(place) for place in places(e)],
            }
            for e in entries
        ]
    }


def queue_lines(entries: Sequence[UnknownEntry], state: str) -> list[str]:
    """Return entries for a terminal."""
    if not entries:
        return [f"The queue has no {state} entry." if state != "all" else "The queue is empty."]
    meaning_of = load()
    lines = [
        f"{'number':>7} {'rows':>10} {'requests':>9}  {'value':<{_WIDTH}} {'reason':<16} suggestion"
    ]
    for entry in entries:
        shown = entry.examples[0]
        value, stages = (
            shown if len(shown) <= _WIDTH else shown[: _WIDTH - 1] + "…",
            ", ".join(suggestions(entry, meaning_of)),
        )
        rows = max(entry.rows, entry.imported)
        lines.append(
            (
                f"{entry.pk:>7} {rows:>10,} {entry.requests:>9,}  {value:<{_WIDTH}} "
                f"{entry.reason:<16} {stages}"
            ).rstrip()
        )
    return [*lines, "Next: unknowns map NUMBER --to STAGE --reason TEXT --dry-run"]


def preview_document(effect: Preview) -> dict[str, Any]:
    """Return a preview for JSON."""
    return {
        **vars(effect),
        "rows_total": effect.rows_total,
        "requests_total": effect.requests_total,
    }


def preview_lines(effect: Preview) -> list[str]:
    """Return a preview for a terminal."""
    lines = [_affected(effect, target, rows) for target, rows in effect.rows.items()]
    lines += [f"{rows:>12,}  {value!r}" for value, rows in effect.values]
    lines.append(f"{effect.requests_total:,} of yesterday's requests contained it.")
    lines += [f"{requests:>12,}  {consumer}" for consumer, requests in effect.requests.items()]
    lines += [f"Refused: {value}: {why}." for value, why in effect.refused]
    return [
        *lines,
        *(f"Not read: {problem}" for problem in effect.problems),
        "Nothing was changed.",
    ]


def _affected(effect: Preview, target: str, rows: int) -> str:
    of = f"{words.count(rows, 'row')} of {target}"
    if effect.changes_rows:
        return f"{of} would change with the next run."
    return f"{of} {'contains it and stays as it is' if rows == 1 else 'contain it and stay as they are'}."


class Command(StageCommand):
    """Show the unknown queue and decide its entries."""

    help = (
        "The unknown queue: values without an alias, by impact. Map, declare or ignore "
        "them; undo; export."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        shown = verbs.add_parser(
            "list", help="show entries with their numbers, greatest impact first"
        )
        shown.add_argument("--limit", type=int, default=50, help="how many; default: %(default)s")
        export = verbs.add_parser(
            "export", help="write the queue as CSV; fill it in and import it with vocabulary import"
        )
        export.add_argument("file", nargs="?", help="- or nothing: standard output")
        for verb in (shown, export):
            verb.add_argument(
                "--state", choices=[*STATES, "all"], default="open", help="default: %(default)s"
            )
        mapping = verbs.add_parser("map", help="map values to a stage, in one vocabulary version")
        mapping.add_argument(
            "--to", required=True, metavar="STAGE", help="the stage's slug, e.g. series_a"
        )
        declaring = verbs.add_parser("declare", help="declare that values are not a stage, and why")
        declaring.add_argument(
            "--as",
            required=True,
            dest="code",
            choices=list(REASONS),
            help="why they are not a stage",
        )
        ignoring = verbs.add_parser(
            "ignore", help="take values out of the open queue; they stay unknown"
        )
        undoing = verbs.add_parser("undo", help="undo the newest decision about each value")
        for verb in (mapping, declaring, ignoring, undoing):
            verb.add_argument("number", nargs="+", type=int, help="as `unknowns list` shows it")
            verb.add_argument("--reason", required=True, help="why; kept in the history")
        for verb in (mapping, declaring):
            verb.add_argument(
                "--source",
                default="",
                help="only for this consumer or import; default: for all",
            )
        for verb in (mapping, declaring, ignoring):
            verb.add_argument(
                "--dry-run",
                action="store_true",
                help="show what it would change, and change nothing",
            )
        for verb in (shown, mapping, declaring, ignoring, undoing):
            verb.add_argument("--json", action="store_true", help="one JSON document on stdout")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        """Run the sub-command.

        Raises:
            CommandError: it is refused or the database does not respond; nothing has changed.
        """
        try:
            with (
                database_errors(", nothing was changed"),
                bars.working(verb, quiet=options.get("json", False)),
            ):
                getattr(self, f"_{verb}")(**options)
        except DecisionRefused as error:
            raise CommandError(str(error)) from None

    def _list(self, *, state: str, limit: int, **options: Any) -> None:
        entries = list(queue(None if state == "all" else state)[: max(0, limit)])
        self.print_result(queue_document(entries), queue_lines(entries, state), options)

    def _export(self, *, file: str | None, state: str, **_: Any) -> None:
        wanted = None if state == "all" else state
        if file in (None, "-"):
            export_queue(sys.stdout, wanted)
            return
        try:
            with Path(file).open("w", encoding="utf-8", newline="") as target:
                count = export_queue(target, wanted)
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
        self.stderr.write(f"{count} entries written to {file}.")

    def _map(self, *, to: str, **options: Any) -> None:
        self._decide({"stage": to}, options)

    def _declare(self, *, code: str, **options: Any) -> None:
        self._decide({"code": code}, options)

    def _ignore(self, **options: Any) -> None:
        self._decide({}, options)

    def _decide(self, meaning: dict[str, str], options: dict[str, Any]) -> None:
        entries = entries_of(options["number"])
        if options["dry_run"]:
            effect = preview(entries, source=options.get("source", ""), **meaning)
            self.print_result(preview_document(effect), preview_lines(effect), options)
            return
        who = {"actor": command_line_actor(), "reason": options["reason"]}
        if "stage" in meaning:
            version = decisions.map_to(entries, meaning["stage"], source=options["source"], **who)
        elif "code" in meaning:
            version = decisions.declare(entries, meaning["code"], source=options["source"], **who)
        else:
            version = None
            decisions.ignore(entries, **who)
        self._tell(len(entries), version, options)

    def _undo(self, *, number: list[int], reason: str, **options: Any) -> None:
        version = undo(entries_of(number), actor=command_line_actor(), reason=reason)
        self._tell(len(number), version, options)

    def _tell(self, count: int, version: VocabularyVersion | None, options: dict[str, Any]) -> None:
        said = f"vocabulary version {version.number}" if version else "the vocabulary is unchanged"
        document = {"entries": count, "version": version.number if version else None}
        self.print_result(document, [f"{count} decided; {said}."], options)


def entries_of(numbers: Sequence[int]) -> list[UnknownEntry]:
    """Return the entries with these numbers.

    Raises:
        DecisionRefused: one of them does not exist.
    """
    entries = list(UnknownEntry.objects.filter(pk__in=numbers))
    if missing := set(numbers) - {entry.pk for entry in entries}:
        raise DecisionRefused(
            f"There is no entry {min(missing)}. `unknowns list` lists the numbers."
        )
    return entries
