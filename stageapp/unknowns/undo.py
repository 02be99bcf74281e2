"""Take decisions about unknown values back. The vocabulary version of a decision tells what was there before."""

from collections.abc import Collection
from typing import Any

from django.db import transaction

from stageapp import vocabulary
from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import Stage, StageAlias, VocabularyVersion
from stageapp.unknowns.decisions import DecisionRefused, check, note


def undo(entries: Collection[UnknownEntry], *, actor: str, reason: str) -> VocabularyVersion | None:
    """Take the newest decision about each entry back: its value means again what it meant before.

    Returns the new vocabulary version; None for values that were ignored.

    Raises:
        DecisionRefused: nothing was decided about one of them here, or its alias was changed since.
    """
    check(entries, reason)
    with transaction.atomic():
        chosen = list(UnknownEntry.stored.select_for_update().filter(pk__in=[entry.pk for entry in entries]))
        with vocabulary.change(actor=actor, reason=reason) as made:
            for entry in chosen:
                if entry.version is not None:
                    _take_back(entry, entry.version)
                elif not entry.ignored:
                    raise DecisionRefused(f"Nothing was decided in the queue about {entry}. Look at its aliases.")
        note(chosen, actor, reason, ignored=False, version=None)
    return made()


def _take_back(entry: UnknownEntry, version: VocabularyVersion) -> None:
    """Bring the aliases of this entry back to what they were before a version."""
    diff = version.diff["aliases"]
    mine = [{"old": None, "new": row} for row in diff["added"] if row["key"] == entry.key]
    mine += [change for change in diff["changed"] if change["new"]["key"] == entry.key]
    for change in mine:
        new, old = change["new"], change["old"]
        alias = StageAlias.objects.select_related("stage").filter(source=new["source"], key=new["key"]).first()
        if alias is None or (alias.stage.slug if alias.stage else None, alias.reason) != _meaning(new):
            raise DecisionRefused(f"The alias of {entry} was changed since. Look at it in the vocabulary.")
        if old is None:
            alias.delete()
        else:
            slug, alias.reason = _meaning(old)
            alias.stage = Stage.objects.get(slug=slug) if slug else None
            alias.save(update_fields=["stage", "reason"])


def _meaning(row: dict[str, Any]) -> tuple[str | None, str]:
    return row["stage__slug"], row["reason"]
