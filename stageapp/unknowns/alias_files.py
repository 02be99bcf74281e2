"""Aliases as CSV: exported for a spreadsheet, imported after a diff as one vocabulary version."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, TextIO

from django.db import transaction

from stageapp.infrastructure import delimited
from stageapp.infrastructure.delimited import CountedBytes, Row, Table, UnreadableTable, open_text
from stageapp.models.vocabulary import REASONS, Stage, StageAlias, VocabularyVersion
from stageapp.unknowns import decisions
from stageapp.vocabulary import snapshot, text
from stageapp.vocabulary.text import alias_refusal

COLUMNS = ("spelling", "source", "stage", "reason", "comment")
QUEUE_MARK = "examples"  # a column of the queue's file, whose lines may be left undecided
LONGEST_SOURCE = 200

_Place = tuple[str, str]  # source, key


class FileRefused(Exception):
    """The file cannot be imported; nothing has changed. The text says what to do."""


@dataclass(frozen=True)
class Change:
    """An alias to add, change or remove; `old` and `new` are a stage, a reason or None."""

    line: int
    spelling: str
    source: str
    key: str
    old: str | None
    new: str | None
    comment: str | None = None  # None: the file has no such column

    @property
    def place(self) -> _Place:
        """The identity of an alias: source and key."""
        return self.source, self.key


@dataclass
class AliasDiff:
    """What an import would do; if any line is refused, it does nothing at all."""

    added: list[Change] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    removed: list[Change] = field(default_factory=list)
    unchanged: int = 0
    undecided: int = 0  # lines of a queue's file that nobody filled in
    refused: list[tuple[int, str]] = field(default_factory=list)

    @property
    def changes(self) -> list[Change]:
        return [*self.added, *self.changed, *self.removed]


def export_aliases(file: TextIO) -> int:
    """Write every alias as CSV; return how many."""
    rows = StageAlias.objects.order_by("source", "key").values_list(
        "spelling", "source", "stage__slug", "reason", "comment"
    )
    return delimited.write(file, COLUMNS, ([cell or "" for cell in row] for row in rows.iterator()))


def compare(
    source: BinaryIO, *, encoding: str = "utf-8", remove_missing: bool = False
) -> AliasDiff:
    """Read a file and return what importing it would do; changes nothing.

    With `remove_missing`, aliases that are not in the file are removed.

    Raises:
        FileRefused: the file is not a table, or lacks a column.
    """
    try:
        table = Table(open_text(CountedBytes(source), encoding), wanted="spelling")
        reader = _Reader(table)
        for row in table:
            reader.take(row)
    except UnreadableTable as error:
        raise FileRefused(str(error)) from None
    if remove_missing:
        reader.remove_missing()
    return reader.diff


def apply(diff: AliasDiff, *, actor: str, reason: str) -> VocabularyVersion | None:
    """Apply all changes of a diff as one vocabulary version; return None if there are none.

    Raises:
        FileRefused: a line is refused, or an alias was changed since the diff was made.
        ValueError: the reason is empty.
    """
    if diff.refused:
        raise FileRefused(
            f"{len(diff.refused)} lines are refused, so nothing was imported. Correct them first."
        )
    with transaction.atomic():
        with snapshot.change(actor=actor, reason=reason) as made:
            stages = {stage.slug: stage for stage in Stage.objects.all()}
            held = _held()
            for change in diff.changes:
                if (now := _meaning(held.get(change.place))) != change.old:
                    raise FileRefused(
                        f"{change.spelling!r} now means {now or 'nothing'}. Check the diff again."
                    )
                _write(change, stages, reason)
        version = made()
        if version is not None:
            decisions.credit({c.key for c in diff.changes if c.new}, version)
    return version


def _write(change: Change, stages: Mapping[str, Stage], reason: str) -> None:
    place = {"source": change.source, "key": change.key}
    if change.new is None:
        StageAlias.objects.filter(**place).delete()
        return
    stage = stages.get(change.new)
    meaning = {"stage": stage, "reason": "" if stage else change.new}
    comment = {} if change.comment is None else {"comment": change.comment}
    created = {"spelling": change.spelling, "comment": reason.strip(), **meaning, **comment}
    StageAlias.objects.update_or_create(
        **place, defaults={**meaning, **comment}, create_defaults=created
    )


class _Reader:
    """Compares the lines of a table with the current aliases."""

    def __init__(self, table: Table) -> None:
        if "spelling" not in table.columns or not {"stage", "reason"} & set(table.columns):
            raise FileRefused(
                "The first line must contain the columns spelling, and stage or reason; "
                f"it contains {table.columns}."
            )
        self._columns = table.columns
        self._held = _held()
        self._stages = set(Stage.objects.filter(active=True).values_list("slug", flat=True))
        self._lines: dict[_Place, tuple[int, str]] = {}  # what the file said already, and where
        self.diff = AliasDiff()

    def take(self, row: Row) -> None:
        """Add one line to the diff."""
        cells = dict(zip(self._columns, map(delimited.plain, row.cells), strict=False))
        if row.fault:
            self.diff.refused.append((row.line, row.fault))
        elif QUEUE_MARK in cells and not self._said(cells):
            self.diff.undecided += 1
        elif why := self._why_not(cells):
            self.diff.refused.append((row.line, why))
        else:
            self._compare(row.line, cells)

    def remove_missing(self) -> None:
        """Mark every alias that is not in the file as removed."""
        for place, alias in self._held.items():
            if place not in self._lines:
                self.diff.removed.append(
                    Change(0, alias.spelling, *place, old=_meaning(alias), new=None)
                )

    def _said(self, cells: dict[str, str]) -> str:
        return cells.get("stage", "").strip() or cells.get("reason", "").strip()

    def _why_not(self, cells: dict[str, str]) -> str:
        stage, reason = cells.get("stage", "").strip(), cells.get("reason", "").strip()
        if not cells["spelling"]:
            return "the spelling is empty"
        if bool(stage) == bool(reason):
            return "give either a stage or a reason why it is not a stage"
        if stage and stage not in self._stages:
            return (
                f"{stage!r} is not an active stage; choose one of {', '.join(sorted(self._stages))}"
            )
        if reason and reason not in REASONS:
            return f"{reason!r} is not a valid reason; choose one of {', '.join(REASONS)}"
        if len(cells.get("source", "").strip()) > LONGEST_SOURCE:
            return f"the source is longer than {LONGEST_SOURCE} characters"
        return ""

    def _compare(self, line: int, cells: dict[str, str]) -> None:
        spelling, new = cells["spelling"], self._said(cells)
        if text.reduce(spelling).final:  # it has no key, so it is nobody's duplicate
            self.diff.refused.append(
                (line, alias_refusal(spelling, names_stage=new in self._stages))
            )
            return
        place = (cells.get("source", "").strip(), text.reduce(spelling).key)
        alias = self._held.get(place)
        first, said = self._lines.setdefault(place, (line, new))
        comment = cells.get("comment")
        change = Change(line, spelling, *place, old=_meaning(alias), new=new, comment=comment)
        if said != new:
            self.diff.refused.append((line, f"it means {new} here, but {said} in line {first}"))
        elif first != line or (alias and change.old == new and comment in (None, alias.comment)):
            self.diff.unchanged += 1
        elif change.old != new and (
            why := alias_refusal(spelling, names_stage=new in self._stages)
        ):
            self.diff.refused.append((line, why))
        else:
            (self.diff.changed if alias else self.diff.added).append(change)


def _held() -> dict[_Place, StageAlias]:
    return {
        (alias.source, alias.key): alias for alias in StageAlias.objects.select_related("stage")
    }


def _meaning(alias: StageAlias | None) -> str | None:
    if alias is None:
        return None
    return alias.stage.slug if alias.stage else alias.reason
