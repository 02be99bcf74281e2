"""Runs, their verifications and the entries of the audit log."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework.serializers import (
    BooleanField,
    CharField,
    ChoiceField,
    DateTimeField,
    DictField,
    FloatField,
    IntegerField,
    JSONField,
    ListField,
    SerializerMethodField,
)

from stageapp import conf
from stageapp.audit import proof
from stageapp.audit.proof import Proof
from stageapp.documents.body import Body, TextOrNull, texts
from stageapp.models.batches import Checkpoint, Direction
from stageapp.models.normalization import Run, State
from stageapp.models.proofs import Verification
from stageapp.models.unknowns import DriftCheck
from stageapp.normalization import drain, leases, limits
from stageapp.normalization.limits import Shown
from stageapp.normalization.progress import Progress, progress
from stageapp.sealing import guard, state
from stageapp.unknowns import drift

DIRECTIONS = [direction.value for direction in Direction]
STATES = [state.value for state in State]
SHARDS = 100  # a run has at most 32 in a direction; each rollback has its own


class RunInBrief(Body):
    """One run."""

    id = IntegerField()
    target = CharField(help_text="app.Model.field")
    plan = CharField(source="plan.hash", help_text="the plan's SHA-256")
    state = ChoiceField(STATES)
    actor = CharField()
    rows_total = IntegerField(source="plan.rows_total", min_value=0)
    rows_to_change = IntegerField(source="plan.rows_to_change", min_value=0)
    created_at = DateTimeField()
    started_at = DateTimeField(allow_null=True)
    finished_at = DateTimeField(allow_null=True)


class RunPage(Body):
    """Runs, newest first."""

    next = CharField(allow_null=True, help_text="the path of the runs before these")
    results = RunInBrief(many=True)


class RunProgress(Body):
    """How far a run is in its current direction."""

    direction = ChoiceField(DIRECTIONS)
    percent = FloatField(min_value=0, max_value=100)
    rows = IntegerField(source="scanned", min_value=0, help_text="read so far, of `of`")
    of = IntegerField(source="total", min_value=0)
    changed = IntegerField(min_value=0)
    skipped = IntegerField(min_value=0, help_text="changed by others since, left as they are")
    quarantined = IntegerField(min_value=0)
    sweep = IntegerField(min_value=0)
    rate = FloatField(allow_null=True, help_text="rows per second, over the last 30 s")
    eta_seconds = FloatField(allow_null=True)
    written = IntegerField(
        source="standing.written", min_value=0, help_text="rows the run has changed in total"
    )
    undone = IntegerField(
        source="standing.undone",
        min_value=0,
        help_text="of these, rows undone by full or partial rollbacks",
    )
    heartbeat_at = DateTimeField(allow_null=True)
    stuck = BooleanField(help_text="no worker has sent a heartbeat for 5 minutes")
    workers = texts()

    def subject(self, run: Run) -> Progress:
        return progress(run)


class RunThrottle(Body):
    """What throttles a run."""

    hold = TextOrNull(help_text="why it waits now")
    reason = TextOrNull()
    looked_at = DateTimeField(allow_null=True)
    readings = ListField(child=JSONField(), help_text="the last reading of each factor")
    seconds_by_reason = DictField(
        source="seconds",
        child=FloatField(min_value=0),
        help_text="how long its workers have waited",
    )

    def subject(self, run: Run) -> Shown:
        return limits.shown(run)


class Shard(Body):
    """A key range, its progress and its worker."""

    direction = ChoiceField(DIRECTIONS)
    round = IntegerField(min_value=0, help_text="0 for the run itself; a rollback's own number")
    shard = IntegerField(min_value=0)
    above = TextOrNull(source="lower")
    up_to = TextOrNull(source="upper")
    position = TextOrNull()
    sweep = IntegerField(min_value=0)
    rows = IntegerField(source="scanned", min_value=0)
    changed = IntegerField(min_value=0)
    skipped = IntegerField(min_value=0)
    quarantined = IntegerField(min_value=0)
    finished = BooleanField()
    worker = SerializerMethodField(help_text="the worker that holds it now")
    heartbeat_at = DateTimeField(allow_null=True)

    def get_worker(self, shard: Checkpoint) -> str | None:
        holder: str | None = self.context["holders"].get(shard.pk)
        return holder


class RunProof(Body):
    """Whether the run is proved to stand, as the rows are now."""

    stands = BooleanField()
    run = IntegerField(source="run.pk", allow_null=True)
    reasons = SerializerMethodField()
    verification = IntegerField(source="verification.pk", allow_null=True)
    verified_at = DateTimeField(source="verification.ended_at", allow_null=True)
    verified_by = CharField(source="verification.actor", allow_null=True)
    drift_looked_at = DateTimeField(source="look.looked_at", allow_null=True)
    drift_known_rows = IntegerField(source="look.known_rows", allow_null=True)

    def subject(self, run: Run) -> Proof:
        return proof.of_run(run)

    def get_reasons(self, known: Proof) -> list[str]:
        return [doubt.text for doubt in known.doubts]


class VerificationResult(Body):
    """What a verification counted, and what it compared with."""

    verification = IntegerField(source="pk")
    run = IntegerField(source="run_id")
    started_at = DateTimeField()
    ended_at = DateTimeField()
    actor = CharField()
    reason = CharField()
    vocabulary_version = IntegerField()
    ok = BooleanField(help_text="rows and audit log agree, and no known spelling is left")
    agrees = BooleanField(source="found.agrees")
    faults = SerializerMethodField()
    rows = IntegerField(source="found.rows")
    rows_arrived = IntegerField(source="found.rows_arrived", help_text="since the plan was made")
    rows_as_written = IntegerField(source="found.rows_as_written")
    rows_changed_since = IntegerField(source="found.rows_changed_since")
    rows_deleted_since = IntegerField(source="found.rows_deleted_since")
    rows_undone = IntegerField(source="found.rows_undone")
    rows_left = IntegerField(source="found.rows_left", help_text="with a spelling of the plan")
    rows_unplanned = IntegerField(
        source="found.rows_unplanned", help_text="with a known spelling that the plan does not name"
    )
    rows_given_back = IntegerField(
        source="found.rows_given_back", help_text="with a known spelling that a rollback gave back"
    )
    rows_unknown = IntegerField(source="found.rows_unknown")
    rows_null = IntegerField(source="found.rows_null")
    quarantined = IntegerField(source="found.quarantined")
    entries = IntegerField(source="found.entries", help_text="of the audit log")
    changed_by_batches = IntegerField(source="found.changed_by_batches")
    undone = IntegerField(source="found.undone", help_text="entries of rollbacks")
    pairs = ListField(
        source="found.pairs", child=JSONField(), help_text="rows by old and new value"
    )

    def get_faults(self, made: Verification) -> list[str]:
        return [doubt.text for doubt in proof.faults(made)]


class NewestVerification(VerificationResult):
    """The newest verification of a run."""

    def subject(self, run: Run) -> Verification | None:
        return run.verifications.first()


def drift_since(run: Run) -> DriftCheck | None:
    """Return the target's newest drift check if it was made for this run."""
    newest = drift.latest(run.target)
    return newest if newest is not None and newest.run == run.pk else None


