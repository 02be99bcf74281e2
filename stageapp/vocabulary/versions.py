"""View an older vocabulary version, and restore it as a new one."""

from typing import Any

from stageapp import conf
from stageapp.models.normalization import PlanEntry
from stageapp.models.portfolio import Strategy
from stageapp.models.vocabulary import Stage, StageAlias, VocabularyVersion
from stageapp.targets import targets
from stageapp.targets.errors import TargetError
from stageapp.targets.values import holds
from stageapp.vocabulary import snapshot

_HIGHEST_RANK = 32_767

Row = dict[str, Any]


class NoSuchVersion(Exception):
    """There is no vocabulary version with this number."""


def at(number: int) -> VocabularyVersion:
    """Return a version: who, when, why, what changed, and all stages and aliases as they were.

    Raises:
        NoSuchVersion: there is no version with this number.
    """
    version = VocabularyVersion.objects.filter(number=number).first()
    if version is None:
        raise NoSuchVersion(
            f"There is no vocabulary version {number}; the newest is {snapshot.newest_version()}."
        )
    return version


def difference_from_now(number: int) -> Row:
    """Return what `restore` would change, in the format of a version's diff.

    Raises:
        NoSuchVersion: there is no such version.
    """
    return snapshot.difference(snapshot.snapshot_document(), at(number).snapshot)


def restore(number: int, *, actor: str, reason: str) -> VocabularyVersion | None:
    """Restore stages and aliases as a new version; return None if nothing differs.

    A later stage is deleted; if rows, plans or strategies use it, it is deactivated instead.

    Raises:
        NoSuchVersion: there is no such version.
        ValueError: the reason is empty.
    """
    version = at(number)
    with snapshot.change(actor=actor, reason=reason) as made:
        wanted = version.snapshot
        change = snapshot.difference(snapshot.snapshot_document(), wanted)
        for row in change["aliases"]["removed"]:
            StageAlias.objects.filter(source=row["source"], key=row["key"]).delete()
        _free_ranks({row["rank"]: row["slug"] for row in wanted["stages"]})
        for row in wanted["stages"]:
            Stage.objects.update_or_create(slug=row["slug"], defaults=row)
        ids = dict(Stage.objects.values_list("slug", "id"))
        aliases = change["aliases"]
        for row in [*aliases["added"], *(pair["new"] for pair in aliases["changed"])]:
            columns = {**row, "stage_id": ids[row["stage__slug"]] if row["stage__slug"] else None}
            del columns["stage__slug"]
            StageAlias.objects.update_or_create(
                source=columns.pop("source"), key=columns.pop("key"), defaults=columns
            )
        for stage in Stage.objects.exclude(slug__in={row["slug"] for row in wanted["stages"]}):
            if is_named(stage.slug):
                Stage.objects.filter(pk=stage.pk).update(active=False)
            else:
                stage.delete()
    return made()


def _free_ranks(wanted: dict[int, str]) -> None:
    """Move stages off the ranks that others will take, because a rank must always be unique."""
    used = {*wanted, *Stage.objects.values_list("rank", flat=True)}
    unused = (rank for rank in range(_HIGHEST_RANK, -1, -1) if rank not in used)
    for stage in Stage.objects.filter(rank__in=wanted):
        if wanted[stage.rank] != stage.slug:
            Stage.objects.filter(pk=stage.pk).update(rank=next(unused))


def is_named(slug: str) -> bool:
    """Whether a target, plan or strategy uses this stage, so that it must not be deleted."""
    if (
        PlanEntry.objects.filter(stage=slug).exists()
        or Strategy.objects.filter(allocation__has_key=slug).exists()
    ):
        return True
    try:
        stored = {slug, *Stage.objects.filter(slug=slug).values_list("label", flat=True)}
        return any(
            holds(targets.resolve(label), value) for label in conf.targets() for value in stored
        )
    except TargetError:
        return True  # a target that cannot be read may hold it
