"""Decide what unknown values mean; mapping or declaring them makes a vocabulary version.

Every decision is made by a user. It is an alias, so it applies to every later value with the same
key. An ignored value stays unknown and is still counted, but leaves the open queue.
"""

import datetime
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from stageapp import conf
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.recorded import require_reason
from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import REASONS, Stage, StageAlias, VocabularyVersion
from stageapp.targets import targets
from stageapp.targets.errors import NormalizationError
from stageapp.targets.values import distinct_values
from stageapp.unknowns.examples import identity, readable
from stageapp.vocabulary import snapshot, text
from stageapp.vocabulary.snapshot import load
from stageapp.vocabulary.text import alias_refusal


class DecisionRefused(Exception):
    """The decision is not possible; nothing has changed. The text says what to do."""


def map_to(
    entries: Collection[UnknownEntry], stage: str, *, source: str = "", actor: str, reason: str
) -> VocabularyVersion | None:
    """Map these unknowns to a stage, for one source or for all, in one vocabulary version.

    Returns None if all of them were already mapped to it.

    Raises:
        DecisionRefused: there is no such active stage, one of the values can never mean a stage,
            or there is no reason.
    """
    stage_row = Stage.objects.filter(slug=stage, active=True).first()
    if stage_row is None:
        active = Stage.objects.filter(active=True).values_list("slug", flat=True)
        raise DecisionRefused(
            f"{stage!r} is not an active stage. Choose one of: {', '.join(active)}."
        )
    return _claim(entries, {"stage": stage_row, "reason": ""}, source, actor, reason)


def declare(
    entries: Collection[UnknownEntry], code: str, *, source: str = "", actor: str, reason: str
) -> VocabularyVersion | None:
    """Declare that these values are not a stage, with a reason code, in one vocabulary version.

    Raises:
        DecisionRefused: there is no such reason code, a value takes no alias, or `reason` is
            empty.
    """
    if code not in REASONS:
        raise DecisionRefused(
            f"{code!r} is not a valid reason. Choose one of: {', '.join(REASONS)}."
        )
    return _claim(entries, {"stage": None, "reason": code}, source, actor, reason)


def ignore(entries: Collection[UnknownEntry], *, actor: str, reason: str) -> int:
    """Remove these values from the open queue without deciding what they mean; return how many.

    Raises:
        DecisionRefused: the reason is empty, or nothing is selected.
    """
    check(entries, reason)
    return note(entries, actor, reason, ignored=True, version=None)


def credit(keys: Collection[str], version: VocabularyVersion) -> None:
    """Record the version that decided these keys, so that the queue shows who and can undo it."""
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
        return f"no text remains that an alias could match ({entry.reason}); ignore it instead"
    return alias_refusal(spelling_of(entry), names_stage=names_stage)


def spelling_of(entry: UnknownEntry) -> str:
    """Return an original spelling that still leads to the key, or else the key."""
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
    """Require a selection and a reason; raise DecisionRefused otherwise."""
    if not entries:
        raise DecisionRefused("Nothing is selected. `unknowns list` lists the entries.")
    require_reason(reason, DecisionRefused)


# Take decisions about unknown values back. The vocabulary version of a decision tells what was
# there before.


def undo(entries: Collection[UnknownEntry], *, actor: str, reason: str) -> VocabularyVersion | None:
    """Undo the newest decision on each entry, restoring its previous meaning.

    Returns the new vocabulary version, or None for values that were ignored.

    Raises:
        DecisionRefused: one of them has no decision from this queue, or its alias was changed
            since.
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
                        f"No decision about {entry} was made in the queue. Check its aliases."
                    )
        note(chosen, actor, reason, ignored=False, version=None)
    return made()


def _take_back(entry: UnknownEntry, version: VocabularyVersion) -> None:
    """Restore this entry's aliases to their state before a version."""
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
                f"The alias of {entry} has been changed since. Check it in the vocabulary."
            )
        if old is None:
            alias.delete()
        else:
            slug, alias.reason = _meaning(old)
            alias.stage = Stage.objects.get(slug=slug) if slug else None
            alias.save(update_fields=["stage", "reason"])


def _meaning(row: dict[str, Any]) -> tuple[str | None, str]:
    return row["stage__slug"], row["reason"]


# What a decision would mean, before it is made; nothing changes.

SHOWN_VALUES = 20


@dataclass
class Preview:
    """The impact of a decision; `refused` lists the values that it cannot apply to, and why."""

    changes_rows: bool
    rows: dict[str, int] = field(default_factory=dict)  # target → rows that hold one of the values
    values: list[tuple[str, int]] = field(
        default_factory=list
    )  # the most frequent raw values and their rows
    requests: dict[str, int] = field(default_factory=dict)  # consumer → requests of yesterday
    refused: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # what could not be read

    @property
    def rows_total(self) -> int:
        """The rows over all targets."""
        return sum(self.rows.values())

    @property
    def requests_total(self) -> int:
        """Yesterday's requests over all consumers."""
        return sum(self.requests.values())


def preview(
    entries: Collection[UnknownEntry], *, stage: str = "", code: str = "", source: str = ""
) -> Preview:
    """Return the impact of mapping to `stage`, declaring with `code`, or ignoring (neither).

    Rows change only in a later run, and only if the values come to mean a stage. A decision for
    one source affects only that consumer's requests, and only the rows of a target with that
    source.
    """
    effect = Preview(changes_rows=bool(stage))
    keys = {entry.key for entry in entries}
    if stage or code:
        why = [(str(entry), why_not(entry, names_stage=bool(stage))) for entry in entries]
        effect.refused = [(name, text) for name, text in why if text]
    day = timezone.now().date() - datetime.timedelta(days=1)
    sent = ConsumerSighting.objects.filter(key__in=keys, day=day, outcome="unknown").order_by()
    if source:
        sent = sent.filter(consumer=source)
    effect.requests = dict(
        sent.values_list("consumer").annotate(total=Sum("count")).order_by("-total")
    )
    meaning_of = load()
    values: Counter[str] = Counter()
    for label in conf.targets():
        try:
            target = targets.resolve(label)
            held = distinct_values(
                target,
                besides=target.canonical(meaning_of.labels),
                seconds=conf.settings.drift_timeout_seconds,
            )
        except NormalizationError as problem:
            effect.problems.append(str(problem))
            continue
        mine = Counter[str]()
        for row_source, raw, rows in held:
            if source in ("", row_source) and identity(raw, meaning_of.normalize(raw)) in keys:
                mine[raw] += rows
        effect.rows[label] = mine.total()
        values.update(mine)
    effect.values = values.most_common(SHOWN_VALUES)
    return effect