class Drift(Body):
    """What the drift check of the target has read since the run was done."""

    checked_at = DateTimeField()
    known_rows = IntegerField(min_value=0)
    unknown_rows = IntegerField(min_value=0)
    spellings = ListField(child=JSONField())
    problem = CharField(allow_blank=True)

    def subject(self, run: Run) -> DriftCheck | None:
        return drift_since(run)


class RunInFull(RunInBrief):
    """One run: how far, how fast, by whom, what holds it, and what proves it."""

    estimated_seconds = FloatField(
        source="plan.estimated_seconds",
        allow_null=True,
        help_text="for the plan's writing, without pauses",
    )
    last_error = CharField(allow_blank=True)
    progress = RunProgress(source="*")
    throttle = RunThrottle(source="*")
    max_workers = IntegerField(source="shards", help_text="workers that may work on it at once")
    workers_draining = SerializerMethodField(help_text="workers pick up no run")
    shards = SerializerMethodField()
    verification = NewestVerification(source="*", allow_null=True)
    proof = RunProof(source="*", help_text="whether the verification still counts")
    drift = Drift(source="*", allow_null=True)
    seal = SerializerMethodField(help_text="of the target: open, sealed, …; null if it is gone")
    guard = SerializerMethodField(help_text="of the target: on, off, …; null if it is gone")

    def get_workers_draining(self, run: Run) -> bool:
        return drain.draining()

    @extend_schema_field(Shard(many=True))
    def get_shards(self, run: Run) -> list[dict[str, Any]]:
        holders = leases.holders(run)
        shards = list(
            run.checkpoints.exclude(direction=Direction.VERIFY).order_by(
                "-round", "direction", "shard"
            )[:SHARDS]
        )
        return list(Shard(shards, many=True, context={"holders": holders}).data)

    def get_seal(self, run: Run) -> str | None:
        return state.look(run.target).state if run.target in conf.targets() else None

    def get_guard(self, run: Run) -> str | None:
        return guard.look(run.target).state if run.target in conf.targets() else None


class Undoing(Body):
    """The rollback batch that restored the old value."""

    batch = IntegerField(source="pk")
    at = DateTimeField(source="committed_at")


class LogEntry(Body):
    """One changed row with its exact old and new value."""

    id = CharField(source="entry.pk")
    row = CharField(source="entry.row_key", help_text="the primary key")
    old = CharField(source="entry.old", allow_blank=True)
    new = CharField(source="entry.new", allow_blank=True)
    run = IntegerField(source="entry.batch.run_id")
    batch = IntegerField(source="entry.batch.pk")
    direction = ChoiceField(DIRECTIONS, source="entry.batch.direction")
    at = DateTimeField(source="entry.batch.committed_at")
    undone_by = Undoing(allow_null=True)


class EntryPage(Body):
    """Entries, oldest first."""

    next = CharField(allow_null=True, help_text="the path of the entries after these")
    results = LogEntry(many=True)
