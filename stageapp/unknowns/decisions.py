"""Decide what unknown values mean. Every decision is a person's; a map or a declaration makes a
vocabulary version.

A decision holds for every later value with the same key, since it is an alias. An ignored value
stays unknown and is counted on, out of the open queue.
"""

from collections.abc import Collection
from typing import Any

from django.db import transaction
from django.utils import timezone

from stageapp.models.recorded import require_reason
from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import REASONS, Stage, StageAlias, VocabularyVersion
from stageapp.unknowns.examples import readable
from stageapp.vocabulary import snapshot, text
from stageapp.vocabulary.alias_rules import refusal


class DecisionRefused(Exception):
    """The decision cannot be; nothing has changed. The text says what to do."""


def map_to(
    entries: Collection[UnknownEntry], stage: str, *, source: str = "", actor: str, reason: str
) -> VocabularyVersion | None:
    """Let these unknowns mean a stage, for one source or for everybody, in one vocabulary version.

    Returns None where every one of them meant it already.

    Raises:
        DecisionRefused: there is no such active stage, one of the values can never mean a stage, or
            no reason.
    """
    stage_row = Stage.objects.filter(slug=stage, active=True).first()
    if stage_row is None:
        raise DecisionRefused(
            f"{stage!r} is no active stage. Choose one of: {', '.join(_active())}."
        )
    return _claim(entries, {"stage": stage_row, "reason": ""}, source, actor, reason)


def declare(
    entries: Collection[UnknownEntry], code: str, *, source: str = "", actor: str, reason: str
) -> VocabularyVersion | None:
    """Say that these values are no stage, and for which of the reasons, in one vocabulary version.

    Raises:
        DecisionRefused: there is no such reason code, a value takes no alias, or `reason` is empty.
    """
    if code not in REASONS:
        raise DecisionRefused(f"{code!r} is no reason. Choose one of: {', '.join(REASONS)}.")
    return _claim(entries, {"stage": None, "reason": code}, source, actor, reason)


def ignore(entries: Collection[UnknownEntry], *, actor: str, reason: str) -> int:
    """Take these values out of the open queue without deciding what they mean; return how many.

    Raises:
        DecisionRefused: the reason is empty, or nothing is chosen.
    """
    check(entries, reason)
    return note(entries, actor, reason, ignored=True, version=None)


def credit(keys: Collection[str], version: VocabularyVersion) -> None:
    """Record that a version decided the entries of these keys, so that the queue tells by whom
    and can undo it.
    """
    UnknownEntry.stored.filter(key__in=keys).update(
        decided_by=version.actor,
        decided_at=version.created_at,
        decided_why=version.reason,
        ignored=False,
        version=version,
    )


def why_not(entry: UnknownEntry, *, names_stage: bool) -> str:
    """Return why an alias cannot decide this entry, empty if it can."""
    if not entry.takes_alias:
        return (
            f"nothing is left of it that an alias could claim ({entry.reason}); ignore it instead"
        )
    return refusal(spelling_of(entry), names_stage=names_stage)


def spelling_of(entry: UnknownEntry) -> str:
    """Return how the value was written, where that still leads to its key; else the key."""
    for shown in entry.examples:
        if text.reduce(spelling := readable(shown)).key == entry.key:
            return spelling
    return entry.key


def _claim(
    entries: Collection[UnknownEntry], meaning: dict[str, Any], source: str, actor: str, reason: str
) -> VocabularyVersion | None:
    check(entries, reason)
    refused = [
        f"{e}: {why}"
        for e in entries
        if (why := why_not(e, names_stage=meaning["stage"] is not None))
    ]
    if refused:
        raise DecisionRefused("; ".join(refused))
    with transaction.atomic():
        with snapshot.change(actor=actor, reason=reason) as made:
            for entry in entries:
                StageAlias.objects.update_or_create(
                    source=source,
                    key=entry.key,
                    defaults=meaning,
                    create_defaults={
                        **meaning,
                        "spelling": spelling_of(entry),
                        "comment": reason.strip(),
                    },
                )
        version = made()
        note(entries, actor, reason, ignored=False, version=version)
    return version


def note(entries: Collection[UnknownEntry], actor: str, reason: str, **decision: Any) -> int:
    """Record who decided, and why; return the number of entries."""
    return UnknownEntry.stored.filter(pk__in=[entry.pk for entry in entries]).update(
        decided_by=actor[:200], decided_at=timezone.now(), decided_why=reason.strip(), **decision
    )


def check(entries: Collection[UnknownEntry], reason: str) -> None:
    """Raise DecisionRefused where nothing is chosen or no reason is given."""
    if not entries:
        raise DecisionRefused("Nothing is chosen. `unknowns list` shows what there is.")
    require_reason(reason, DecisionRefused)


def _active() -> list[str]:
    return list(Stage.objects.filter(active=True).values_list("slug", flat=True))


# Take decisions about unknown values back. The vocabulary version of a decision tells what was
# there before.


def undo(entries: Collection[UnknownEntry], *, actor: str, reason: str) -> VocabularyVersion | None:
    """Take the newest decision about each entry back: its value means again what it meant before.

    Returns the new vocabulary version; None for values that were ignored.

    Raises:
        DecisionRefused: nothing was decided about one of them here, or its alias was changed since.
    """
    check(entries, reason)
    with transaction.atomic():
        chosen = list(
            UnknownEntry.stored.select_for_update().filter(pk__in=[entry.pk for entry in entries])
        )
        with snapshot.change(actor=actor, reason=reason) as made:
            for entry in chosen:
                if entry.version is not None:
                    _take_back(entry, entry.version)
                elif not entry.ignored:
                    raise DecisionRefused(
                        f"Nothing was decided in the queue about {entry}. Look at its aliases."
                    )
        note(chosen, actor, reason, ignored=False, version=None)
    return made()


def _take_back(entry: UnknownEntry, version: VocabularyVersion) -> None:
    """Bring the aliases of this entry back to what they were before a version."""
    diff = version.diff["aliases"]
    mine = [{"old": None, "new": row} for row in diff["added"] if row["key"] == entry.key]
    mine += [change for change in diff["changed"] if change["new"]["key"] == entry.key]
    for change in mine:
        new, old = change["new"], change["old"]
        alias = (
            StageAlias.objects.select_related("stage")
            .filter(source=new["source"], key=new["key"])
            .first()
        )
        if alias is None or (alias.stage.slug if alias.stage else None, alias.reason) != _meaning(
            new
        ):
            raise DecisionRefused(
                f"The alias of {entry} was changed since. Look at it in the vocabulary."
            )
        if old is None:
            alias.delete()
        else:
            slug, alias.reason = _meaning(old)
            alias.stage = Stage.objects.get(slug=slug) if slug else None
            alias.save(update_fields=["stage", "reason"])


def _meaning(row: dict[str, Any]) -> tuple[str | None, str]:
    return row["stage__slug"], row["reason"]
