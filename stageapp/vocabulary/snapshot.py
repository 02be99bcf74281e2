"""The meaning of a raw value: the current vocabulary as a process-local snapshot.

`normalize()` on a value seen before is one dictionary lookup. The snapshot is read in one
statement, so that stages, aliases and version number are consistent; the refresher loads new
versions.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db import connection, transaction

from stageapp.infrastructure import events, locks
from stageapp.infrastructure.locks import Lock
from stageapp.infrastructure.refresher import LocalCopy
from stageapp.models.recorded import require_actor, require_reason
from stageapp.models.vocabulary import Stage, StageAlias, VocabularyVersion
from stageapp.vocabulary import defaults, text

_MEMO_LIMIT = (
    50_000  # distinct raw values remembered per snapshot; beyond it the memory starts anew
)

_SNAPSHOT_SQL = """
SELECT (SELECT max(number) FROM stageapp_vocabularyversion),
       (SELECT json_agg(to_json(s) ORDER BY s.rank) FROM stageapp_stage s),
       (SELECT json_agg(json_build_array(a.source, a.key, s.slug, a.reason))
          FROM stageapp_stagealias a LEFT JOIN stageapp_stage s ON s.id = a.stage_id)
"""


class ChangedMeanwhile(Exception):
    """The vocabulary is newer than the reviewed version; nothing was changed.

    The text names the author of the newer version.
    """


@dataclass(frozen=True)
class Meaning:
    """The meaning of a raw value: a stage, or a reason. `key` is the unformatted value."""

    stage: str | None
    reason: str | None
    key: str


@dataclass(frozen=True)
class Snapshot:
    """One version of the vocabulary in memory; immutable except for its cache of answers."""

    version: int
    labels: dict[str, str]  # canonical slug → label, in rank order, active stages only
    aliases: dict[tuple[str, str], tuple[str | None, str]]  # (source, key) → (slug or None, reason)
    _memo: dict[tuple[str, str], Meaning] = field(default_factory=dict, compare=False, repr=False)
    suggested: dict[str, tuple[str, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )  # see suggestions.py

    @cached_property
    def general(self) -> dict[str, str]:
        """The keys that mean a stage for every source, with that stage."""
        return {
            key: slug for (source, key), (slug, _) in self.aliases.items() if slug and not source
        }

    def normalize(self, raw: str, source: str = "") -> Meaning:
        """Return what `raw` means, first for its source, then for all. Never raises for any str."""
        if (known := self._memo.get((raw, source))) is not None:
            return known
        reduced = text.reduce(raw)
        alias = self.aliases.get((source, reduced.key)) or self.aliases.get(("", reduced.key))
        if reduced.final or alias is None:
            meaning = Meaning(None, reduced.reason, reduced.key)
        else:
            meaning = Meaning(alias[0], None if alias[0] else alias[1], reduced.key)
        if len(self._memo) >= _MEMO_LIMIT:
            self._memo.clear()
        self._memo[raw, source] = meaning
        return meaning


def load() -> Snapshot:
    """Read the vocabulary from PostgreSQL, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_SNAPSHOT_SQL)
        version, stages, aliases = cursor.fetchone()
    stages, aliases = (json.loads(v) if isinstance(v, str) else v or [] for v in (stages, aliases))
    active = {stage["slug"]: stage["label"] for stage in stages if stage["active"]}
    return Snapshot(
        version=version or 0,
        labels=active,
        aliases={
            (source, key): (slug, reason)
            for source, key, slug, reason in aliases
            if slug is None or slug in active
        },
    )


def shipped() -> Snapshot:
    """Return the default vocabulary as version 0, without a database."""
    stages = defaults.stages()
    spellings = [(stage.slug, stage.slug) for stage in stages] + [
        (stage.label, stage.slug) for stage in stages
    ]
    spellings += [(alias.spelling, alias.stage) for alias in defaults.aliases()]
    return Snapshot(
        version=0,
        labels={stage.slug: stage.label for stage in stages},
        aliases={
            ("", text.reduce(spelling).key): (slug, "") for spelling, slug in reversed(spellings)
        },
    )


