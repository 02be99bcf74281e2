"""The plan: what a run would change, frozen and hashed before anything changes."""

import hashlib
import json
from collections.abc import Iterable
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Sum

from stageapp.audit import proof
from stageapp.infrastructure import words
from stageapp.models.normalization import Plan, PlanEntry, Run, RunMove, State
from stageapp.normalization import estimate
from stageapp.normalization.statements import Change
from stageapp.targets import columns, targets
from stageapp.targets.errors import PlanNotFound
from stageapp.vocabulary import snapshot

_MIN_PREFIX = 8


def make_plan(label: str, *, actor: str) -> Plan:
    """Map the target's distinct values with the current vocabulary, and freeze the map.

    Rows with NULL have nothing to normalize; they count only in `rows_total`.

    Raises:
        TargetError: the target cannot be normalized.
    """
    target = targets.resolve(label)
    columns.require_plain(target)
    with transaction.atomic():
        meaning_of = snapshot.load()
        counts = _distinct_values(target)
        entries = [_entry(target, row, meaning_of) for row in counts if row.raw is not None]
        rows_to_change = sum(entry.rows for entry in entries if _is_change(entry))
        plan = Plan.objects.create(
            target=label,
            vocabulary_version=meaning_of.version,
            hash=plan_hash(label, meaning_of.version, entries),
            rows_total=sum(row.rows for row in counts),
            rows_to_change=rows_to_change,
            rows_unknown=sum(entry.rows for entry in entries if not entry.stage),
            estimated_seconds=estimate.seconds(target, _map(entries), rows_to_change),
            actor=actor,
        )
        for entry in entries:
            entry.plan = plan
        PlanEntry.objects.bulk_create(entries, batch_size=2000)
        run = Run.objects.create(plan=plan, target=label, actor=actor)
        RunMove.objects.create(run=run, new_state=State.PLANNED, actor=actor, reason="plan made")
    return plan


def find_plan(hash_or_prefix: str) -> Plan:
    """Return the newest plan with this hash (or a prefix of it, 8 characters or more).

    Raises:
        PlanNotFound: there is none, or the prefix matches several hashes.
    """
    wanted = hash_or_prefix.strip().lower()
    if len(wanted) < _MIN_PREFIX or not set(wanted) <= set("0123456789abcdef"):
        raise PlanNotFound(
            f"{hash_or_prefix!r} is not a plan's hash. `normalization plan` prints it."
        )
    hashes = list(
        Plan.objects.filter(hash__startswith=wanted)
        .order_by()
        .values_list("hash", flat=True)
        .distinct()
    )
    if len(hashes) > 1:
        raise PlanNotFound(
            f"{len(hashes)} plans begin with {wanted}; give more digits of the hash."
        )
    if not hashes:
        raise PlanNotFound(f"No plan has the hash {wanted}. Make one with `normalization plan`.")
    return Plan.objects.filter(hash=hashes[0]).select_related("run").order_by("-id")[0]


def outdated(plan: Plan) -> str:
    """Return why the plan is outdated, as a sentence; empty if it is current."""
    version = snapshot.newest_version()
    if plan.vocabulary_version != version:
        return (
            f"it was made with vocabulary version {plan.vocabulary_version}; the current "
            f"version is {version}."
        )
    later = proof.writes_of(plan.target).filter(created_at__gt=plan.created_at)
    if rows := later.aggregate(rows=Sum("rows"))["rows"]:
        return f"it was made before {words.count(rows, 'row was', 'rows were')} changed or added."
    return ""


def changes(plan: Plan) -> list[Change]:
    """Return the frozen map, in the order of its hash."""
    return _map(plan.entries.exclude(stage=""))


def _map(entries: Iterable[PlanEntry]) -> list[Change]:
    return sorted(
        Change(entry.source, entry.raw, entry.stored) for entry in entries if _is_change(entry)
    )


def plan_hash(label: str, version: int, entries: Iterable[PlanEntry]) -> str:
    """Return the SHA-256 (hex) of target, vocabulary version and map, without row counts."""
    pairs = sorted(
        [entry.source, entry.raw, entry.stored] for entry in entries if _is_change(entry)
    )
    document = json.dumps([label, version, pairs], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(document.encode("ascii")).hexdigest()


def _is_change(entry: PlanEntry) -> bool:
    return bool(entry.stage) and entry.stored != entry.raw


class _Found(NamedTuple):
    """One distinct value of the column."""

    source: str
    raw: str | None
    rows: int


def _distinct_values(target: targets.Target) -> list[_Found]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {target.source()}, {target.column}, count(*) FROM {target.table} WHERE "
            f"{target.rows} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
        )
        return [_Found(*row) for row in cursor.fetchall()]


def _entry(target: targets.Target, row: _Found, meaning_of: snapshot.Snapshot) -> PlanEntry:
    raw = row.raw or ""
    meaning = meaning_of.normalize(raw, row.source)
    return PlanEntry(
        source=row.source,
        raw=raw,
        stage=meaning.stage or "",
        reason=meaning.reason or "",
        rows=row.rows,
        stored=target.stored(meaning.stage, meaning_of.labels) if meaning.stage else "",
    )
