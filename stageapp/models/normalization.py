"""Plans, runs, checkpoints, batches and the audit log.

Plan, entries, moves, batches and the log are append-only; a trigger in the database holds that.
"""

from django.db import models
from django.db.models import Q


class State(models.TextChoices):
    """The states of a run."""

    PLANNED = "planned"
    APPROVED = "approved"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    VERIFYING = "verifying"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


# Every allowed move and why it exists. `normalization.runs.move` is the only writer of a state.
MOVES: dict[State, dict[State, str]] = {
    State.PLANNED: {
        State.APPROVED: "a person (or, without the two-person rule, the start itself) approves the hash",
        State.CANCELLED: "the plan is not wanted any more",
    },
    State.APPROVED: {
        State.RUNNING: "the first start: vocabulary version and plan age are checked here, and only here",
        State.CANCELLED: "stopped before anything changed",
    },
    State.RUNNING: {
        State.PAUSING: "a person asks; the batch in hand is finished first",
        State.VERIFYING: "the sweep found nothing more to change",
        State.FAILED: "a batch failed beyond its retries; the checkpoint stands",
        State.CANCELLED: "a person stops for good; what changed stays, and can be rolled back",
    },
    State.PAUSING: {
        State.PAUSED: "the worker reached the end of its batch",
        State.RUNNING: "resumed before the worker had stopped",
        State.VERIFYING: "the last batch was the one in hand",
        State.FAILED: "the batch in hand failed beyond its retries",
        State.CANCELLED: "stopped for good while stopping",
    },
    State.PAUSED: {
        State.RUNNING: "resumed: goes on from the checkpoint",
        State.CANCELLED: "stopped for good; what changed stays, and can be rolled back",
        State.ROLLING_BACK: "undo what has been done so far",
    },
    State.VERIFYING: {
        State.DONE: "rows and audit log agree",
        State.FAILED: "rows and audit log disagree; the differences are stored",
    },
    State.DONE: {State.ROLLING_BACK: "undo the run from the audit log"},
    State.FAILED: {
        State.RUNNING: "tried again from the checkpoint",
        State.CANCELLED: "given up; what changed stays, and can be rolled back",
        State.ROLLING_BACK: "undo what has been done so far",
    },
    State.CANCELLED: {State.ROLLING_BACK: "undo what had been done before the cancellation"},
    State.ROLLING_BACK: {State.ROLLED_BACK: "every audit entry is undone or listed as changed since"},
    State.ROLLED_BACK: {},
}

# In these states a worker may hold the run, and a sweep looks for forgotten ones.
ACTIVE = (State.RUNNING, State.PAUSING, State.VERIFYING, State.ROLLING_BACK)
# While a target has a run in one of these, no other run of it may start.
UNFINISHED = (*ACTIVE, State.PAUSED)


class Plan(models.Model):
    """The frozen list (source, raw value) → stage with row counts. Append-only."""

    target = models.CharField(max_length=200, help_text="app.Model.field")
    vocabulary_version = models.BigIntegerField()
    hash = models.CharField(max_length=64, db_index=True)
    rows_total = models.BigIntegerField()
    rows_to_change = models.BigIntegerField()
    rows_unknown = models.BigIntegerField()
    actor = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.target} {self.hash[:12]}"


class PlanEntry(models.Model):
    """One distinct raw value of a plan. `stage` is empty for an unknown, which then has a reason."""

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="entries")
    source = models.CharField(max_length=200, blank=True, default="")
    raw = models.TextField()
    stage = models.CharField(max_length=40, blank=True, default="")
    reason = models.CharField(max_length=20, blank=True, default="")
    rows = models.BigIntegerField()

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "plan entries"
        ordering = ["-rows", "id"]

    def __str__(self) -> str:
        return f"{self.raw[:60]!r} → {self.stage or self.reason}"


class Run(models.Model):
    """The execution of a plan; there is at most one for each."""

    plan = models.OneToOneField(Plan, on_delete=models.PROTECT, related_name="run")
    target = models.CharField(max_length=200, help_text="the plan's target, here for the constraint below")
    state = models.CharField(max_length=20, choices=State.choices, default=State.PLANNED)
    actor = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True, default="")
    last_error = models.TextField(blank=True, default="")
    verification = models.JSONField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["target"], condition=Q(state__in=UNFINISHED), name="one_unfinished_run_per_target"
            )
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.plan}"


class RunMove(models.Model):
    """One change of a run's state: who, when, why. Append-only."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="moves")
    old_state = models.CharField(max_length=20, blank=True, default="")
    new_state = models.CharField(max_length=20)
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.old_state} → {self.new_state}"


class Direction(models.TextChoices):
    """Which way a batch writes."""

    FORWARD = "forward"
    ROLLBACK = "rollback"


class Checkpoint(models.Model):
    """How far one shard of a run has committed in one direction; written in the batch's own transaction."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="checkpoints")
    direction = models.CharField(max_length=10, choices=Direction.choices)
    shard = models.PositiveSmallIntegerField(default=0)
    sweep = models.PositiveSmallIntegerField(default=0, help_text="0 is the main pass; later ones find latecomers")
    position = models.TextField(
        blank=True, default="", help_text="forward: the last key committed; rollback: the last batch undone"
    )
    batches = models.PositiveIntegerField(default=0)
    scanned = models.BigIntegerField(default=0)
    changed = models.BigIntegerField(default=0)
    skipped = models.BigIntegerField(default=0, help_text="rows changed by others since, left as they are")
    changed_in_sweep = models.BooleanField(default=False)
    finished = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["run", "direction", "shard"], name="one_checkpoint_per_shard")]

    def __str__(self) -> str:
        return f"{self.direction} shard {self.shard}, sweep {self.sweep}, at {self.position or 'the start'}"


class Batch(models.Model):
    """One committed transaction of a run. Append-only."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="batches")
    direction = models.CharField(max_length=10, choices=Direction.choices)
    shard = models.PositiveSmallIntegerField(default=0)
    sweep = models.PositiveSmallIntegerField(default=0)
    number = models.PositiveIntegerField()
    last_key = models.TextField(help_text="the checkpoint this batch committed")
    scanned = models.IntegerField()
    changed = models.IntegerField()
    seconds = models.FloatField()
    committed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "batches"
        constraints = [
            models.UniqueConstraint(fields=["run", "direction", "shard", "number"], name="one_batch_per_number")
        ]

    def __str__(self) -> str:
        return f"batch {self.number} ({self.direction}) of run {self.run_id}"


class NormalizationLog(models.Model):
    """The audit log: one changed row with its true old and new value. Append-only.

    Read and written through `normalization.audit` alone, so that its storage may change.
    """

    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="log")
    row_key = models.TextField(help_text="the row's primary key, as text")
    old = models.TextField()
    new = models.TextField()

    class Meta:
        default_permissions = ("view",)
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        indexes = [models.Index(fields=["row_key"])]
        constraints = [models.CheckConstraint(condition=~Q(old=models.F("new")), name="an_entry_is_a_change")]

    def __str__(self) -> str:
        return f"row {self.row_key}: {self.old[:40]!r} → {self.new[:40]!r}"
