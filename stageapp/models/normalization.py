"""Plans, runs, and what people decided about them.

Plan, entries, moves and rollback plans are append-only; a trigger in the database holds that.
"""

from django.db import models
from django.db.models import Q

from stageapp.infrastructure import words
from stageapp.models.recorded import HAS_A_REASON, Recorded


class State(models.TextChoices):
    """Where a run is between its plan and its end."""

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

    @property
    def said(self) -> str:
        """Return the state in words: `rolling back`."""
        return str(self.label).lower()


# Every allowed move and why it exists. `normalization.runs.move` is the only writer of a state.
MOVES: dict[State, dict[State, str]] = {
    State.PLANNED: {
        State.APPROVED: (
            "a user (or, without the two-person rule, the start itself) approves the hash"
        ),
        State.CANCELLED: "the plan is no longer wanted",
    },
    State.APPROVED: {
        State.RUNNING: (
            "the first start: vocabulary version and plan age are checked here, and only here"
        ),
        State.CANCELLED: "stopped before anything changed",
    },
    State.RUNNING: {
        State.PAUSING: "a person asks; batches in flight are finished first",
        State.VERIFYING: "no row matches the plan any more",
        State.FAILED: (
            "a batch failed beyond its retries, or too many rows are in quarantine; the "
            "checkpoint is kept"
        ),
        State.CANCELLED: "a user stops it permanently; changed rows stay changed and can be rolled back",
    },
    State.PAUSING: {
        State.PAUSED: "the worker reached the end of its batch",
        State.RUNNING: "resumed before the worker had stopped",
        State.VERIFYING: "the batch in flight was the last one",
        State.FAILED: "the batch in flight failed beyond its retries",
        State.CANCELLED: "stopped for good while pausing",
    },
    State.PAUSED: {
        State.RUNNING: "resumed from the checkpoint",
        State.CANCELLED: "stopped permanently; changed rows stay changed and can be rolled back",
        State.ROLLING_BACK: "undo what has been done so far",
    },
    State.VERIFYING: {
        State.DONE: "rows and audit log agree, and no row contains a planned spelling",
        State.FAILED: (
            "rows and audit log disagree, or planned spellings came back; the verification "
            "says which"
        ),
    },
    State.DONE: {State.ROLLING_BACK: "undo the run from the audit log"},
    State.FAILED: {
        State.RUNNING: "retried from the checkpoint",
        State.CANCELLED: "given up; changed rows stay changed and can be rolled back",
        State.ROLLING_BACK: "undo what has been done so far",
    },
    State.CANCELLED: {State.ROLLING_BACK: "undo what had been done before the cancellation"},
    State.ROLLING_BACK: {
        State.ROLLED_BACK: "every audit entry is undone or listed as changed since",
        State.DONE: "some batches or one value are undone; the rest of the run stays in effect",
        State.CANCELLED: "the same, for a run that was cancelled",
    },
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
    estimated_seconds = models.FloatField(
        null=True, blank=True, help_text="of a run, from a timed sample; without pauses"
    )
    actor = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.target} {words.short_hash(self.hash)}"


class PlanEntry(models.Model):
    """One distinct raw value of a plan. `stage` is empty for an unknown, which then has a
    reason.
    """

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="entries")
    source = models.CharField(max_length=200, blank=True, default="")
    raw = models.TextField()
    stage = models.CharField(max_length=40, blank=True, default="")
    stored = models.TextField(
        blank=True, default="", help_text="what a run writes: the stage's slug or its label"
    )
    reason = models.CharField(max_length=20, blank=True, default="")
    rows = models.BigIntegerField()

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "plan entries"
        ordering = ["-rows", "id"]

    def __str__(self) -> str:
        return f"{self.raw[:60]!r} → {self.stage or self.reason}"


class Run(models.Model):
    """The execution of a plan; a plan has at most one."""

    plan = models.OneToOneField(Plan, on_delete=models.PROTECT, related_name="run")
    target = models.CharField(
        max_length=200, help_text="the plan's target, repeated for the constraint below"
    )
    state = models.CharField(max_length=20, choices=State.choices, default=State.PLANNED)
    actor = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    shards = models.PositiveSmallIntegerField(
        default=1, help_text="how many workers may work on it concurrently"
    )
    batch_seconds = models.FloatField(
        null=True, blank=True, help_text="target duration of a batch; empty: the setting"
    )
    pause_seconds = models.FloatField(
        null=True, blank=True, help_text="pause between batches; empty: the setting"
    )
    sweeps_left = models.PositiveSmallIntegerField(
        default=20, help_text="sweeps before verification reports what is left"
    )
    last_error = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["target"],
                condition=Q(state__in=UNFINISHED),
                name="one_unfinished_run_per_target",
            )
        ]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.plan}"

    @property
    def stands(self) -> str:
        """Return the state in words: `rolling back`."""
        return State(self.state).said


class RunMove(Recorded):
    """A change of a run's state. Append-only."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="moves")
    old_state = models.CharField(max_length=20, blank=True, default="")
    new_state = models.CharField(max_length=20)

    class Meta(Recorded.Meta):
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.old_state} → {self.new_state}"

    @property
    def came_from(self) -> str:
        """Return the old state in words; empty for the first move."""
        return State(self.old_state).said if self.old_state else ""

    @property
    def went_to(self) -> str:
        """Return the new state in words."""
        return State(self.new_state).said


class RollbackPlan(Recorded):
    """A request to undo a run or a part of it, with the rows in its scope at that time. Append-only.

    `scope` is {} for everything, {"batches": [first id, last id]} or {"value": the old value}.
    """

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="rollbacks")
    round = models.PositiveSmallIntegerField(help_text="1 is the first rollback of its run")
    scope = models.JSONField(default=dict, blank=True)
    from_state = models.CharField(
        max_length=20, help_text="the state the run was in, and returns to after a partial rollback"
    )
    rows = models.BigIntegerField(help_text="audit entries in its scope that were not yet undone")

    class Meta(Recorded.Meta):
        ordering = ["id"]
        constraints = [
            HAS_A_REASON,
            models.UniqueConstraint(fields=["run", "round"], name="one_rollback_per_round"),
        ]

    def __str__(self) -> str:
        return f"rollback {self.round} of run {self.run_id}"


class WorkerDrain(Recorded):
    """Whether Celery's workers may pick up runs; the newest row applies. Append-only."""

    draining = models.BooleanField()

    def __str__(self) -> str:
        return "workers pick up no run" if self.draining else "workers pick up runs"
