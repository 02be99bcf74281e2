"""The plan: what a run would change, frozen and hashed before anything changes."""

import hashlib
import json
from collections.abc import Iterable, Sequence

from django.db import DatabaseError, connection, transaction
from django.db.models import Sum

from stageapp.audit import proof
from stageapp.infrastructure import words
from stageapp.models.normalization import Plan, PlanEntry, Run, RunMove, State
from stageapp.normalization import batches
from stageapp.normalization.batches import Cursor, Limits
from stageapp.normalization.statements import Change
from stageapp.targets import columns, targets
from stageapp.targets.errors import PlanNotFound
from stageapp.targets.targets import Target
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
        entries, rows_total = _map_values(target, meaning_of)
        rows_to_change = sum(entry.rows for entry in entries if _is_change(entry))
        plan = Plan.objects.create(
            target=label,
            vocabulary_version=meaning_of.version,
            hash=plan_hash(label, meaning_of.version, entries),
            rows_total=rows_total,
            rows_to_change=rows_to_change,
            rows_unknown=sum(entry.rows for entry in entries if not entry.stage),
            estimated_seconds=estimated_seconds(target, _map(entries), rows_to_change),
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


def _map_values(
    target: targets.Target, meaning_of: snapshot.Snapshot
) -> tuple[list[PlanEntry], int]:
    """Return an entry for each distinct value, the most frequent first, and how many rows exist."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {target.source()}, {target.column}, count(*) FROM {target.table} WHERE "
            f"{target.rows} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"
        )
        counted = cursor.fetchall()
    entries = []
    for source, raw, rows in counted:
        if raw is None:
            continue
        meaning = meaning_of.normalize(raw, source)
        stored = target.stored(meaning.stage, meaning_of.labels) if meaning.stage else ""
        entries.append(
            PlanEntry(
                source=source,
                raw=raw,
                stage=meaning.stage or "",
                reason=meaning.reason or "",
                rows=rows,
                stored=stored,
            )
        )
    return entries, sum(rows for _, _, rows in counted)


# A run's duration is estimated from a few rows that are changed, timed and rolled back.

WARM_UP_ROWS = 200  # whoever writes first pays for cold pages and for planning
SAMPLE_ROWS = 800
_NO_RUN = 0


def estimated_seconds(target: Target, changes: Sequence[Change], rows: int) -> float | None:
    """Return how long one worker needs for that many rows, excluding pauses and verification.

    Its locks are shorter than a batch's. None if no sample is possible because one of its rows is
    locked or rejected.
    """
    if not rows:
        return 0.0
    try:
        # A place from which the next rows are to be changed: a part of the table may be
        # normalized already.
        condition, values = target.holds_any([(change.source, change.old) for change in changes])
        key, table = target.key, target.table
        first = f"(SELECT {key} FROM {table} WHERE {condition} ORDER BY {key} LIMIT 1)"
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT t.{key}::text FROM {table} t WHERE t.{key} < {first} ORDER BY t.{key} DESC "
                "LIMIT 1",
                values,
            )
            row = cursor.fetchone()
        warm_up = batches.dry(
            _NO_RUN, target, changes, Cursor(position=row[0] if row else ""), Limits(WARM_UP_ROWS)
        )
        if warm_up.changed == rows:  # there are no others
            return warm_up.seconds
        sample = batches.dry(_NO_RUN, target, changes, warm_up.cursor, Limits(SAMPLE_ROWS))
    except DatabaseError:
        return None
    changed = sample.changed or warm_up.changed
    taken = sample.seconds if sample.changed else warm_up.seconds
    return taken * rows / changed if changed else None