def disagreements(values: Sequence[tuple[str, str]], meaning_of: Snapshot) -> list[str]:
    """Return the raw values of which SQL's `normalize_stage()` says another stage than Python.

    `values` are (source, raw value); raises django.db.DatabaseError without a working function.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s, v, normalize_stage(v, s) FROM unnest(%s::text[], %s::text[]) AS t (s, v)",
            [[source for source, _ in values], [raw for _, raw in values]],
        )
        told = cursor.fetchall()
    return [raw for source, raw, stage in told if meaning_of.normalize(raw, source).stage != stage]


def newest_version() -> int:
    """Return the newest vocabulary version's number, or 0."""
    return (
        VocabularyVersion.objects.values_list("number", flat=True).order_by("-number").first() or 0
    )


_copy = LocalCopy(load, lambda held: newest_version() != held.version)
current, forget, refresh = _copy.current, _copy.forget, _copy.refresh


def normalize(raw: str, source: str = "") -> Meaning:
    """Return what `raw` means in the current vocabulary. Never raises for any str."""
    return current().normalize(raw, source)


@contextmanager
def change(*, actor: str, reason: str) -> Iterator[Callable[[], VocabularyVersion | None]]:
    """Make all edits of stages and aliases in the block one new version, or none if unchanged.

    Yields a function that returns the version after the block.

    Raises:
        ValueError: the actor or the reason is empty.
    """
    require_actor(actor, ValueError)
    why = require_reason(reason, ValueError)
    made: list[VocabularyVersion] = []
    with transaction.atomic():
        locks.wait(Lock.VOCABULARY)
        before = snapshot_document()
        yield lambda: made[0] if made else None
        after = snapshot_document()
        if after != before:
            version = VocabularyVersion.objects.create(
                actor=actor, reason=why, snapshot=after, diff=difference(before, after)
            )
            made.append(version)

            def announce() -> None:
                events.vocabulary_changed(version=version.number, actor=actor, reason=why)
                forget()

            transaction.on_commit(announce)


@contextmanager
def unchanged_since(number: int) -> Iterator[None]:
    """Lock the vocabulary for the block, at the version that the actor has reviewed.

    Raises:
        ChangedMeanwhile: there is a newer version.
    """
    with transaction.atomic():
        locks.wait(Lock.VOCABULARY)
        newest = VocabularyVersion.objects.defer("snapshot", "diff").first()
        if newest is not None and newest.number != number:
            raise ChangedMeanwhile(
                f"{newest.actor} made vocabulary version {newest.number} after you "
                f"looked: {newest.reason} Your change was not saved. Reload, then decide "
                "again."
            )
        yield


def snapshot_document() -> dict[str, Any]:
    """Return the current stages and aliases for JSON, in a stable order."""
    stages = Stage.objects.order_by("rank").values("slug", "label", "rank", "active")
    aliases = StageAlias.objects.order_by("source", "key").values(
        "source", "key", "spelling", "stage__slug", "reason", "comment"
    )
    return {"stages": list(stages), "aliases": list(aliases)}


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what two documents added, removed and changed, by slug and by (source, key)."""
    result: dict[str, Any] = {}
    for part, names in (("stages", ("slug",)), ("aliases", ("source", "key"))):
        old = {tuple(row[name] for name in names): row for row in before.get(part, [])}
        new = {tuple(row[name] for name in names): row for row in after.get(part, [])}
        result[part] = {
            "added": [new[key] for key in sorted(new.keys() - old.keys())],
            "removed": [old[key] for key in sorted(old.keys() - new.keys())],
            "changed": [
                {"old": old[k], "new": new[k]}
                for k in sorted(old.keys() & new.keys())
                if old[k] != new[k]
            ],
        }
    return result
